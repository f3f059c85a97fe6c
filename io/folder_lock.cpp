#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "io/error.h"
#include "io/process.h"
#include "io/run_folder.h"
#include "io/strict_json.h"

namespace recon::io {
namespace {

using nlohmann::json;

std::string first_line(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

/// When the kernel started this process, in its clock ticks: tells a process from a later one with the same number.
/// Empty if there is no such process.
std::string start_ticks(long pid) {
  const std::string stat = first_line("/proc/" + std::to_string(pid) + "/stat");
  size_t at = stat.rfind(')');  // the name before it may hold anything
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = stat.find(' ', at + 1);
  if (at == std::string::npos) return {};
  return stat.substr(at + 1, stat.find(' ', at + 1) - at - 1);
}

json own_entry() {
  json entry = {{"host", host_name()},
                {"pid", ::getpid()},
                {"start", utc_now()},
                {"start_ticks", start_ticks(::getpid())},
                {"boot", first_line("/proc/sys/kernel/random/boot_id")}};
  if (const char* job = std::getenv("SLURM_JOB_ID")) entry["job"] = job;
  return entry;
}

/// What the lock file says; an empty object if it says nothing readable.
json read_entry(int fd) {
  char text[4096];
  const ssize_t got = ::pread(fd, text, sizeof text, 0);
  if (got <= 0) return json::object();
  try {
    json entry = parse_json(std::string_view(text, static_cast<size_t>(got)), "lock");
    return entry.is_object() ? entry : json::object();
  } catch (const InputError&) {
    return json::object();
  }
}

std::string text_of(const json& entry, const char* key) {
  const auto found = entry.find(key);
  if (found == entry.end()) return "unknown";
  return found->is_string() ? found->get<std::string>() : found->dump(-1, ' ', false, json::error_handler_t::replace);
}

[[noreturn]] void refuse(const std::string& path, const json& holder) {
  std::string who = "in use by process " + text_of(holder, "pid") + " on " + text_of(holder, "host") + " since " +
                    text_of(holder, "start");
  if (holder.contains("job")) who += " (Slurm job " + text_of(holder, "job") + ")";
  throw IoError({.file = path,
                 .problem = who,
                 .repair = "wait for it or choose another folder; delete this file only if that process is gone"},
                cannot_create);
}

/// Whether the process that wrote the entry may still run. `exclusive`: flock gave us the file, which on one kernel
/// proves that the holder is gone.
bool may_be_alive(const json& holder, bool exclusive) {
  if (holder.empty()) return !exclusive;
  const bool same_boot = text_of(holder, "boot") == first_line("/proc/sys/kernel/random/boot_id");
  if (same_boot && exclusive) return false;
  if (!same_boot) return text_of(holder, "host") != host_name();  // this machine restarted since
  const auto pid = holder.find("pid");
  if (pid == holder.end() || !pid->is_number_integer()) return true;
  return start_ticks(pid->get<long>()) == text_of(holder, "start_ticks");
}

bool same_file(int fd, const std::string& path) {
  struct stat open_one {
  }, named{};
  return ::fstat(fd, &open_one) == 0 && ::stat(path.c_str(), &named) == 0 && open_one.st_ino == named.st_ino &&
         open_one.st_dev == named.st_dev;
}

[[noreturn]] void fail(const std::string& path, int error) {
  if (error == ENOSPC || error == EDQUOT) throw_write_error(path, error, "locking", 200);
  throw IoError({.file = path,
                 .problem = std::string("the folder cannot be locked: ") + std::strerror(error),
                 .repair = "choose a folder that this account can write to"},
                cannot_create);
}

}  // namespace

FolderLock::FolderLock(const std::string& folder) : path_(folder + "/lock") {
  for (int attempt = 0;; ++attempt) {
    bool created = true;
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ < 0 && errno == EEXIST) {
      created = false;
      fd_ = ::open(path_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
      if (fd_ < 0 && errno == ENOENT && attempt < 100) continue;  // its holder just left
    }
    if (fd_ < 0) fail(path_, errno);
    const bool exclusive = ::flock(fd_, LOCK_EX | LOCK_NB) == 0;
    const bool held = !exclusive && errno == EWOULDBLOCK;
    const json holder = read_entry(fd_);
    if (held || (!created && may_be_alive(holder, exclusive))) {
      ::close(fd_);
      refuse(path_, holder);
    }
    if (same_file(fd_, path_)) break;
    ::close(fd_);  // the holder removed it between our two calls
    if (attempt > 100) fail(path_, EBUSY);
  }
  const std::string text = json_text(own_entry()) + "\n";
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()) ||
      ::fsync(fd_) != 0) {
    const int error = errno;
    ::close(fd_);
    fail(path_, error);
  }
}

FolderLock::~FolderLock() {
  if (same_file(fd_, path_)) ::unlink(path_.c_str());
  ::close(fd_);
}

}  // namespace recon::io
