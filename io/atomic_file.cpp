#include "io/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "io/error.h"
#include "io/failpoint.h"

namespace recon::io {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 18;

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

/// Hands all bytes to the system; 0 or the errno of the failure.
int write_all(int fd, int64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd, bytes.data(), bytes.size(), offset);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return put < 0 ? errno : EIO;
    bytes = bytes.subspan(static_cast<size_t>(put));
    offset += put;
  }
  return 0;
}

/// A new file beside `path` that nobody else has, and its name; -1 with errno if none can be made.
int open_temporary(const std::string& path, std::string& name) {
  static std::atomic<unsigned> serial{0};
  for (int attempt = 0; attempt < 1000; ++attempt) {
    name = path + ".tmp." + std::to_string(::getpid()) + "." + std::to_string(serial++);
    const int fd = ::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return -1;
}

[[noreturn]] void throw_cannot_create(const std::string& path, const std::string& problem, const std::string& repair) {
  throw IoError({.file = path, .problem = problem, .repair = repair}, cannot_create);
}

}  // namespace

void throw_write_error(const std::string& path, int error, const char* action, int64_t bytes_needed) {
  std::string problem = std::string(action) + " failed: " + std::strerror(error);
  std::string repair = "check the disk; what was there before is unchanged";
  if (error == ENOSPC || error == EDQUOT) {
    struct statvfs disk {};
    const bool known = ::statvfs(folder_of(path).c_str(), &disk) == 0;
    problem += " (" + std::to_string(bytes_needed) + " bytes needed, " +
               (known ? std::to_string(disk.f_bavail * disk.f_frsize) : "unknown") + " free)";
    repair = "free some space or write to another disk, then run again; what was there before is unchanged";
  }
  throw IoError({.file = path, .problem = problem, .repair = repair});
}

AtomicFile::AtomicFile(const std::string& path, std::string purpose) : path_(path), purpose_(std::move(purpose)) {
  struct stat info {};
  // A rename onto a device or a pipe would replace it.
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))
    throw_cannot_create(path, "exists and is not a regular file", "choose another output name");
  const int injected = RECON_FAILPOINT(purpose_ + ".open");
  fd_ = injected ? -1 : open_temporary(path, temporary_);
  if (fd_ >= 0) return;
  const int error = injected ? injected : errno;
  if (error == ENOSPC || error == EDQUOT) throw_write_error(path_, error, "creating the file");
  throw_cannot_create(path, std::string("cannot be created: ") + std::strerror(error),
                      error == ENOENT ? "create the folder first" : "choose a folder that this account can write to");
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::fail(int error, const char* action, int64_t bytes_needed) {
  throw_write_error(path_, error, action, bytes_needed);
}

void AtomicFile::put(int64_t offset, std::span<const std::byte> bytes) {
  const int injected = RECON_FAILPOINT(purpose_ + ".write");
  if (const int error = injected ? injected : write_all(fd_, offset, bytes))
    fail(error, "writing", static_cast<int64_t>(bytes.size()));
}

void AtomicFile::flush() {
  if (buffer_.empty()) return;
  put(flushed_, buffer_);
  flushed_ += static_cast<int64_t>(buffer_.size());
  buffer_.clear();
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() >= kBufferBytes) {
    put(flushed_, bytes);
    flushed_ += static_cast<int64_t>(bytes.size());
  } else {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
  size_ += static_cast<int64_t>(bytes.size());
}

void AtomicFile::write_at(int64_t offset, std::span<const std::byte> bytes) {
  flush();
  put(offset, bytes);
}

void AtomicFile::commit(const std::function<void(const std::string&)>& verify) {
  flush();
  int injected = RECON_FAILPOINT(purpose_ + ".before_fsync");
  // After a failed fsync the pages' state is unknown: no second try, the temporary is dropped.
  if (injected || ::fsync(fd_) != 0) fail(injected ? injected : errno, "syncing to disk", size_);
  if (verify) verify(temporary_);
  injected = RECON_FAILPOINT(purpose_ + ".before_rename");
  if (injected || ::rename(temporary_.c_str(), path_.c_str()) != 0) fail(injected ? injected : errno, "renaming");
  ::close(fd_);
  fd_ = -1;
  sync_folder(folder_of(path_), purpose_);
  (void)RECON_FAILPOINT(purpose_ + ".after");
}

void write_file(const std::string& path, std::string_view text, std::string purpose) {
  AtomicFile file(path, std::move(purpose));
  file.write(text);
  file.commit();
}

AppendFile::AppendFile(const std::string& path, std::string purpose) : path_(path), purpose_(std::move(purpose)) {
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC, 0666);
  struct stat info {};
  if (fd_ < 0 || ::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) {
    const std::string why = fd_ < 0 ? std::strerror(errno) : "not a regular file";
    if (fd_ >= 0) ::close(fd_);
    throw_cannot_create(path, "cannot be opened for appending: " + why,
                        "choose a folder that this account can write to");
  }
  int64_t end = info.st_size;
  for (char last = 0; end > 0; --end)
    if (::pread(fd_, &last, 1, end - 1) != 1 || last == '\n') break;
  if (end != info.st_size && ::ftruncate(fd_, end) != 0) {
    const int error = errno;
    ::close(fd_);
    throw_write_error(path_, error, "removing a torn last line");
  }
}

AppendFile::~AppendFile() { ::close(fd_); }

void AppendFile::append_line(std::string_view line) {
  std::string text(line);
  text += '\n';
  struct stat info {};
  const int64_t before = ::fstat(fd_, &info) == 0 ? info.st_size : -1;
  const int injected = RECON_FAILPOINT(purpose_ + ".write");
  // One write call a line: with O_APPEND, lines of several processes do not mix.
  ssize_t put = -1;
  do put = injected ? -1 : ::write(fd_, text.data(), text.size());
  while (put < 0 && !injected && errno == EINTR);
  if (put == static_cast<ssize_t>(text.size())) return;
  const int error = injected ? injected : put < 0 ? errno : ENOSPC;
  if (put > 0 && before >= 0) (void)!::ftruncate(fd_, before);
  throw_write_error(path_, error, "writing", static_cast<int64_t>(text.size()));
}

void create_folders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error || !std::filesystem::is_directory(path, error))
    throw_cannot_create(path, "the folder cannot be created: " + (error ? error.message() : "a file has this name"),
                        "choose another output folder");
}

void sync_folder(const std::string& path, const std::string& purpose) {
  const int injected = RECON_FAILPOINT(purpose + ".before_dirsync");
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int error = injected ? injected : fd < 0 || ::fsync(fd) != 0 ? errno : 0;
  if (fd >= 0) ::close(fd);
  // Some network file systems cannot sync a folder (EINVAL); their rename is as durable as they can make it.
  if (error && error != EINVAL) throw_write_error(path, error, "syncing the folder");
}

}  // namespace recon::io
