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
constexpr int64_t kHeldBytes = 32 << 20;  // of a file that is kept in memory
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

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
  StarParser(std::shared_ptr<const ByteSource> source, std::vector<StarBlock>& blocks)
      : source_(std::move(source)), lines_(*source_), blocks_(blocks) {}

  void parse() {
    for (std::string_view text; lines_.next(text);) {
      line_begin_ = text.data();
      if (lines_.begin() == 0 && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
      parse_line(text);
    }
    end_labels();
    if (blocks_.empty()) refuse("no data_ block", "give a STAR file");
  }

 private:
  enum class State { pairs, labels, rows };

  [[noreturn]] void refuse(const std::string& problem, const std::string& repair, std::string_view field = {},
                           std::string_view value = {}) const {
    throw InputError({source_->name(), "line " + std::to_string(std::max<int64_t>(1, lines_.line())),
                      std::string(field.substr(0, 200)), std::string(value.substr(0, 200)), problem, repair});
  }

  void parse_line(std::string_view text) {
    StarLine line(text);
    std::string_view first;
    const StarLine::Next found = line.next(first);
    if (found == StarLine::Next::open_quote) refuse_quote();
    if (found == StarLine::Next::end) return;
    if (state_ == State::rows && !ends_loop(first)) return parse_row(first, line);
    if (starts_word(first, "data_")) {
      begin_block(first.substr(5), line);
    } else if (same_word(first, "loop_")) {
      begin_loop(first, line);
    } else if (first[0] == '_') {
      parse_label(first, line);
    } else if (state_ == State::labels) {
      state_ = State::rows;
      parse_row(first, line);
    } else {
      refuse_word(first);
    }
  }

  static bool ends_loop(std::string_view first) {
    return first[0] == '_' || starts_word(first, "data_") || same_word(first, "loop_");
  }

  /// Where a part of this line stands in the document.
  int64_t begin_of(std::string_view part) const { return lines_.begin() + (part.data() - line_begin_); }
  int64_t end_of(std::string_view part) const { return begin_of(part) + static_cast<int64_t>(part.size()); }

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
    blocks_.push_back({std::string(name), lines_.line(), {}, {}});
    state_ = State::pairs;
  }

  void begin_loop(std::string_view word, StarLine& line) {
    end_labels();
    if (blocks_.empty()) refuse("a table before the first data_ block", "add a data_ line before it", word);
    expect_line_end(line, word);
    StarLoop& loop = blocks_.back().loops.emplace_back();
    loop.source_ = source_;
    loop.begin_ = begin_of(word);
    loop.end_ = end_of(word);
    state_ = State::labels;
    seen_.clear();
  }

  void parse_label(std::string_view label, StarLine& line) {
    if (blocks_.empty()) refuse("a label before the first data_ block", "add a data_ line before it", label);
    StarBlock& block = blocks_.back();
    if (state_ == State::labels) {
      StarLoop& loop = block.loops.back();
      if (loop.labels_.size() == kMostColumns) refuse("more than 10000 columns", "give a particle STAR file");
      if (!seen_.emplace(label).second) refuse("the column stands twice in this table", "remove one of the two", label);
      expect_line_end(line, label);
      loop.labels_.emplace_back(label);
      loop.end_ = end_of(label);
      return;
    }
    state_ = State::pairs;
    std::string_view value;
    const StarLine::Next found = line.next(value);
    if (found == StarLine::Next::open_quote) refuse_quote();
    if (found == StarLine::Next::end) refuse("a label without a value", "put the value on the same line", label);
    expect_line_end(line, label);
    block.pairs.push_back({std::string(label), std::string(star_unquote(value)), lines_.line()});
  }

  void parse_row(std::string_view first, StarLine& line) {
    StarLoop& loop = blocks_.back().loops.back();
    if (first[0] == ';') refuse_word(first);
    std::string_view cell = first;
    size_t cells = 1;
    StarLine::Next found;
    while ((found = line.next(cell)) == StarLine::Next::cell) ++cells;
    if (found == StarLine::Next::open_quote) refuse_quote();
    if (cells != loop.labels_.size())
      refuse("the row has " + std::to_string(cells) + " cells, the table has " + std::to_string(loop.labels_.size()) +
                 " columns",
             "complete the row; cells with blanks must be quoted");
    loop.end_ = end_of(cell);
    if (loop.rows_++ > 0) return;
    loop.first_row_ = lines_.begin();
    loop.first_line_ = lines_.line();
  }

  void end_labels() const {
    if (state_ == State::labels && blocks_.back().loops.back().labels_.empty())
      refuse("a table without labels", "list the labels after loop_");
  }

  std::shared_ptr<const ByteSource> source_;
  StarLines lines_;
  std::vector<StarBlock>& blocks_;
  std::unordered_set<std::string> seen_;
  State state_ = State::pairs;
  const char* line_begin_ = nullptr;
};

StarDocument StarDocument::parse(std::shared_ptr<const ByteSource> source) {
  StarDocument document;
  document.name_ = source->name();
  StarParser(source, document.blocks_).parse();
  source->check_unchanged();
  document.source_ = std::move(source);
  return document;
}

StarDocument StarDocument::parse_text(std::string_view text, const std::string& name) {
  return parse(std::make_shared<TextSource>(std::string(text), name));
}

StarDocument StarDocument::parse(const ByteSource& source) {
  return parse(std::make_shared<TextSource>(read_all(source), source.name()));
}

StarDocument StarDocument::parse(const std::string& path) {
  const auto file = std::make_shared<FileSource>(path);
  return file->size() <= kHeldBytes ? parse(*file) : parse(std::shared_ptr<const ByteSource>(file));
}

}  // namespace recon::io
