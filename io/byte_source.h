#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace recon::io {

/// Bytes of known length that a parser reads from: a file, or memory (tests and fuzzing). Const and safe to share
/// between threads.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual int64_t size() const = 0;
  /// Fills `out` from byte `offset` on. Throws InputError when the bytes are not there, IoError when the system fails.
  virtual void read_at(int64_t offset, std::span<std::byte> out) const = 0;
  /// For messages.
  virtual const std::string& name() const = 0;
  /// Throws InputError if the bytes have changed since the source was made.
  virtual void check_unchanged() const {}
};

/// A regular file, read with pread, never mapped: a file that shrinks underway gives an error and not a signal.
class FileSource final : public ByteSource {
 public:
  /// Throws InputError (66) if the file is missing, unreadable, or anything but a regular file.
  explicit FileSource(const std::string& path);
  ~FileSource() override;
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;
  int64_t size() const override { return size_; }
  void read_at(int64_t offset, std::span<std::byte> out) const override;
  const std::string& name() const override { return path_; }
  /// By size and time of last change.
  void check_unchanged() const override;
  /// Time of last change at opening, nanoseconds; with the size it tells whether a reopened file is the same.
  int64_t modified_ns() const { return modified_ns_; }
  /// Makes the kernel forget its cached pages, so that the next read asks the disk.
  void drop_cache() const;

 private:
  std::string path_;
  int fd_ = -1;
  int64_t size_ = 0;
  int64_t modified_ns_ = 0;
};

/// Bytes that the caller keeps alive.
class MemorySource final : public ByteSource {
 public:
  MemorySource(std::span<const std::byte> bytes, std::string name) : bytes_(bytes), name_(std::move(name)) {}
  int64_t size() const override { return static_cast<int64_t>(bytes_.size()); }
  void read_at(int64_t offset, std::span<std::byte> out) const override;
  const std::string& name() const override { return name_; }

 private:
  std::span<const std::byte> bytes_;
  std::string name_;
};

/// Text that the source owns.
class TextSource final : public ByteSource {
 public:
  TextSource(std::string text, std::string name)
      : text_(std::move(text)), bytes_(std::as_bytes(std::span(text_)), std::move(name)) {}
  TextSource(const TextSource&) = delete;
  TextSource& operator=(const TextSource&) = delete;
  int64_t size() const override { return bytes_.size(); }
  void read_at(int64_t offset, std::span<std::byte> out) const override { bytes_.read_at(offset, out); }
  const std::string& name() const override { return bytes_.name(); }

 private:
  std::string text_;
  MemorySource bytes_;
};

/// The whole source as text. Throws like read_at.
std::string read_all(const ByteSource& source);

/// a·b, and false (product untouched) if an operand is negative or the product exceeds int64. Every size that comes
/// from a file goes through this.
inline bool checked_multiply(int64_t a, int64_t b, int64_t& product) {
  int64_t result;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &result)) return false;
  product = result;
  return true;
}

}  // namespace recon::io
