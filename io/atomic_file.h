#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace recon::io {

/// The one way in which this program makes a file: bytes go to a temporary name in the same folder; commit() syncs
/// them, renames onto the final name and syncs the folder. A reader, also after a kill or a power cut, sees the whole
/// old file or the whole new one. Without commit() the temporary is removed and the old file stays.
///
/// Throws IoError: 73 if the file cannot be made, 74 if writing fails (a full disk is reported with the bytes needed
/// and free).
class AtomicFile {
 public:
  /// `purpose` names the failpoints: PURPOSE.open, .write, .before_fsync, .before_rename, .before_dirsync, .after.
  explicit AtomicFile(const std::string& path, std::string purpose = "file");
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends, through a buffer.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }
  /// Overwrites bytes already written (a header whose numbers are known last).
  void write_at(int64_t offset, std::span<const std::byte> bytes);
  /// Bytes appended so far.
  int64_t size() const { return size_; }
  const std::string& path() const { return path_; }

  /// After the sync and before the rename, `verify(temporary path)` may read the file again; if it throws, the old
  /// file stays.
  void commit(const std::function<void(const std::string&)>& verify = {});

 private:
  void flush();
  void put(int64_t offset, std::span<const std::byte> bytes);
  [[noreturn]] void fail(int error, const char* action, int64_t bytes_needed = 0);

  std::string path_, temporary_, purpose_;
  int fd_ = -1;
  int64_t size_ = 0;     // appended, buffered bytes included
  int64_t flushed_ = 0;  // of these, handed to the system
  std::vector<std::byte> buffer_;
};

/// A small text file in one call, atomically.
void write_file(const std::string& path, std::string_view text, std::string purpose = "file");

/// A log that only grows, a line at a time. A line that a crash or a full disk cut short is removed, at the next
/// opening or at once, so that every line that a reader meets is whole.
class AppendFile {
 public:
  /// Throws IoError (73) if the file cannot be opened for appending.
  explicit AppendFile(const std::string& path, std::string purpose = "log");
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  /// `line` without its end. Throws IoError (74); what was in the file stays.
  void append_line(std::string_view line);

 private:
  std::string path_, purpose_;
  int fd_ = -1;
};

/// mkdir -p. Throws IoError (73).
void create_folders(const std::string& path);

/// Makes the folder's entries durable. Throws IoError (74).
void sync_folder(const std::string& path, const std::string& purpose = "folder");

/// What a failed write says: on ENOSPC and EDQUOT with the bytes needed and free on that file system.
[[noreturn]] void throw_write_error(const std::string& path, int error, const char* action, int64_t bytes_needed = 0);

}  // namespace recon::io
