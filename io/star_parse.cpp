#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "io/error.h"
#include "io/star.h"
#include "io/star_token.h"

namespace recon::io {
namespace {

// More than any program writes; a file that asks for more is not a particle file.
constexpr size_t kMostColumns = 10'000;
constexpr size_t kMostBlocks = 100'000;

bool same_word(std::string_view a, std::string_view lower) {
  return a.size() == lower.size() && std::equal(a.begin(), a.end(), lower.begin(), [](char x, char y) {
           return (x >= 'A' && x <= 'Z' ? x + ('a' - 'A') : x) == y;
         });
}
bool starts_word(std::string_view a, std::string_view lower) {
  return a.size() >= lower.size() && same_word(a.substr(0, lower.size()), lower);
}

}  // namespace

/// One pass over the text, a line at a time.
class StarParser {
 public:
  StarParser(std::string_view text, const std::string& name, std::vector<StarBlock>& blocks)
      : text_(text), name_(name), blocks_(blocks) {}

  void parse() {
    if (const size_t nul = text_.find('\0'); nul != std::string_view::npos) {
      line_ = 1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(nul), '\n');
      refuse("a NUL byte: this is not a text file", "give a STAR file");
    }
    size_t at = text_.starts_with("\xef\xbb\xbf") ? 3 : 0;
    for (; at < text_.size(); ++line_) {
      const size_t next = parse_line(at);
      at = next;
    }
    line_ = std::max<int64_t>(1, line_ - 1);
    end_labels();
    if (blocks_.empty()) refuse("no data_ block", "give a STAR file");
  }

 private:
  enum class State { pairs, labels, rows };

  [[noreturn]] void refuse(const std::string& problem, const std::string& repair, std::string_view field = {},
                           std::string_view value = {}) const {
    throw InputError({name_, "line " + std::to_string(line_), std::string(field.substr(0, 200)),
                      std::string(value.substr(0, 200)), problem, repair});
  }

  /// Reads the line at `at`; gives the start of the next one.
  size_t parse_line(size_t at) {
    StarLine line(text_, at);
    std::string_view first;
    const StarLine::Next found = line.next(first);
    if (found == StarLine::Next::open_quote) refuse_quote();
    if (found == StarLine::Next::end) return skip_rest(line.position());
    if (state_ == State::rows && !ends_loop(first)) return parse_row(at);
    if (starts_word(first, "data_")) {
      begin_block(first.substr(5), line);
    } else if (same_word(first, "loop_")) {
      begin_loop(first, line);
    } else if (first[0] == '_') {
      parse_label(first, line);
    } else if (state_ == State::labels) {
      state_ = State::rows;
      return parse_row(at);
    } else {
      refuse_word(first);
    }
    return skip_rest(line.position());
  }

  static bool ends_loop(std::string_view first) {
    return first[0] == '_' || starts_word(first, "data_") || same_word(first, "loop_");
  }

  size_t skip_rest(size_t at) const {
    const size_t end = text_.find('\n', at);
    return end == std::string_view::npos ? text_.size() : end + 1;
  }

  void expect_line_end(StarLine& line, std::string_view after) {
    std::string_view extra;
    const StarLine::Next found = line.next(extra);
    if (found == StarLine::Next::open_quote) refuse_quote();
    if (found == StarLine::Next::cell)
      refuse("text after it on the same line", "remove '" + printable(extra, 40) + "'", after);
  }

  [[noreturn]] void refuse_quote() const {
    refuse("a quote is not closed on its line", "close the quote, or quote the whole value with the other kind");
  }

  [[noreturn]] void refuse_word(std::string_view first) const {
    if (first[0] == ';') refuse("values over several lines are not supported", "put the value on one line", {}, first);
    if (blocks_.empty()) refuse("text before the first data_ block", "give a STAR file", {}, first);
    refuse("neither a label nor part of a table", "begin a label with '_', a table with 'loop_'", {}, first);
  }

  void begin_block(std::string_view name, StarLine& line) {
    end_labels();
    if (blocks_.size() == kMostBlocks) refuse("more than 100000 blocks", "give a particle STAR file");
    expect_line_end(line, "data_" + std::string(name.substr(0, 100)));
    blocks_.push_back({name, line_, {}, {}});
    state_ = State::pairs;
  }

  void begin_loop(std::string_view word, StarLine& line) {
    end_labels();
    if (blocks_.empty()) refuse("a table before the first data_ block", "add a data_ line before it", word);
    expect_line_end(line, word);
    StarLoop& loop = blocks_.back().loops.emplace_back();
    loop.text_ = text_;
    loop.begin_ = static_cast<size_t>(word.data() - text_.data());
    loop.end_ = loop.begin_ + word.size();
    state_ = State::labels;
    seen_.clear();
  }

  void parse_label(std::string_view label, StarLine& line) {
    if (blocks_.empty()) refuse("a label before the first data_ block", "add a data_ line before it", label);
    StarBlock& block = blocks_.back();
    if (state_ == State::labels) {
      StarLoop& loop = block.loops.back();
      if (loop.labels_.size() == kMostColumns) refuse("more than 10000 columns", "give a particle STAR file");
      if (!seen_.insert(label).second) refuse("the column stands twice in this table", "remove one of the two", label);
      expect_line_end(line, label);
      loop.labels_.push_back(label);
      loop.end_ = line.position();
      return;
    }
    state_ = State::pairs;
    std::string_view value;
    const StarLine::Next found = line.next(value);
    if (found == StarLine::Next::open_quote) refuse_quote();
    if (found == StarLine::Next::end) refuse("a label without a value", "put the value on the same line", label);
    expect_line_end(line, label);
    block.pairs.push_back({label, star_unquote(value), line_});
  }

  size_t parse_row(size_t at) {
    StarLoop& loop = blocks_.back().loops.back();
    StarLine line(text_, at);
    std::string_view cell;
    size_t cells = 0;
    StarLine::Next found;
    while ((found = line.next(cell)) == StarLine::Next::cell) {
      if (++cells == 1 && cell[0] == ';') refuse_word(cell);
      loop.end_ = line.position();
    }
    if (found == StarLine::Next::open_quote) refuse_quote();
    if (cells != loop.labels_.size())
      refuse("the row has " + std::to_string(cells) + " cells, the table has " + std::to_string(loop.labels_.size()) +
                 " columns",
             "complete the row; cells with blanks must be quoted");
    loop.row_begin_.push_back(at);
    return skip_rest(line.position());
  }

  void end_labels() const {
    if (state_ == State::labels && blocks_.back().loops.back().labels_.empty())
      refuse("a table without labels", "list the labels after loop_");
  }

  std::string_view text_;
  const std::string& name_;
  std::vector<StarBlock>& blocks_;
  std::unordered_set<std::string_view> seen_;
  State state_ = State::pairs;
  int64_t line_ = 1;
};

StarDocument StarDocument::parse_text(std::string_view text, const std::string& name) {
  StarDocument document;
  document.text_ = std::make_shared<const std::string>(text);
  document.name_ = name;
  StarParser(*document.text_, document.name_, document.blocks_).parse();
  return document;
}

StarDocument StarDocument::parse(const ByteSource& source) {
  StarDocument document;
  document.text_ = std::make_shared<const std::string>(read_all(source));
  document.name_ = source.name();
  StarParser(*document.text_, document.name_, document.blocks_).parse();
  return document;
}

StarDocument StarDocument::parse(const std::string& path) { return parse(FileSource(path)); }

}  // namespace recon::io
