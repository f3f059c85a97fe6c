#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "io/byte_source.h"

namespace recon::io {

/// The lines of a text, of which a window is held at a time: 1 MiB, or the longest line if that is longer.
class StarLines {
 public:
  /// `begin` is where a line starts, `line` its number.
  explicit StarLines(const ByteSource& source, int64_t begin = 0, int64_t line = 1)
      : source_(source), window_begin_(begin), line_(line - 1) {}

  /// Gives the next line without its line break, valid until the next call; false after the last one. Throws
  /// InputError for a NUL byte, and like ByteSource::read_at.
  bool next(std::string_view& text);
  /// Of the line given last: where it starts, and its number (after a seek it has none).
  int64_t begin() const { return begin_; }
  int64_t line() const { return line_; }
  /// The next line is the one that starts at `begin`.
  void seek(int64_t begin);

 private:
  bool refill();

  const ByteSource& source_;
  std::string window_;
  int64_t window_begin_;      // of window_[0] in the source
  size_t at_ = 0, held_ = 0;  // in the window: where the next line starts, where what was read ends
  size_t piece_ = 4096;       // to read next: little after a jump, more as lines are read in order
  int64_t begin_ = 0, line_;
};

}  // namespace recon::io
