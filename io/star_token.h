#pragma once
#include <array>
#include <cstddef>
#include <string_view>

namespace recon::io {

/// Splits one line of a STAR file into cells. A '#' that begins a cell begins a comment.
class StarLine {
 public:
  enum class Next { cell, end, open_quote };

  /// A line without its break; call next() until it gives end.
  explicit StarLine(std::string_view text) : text_(text) {}

  /// Finds the next cell, quotes included.
  Next next(std::string_view& cell) {
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
    if (at_ >= text_.size() || text_[at_] == '#') return Next::end;
    const size_t begin = at_;
    const char quote = text_[at_];
    if (quote == '\'' || quote == '"') {
      // A quote closes only before a blank, so that 'it's' is one cell.
      for (++at_; at_ < text_.size(); ++at_)
        if (text_[at_] == quote && (at_ + 1 == text_.size() || is_blank(text_[at_ + 1]))) {
          ++at_;
          cell = text_.substr(begin, at_ - begin);
          return Next::cell;
        }
      return Next::open_quote;
    }
    while (at_ < text_.size() && !is_blank(text_[at_])) ++at_;
    cell = text_.substr(begin, at_ - begin);
    return Next::cell;
  }

  static bool is_blank(char c) { return kBlank[static_cast<unsigned char>(c)]; }

 private:
  /// A table: every byte of a file of gigabytes is looked at.
  static constexpr auto kBlank = [] {
    std::array<bool, 256> table{};
    for (const unsigned char blank : {' ', '\t', '\r', '\v', '\f'}) table[blank] = true;
    return table;
  }();

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace recon::io
