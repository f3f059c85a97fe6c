#include "io/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "io/error.h"

namespace recon::io {
namespace {

std::string kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  if (S_ISSOCK(mode)) return "a socket";
  return "of an unknown kind";
}

int64_t modified_ns_of(const struct stat& info) { return info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec; }

void throw_short(const std::string& name, int64_t offset, size_t wanted, size_t got) {
  throw InputError({.file = name,
                    .where = "byte " + std::to_string(offset),
                    .problem = "the file ends too early: " + std::to_string(wanted) + " bytes expected here, " +
                               std::to_string(got) + " found",
                    .repair = "the file was cut or changed while being read; copy it again"});
}

}  // namespace

FileSource::FileSource(const std::string& path) : path_(path) {
  // O_NONBLOCK: opening a pipe must not wait for a writer.
  fd_ = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd_ < 0) {
    const int error = errno;
    throw InputError({.file = path,
                      .problem = std::string("cannot be opened: ") + std::strerror(error),
                      .repair = error == EACCES ? "make it readable for this account" : "check the path"},
                     no_input);
  }
  struct stat info {};
  const bool known = ::fstat(fd_, &info) == 0;
  if (!known || !S_ISREG(info.st_mode)) {
    ::close(fd_);
    throw InputError({.file = path,
                      .problem = "not a regular file" + (known ? " but " + kind_of(info.st_mode) : ""),
                      .repair = "give a file on disk"},
                     no_input);
  }
  size_ = info.st_size;
  modified_ns_ = modified_ns_of(info);
}

void FileSource::check_unchanged() const {
  struct stat info {};
  if (::fstat(fd_, &info) == 0 && info.st_size == size_ && modified_ns_of(info) == modified_ns_) return;
  throw InputError({.file = path_,
                    .problem = "the file has changed since it was opened",
                    .repair = "leave it as it is until this program has ended, and run the same command again"});
}

FileSource::~FileSource() { ::close(fd_); }

void FileSource::read_at(int64_t offset, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(fd_, out.data() + done, out.size() - done, offset + static_cast<int64_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      throw IoError({.file = path_,
                     .where = "byte " + std::to_string(offset + static_cast<int64_t>(done)),
                     .problem = std::string("reading failed: ") + std::strerror(errno),
                     .repair = "check the disk or the network file system"});
    if (got == 0) throw_short(path_, offset, out.size(), done);
    done += static_cast<size_t>(got);
  }
}

void FileSource::drop_cache() const { (void)::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED); }

void MemorySource::read_at(int64_t offset, std::span<std::byte> out) const {
  if (out.empty()) return;
  const size_t start = static_cast<size_t>(offset);
  const size_t present = start < bytes_.size() ? bytes_.size() - start : 0;
  if (offset < 0 || out.size() > present) throw_short(name_, offset, out.size(), present);
  std::memcpy(out.data(), bytes_.data() + start, out.size());
}

std::string read_all(const ByteSource& source) {
  std::string text(static_cast<size_t>(source.size()), '\0');
  source.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace recon::io
