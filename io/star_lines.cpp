#include "io/star_lines.h"

#include <algorithm>
#include <cstring>

#include "io/error.h"

namespace recon::io {
namespace {

constexpr size_t kLargestPiece = size_t{1} << 20;

}  // namespace

bool StarLines::refill() {
  const int64_t next = window_begin_ + static_cast<int64_t>(held_);
  const size_t more = static_cast<size_t>(std::min(static_cast<int64_t>(piece_), source_.size() - next));
  if (more == 0) return false;
  std::memmove(window_.data(), window_.data() + at_, held_ - at_);
  window_begin_ += static_cast<int64_t>(at_);
  held_ -= at_;
  at_ = 0;
  if (window_.size() < held_ + more) window_.resize(held_ + more);
  source_.read_at(next, std::as_writable_bytes(std::span(window_.data() + held_, more)));
  const std::string_view fresh(window_.data() + held_, more);
  if (const size_t nul = fresh.find('\0'); nul != std::string_view::npos)
    throw InputError(
        {.file = source_.name(),
         .where =
             "line " + std::to_string(line_ + 1 + std::count(fresh.begin(), fresh.begin() + std::ptrdiff_t(nul), '\n')),
         .problem = "a NUL byte: this is not a text file",
         .repair = "give a STAR file"});
  held_ += more;
  piece_ = std::min(2 * piece_, kLargestPiece);
  return true;
}

bool StarLines::next(std::string_view& text) {
  for (size_t seen = 0;;) {
    const size_t from = at_ + seen;
    const void* found = from < held_ ? std::memchr(window_.data() + from, '\n', held_ - from) : nullptr;
    if (!found) {
      seen = held_ - at_;
      if (refill()) continue;
      if (seen == 0) return false;
    }
    const size_t end = found ? static_cast<size_t>(static_cast<const char*>(found) - window_.data()) : held_;
    text = std::string_view(window_.data() + at_, end - at_);
    begin_ = window_begin_ + static_cast<int64_t>(at_);
    at_ = std::min(end + 1, held_);
    ++line_;
    return true;
  }
}

void StarLines::seek(int64_t begin) {
  const int64_t ahead = begin - window_begin_;
  if (ahead >= 0 && ahead <= static_cast<int64_t>(held_)) {
    at_ = static_cast<size_t>(ahead);
    return;
  }
  window_begin_ = begin;
  at_ = held_ = 0;
  piece_ = 4096;
}

}  // namespace recon::io
