#include "io/star.h"

#include <algorithm>
#include <stdexcept>

#include "io/atomic_file.h"
#include "io/star_token.h"

namespace recon::io {
namespace {

std::string_view without_underscore(std::string_view label) { return label.starts_with('_') ? label.substr(1) : label; }

}  // namespace

std::string_view star_unquote(std::string_view cell) {
  const bool quoted = cell.size() >= 2 && (cell[0] == '\'' || cell[0] == '"') && cell.back() == cell[0];
  return quoted ? cell.substr(1, cell.size() - 2) : cell;
}

std::string star_quote(std::string_view text) {
  if (text.find_first_of(std::string_view("\n\0", 2)) != std::string_view::npos)
    throw std::invalid_argument("a STAR cell cannot hold a line break or a NUL byte");
  const auto plain = [&] {
    if (text.empty() || std::any_of(text.begin(), text.end(), StarLine::is_blank)) return false;
    static constexpr std::string_view special = "_#;'\"$[]";
    for (const std::string_view word : {"data_", "loop_", "save_", "stop_", "global_"}) {
      const auto lower = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b; };
      if (text.size() >= word.size() &&
          std::equal(word.begin(), word.end(), text.begin(), [&](char w, char t) { return lower(t, w); }))
        return false;
    }
    return special.find(text[0]) == std::string_view::npos;
  };
  if (plain()) return std::string(text);
  for (const char quote : {'\'', '"'}) {
    bool closes_early = false;
    for (size_t i = 0; i + 1 < text.size(); ++i) closes_early |= text[i] == quote && StarLine::is_blank(text[i + 1]);
    if (!closes_early) return quote + std::string(text) + quote;
  }
  throw std::invalid_argument("a STAR cell cannot hold both kinds of quote before a blank");
}

int StarLoop::column(std::string_view label) const {
  for (size_t i = 0; i < labels_.size(); ++i)
    if (without_underscore(labels_[i]) == without_underscore(label)) return static_cast<int>(i);
  return -1;
}

int64_t StarLoop::line(int64_t row) const {
  const std::string_view before = text_.substr(0, row_begin_.at(static_cast<size_t>(row)));
  return 1 + std::count(before.begin(), before.end(), '\n');
}

void StarLoop::split_row(int64_t row, std::vector<std::string_view>& cells, bool unquote) const {
  cells.clear();
  StarLine line(text_, row_begin_[static_cast<size_t>(row)]);
  std::string_view cell;
  while (line.next(cell) == StarLine::Next::cell) cells.push_back(unquote ? star_unquote(cell) : cell);
}

std::vector<std::string_view> StarLoop::row(int64_t row) const {
  if (row < 0 || row >= rows()) throw std::out_of_range("StarLoop::row: no such row");
  std::vector<std::string_view> cells;
  split_row(row, cells, true);
  return cells;
}

void StarLoop::set_column(std::string_view label, std::vector<std::string> values) {
  if (static_cast<int64_t>(values.size()) != rows()) throw std::invalid_argument("set_column: one value a row");
  const std::string_view bare = without_underscore(label);
  if (bare.empty() ||
      std::any_of(bare.begin(), bare.end(), [](char c) { return static_cast<unsigned char>(c) <= ' '; }))
    throw std::invalid_argument("set_column: not a label");
  for (NewColumn& known : new_columns_)
    if (without_underscore(known.label) == bare) {
      known.values = std::move(values);
      return;
    }
  new_columns_.push_back({std::string("_").append(bare), std::move(values)});
}

void StarLoop::keep_rows(std::span<const int64_t> rows) {
  std::vector<uint64_t> begins;
  for (const int64_t row : rows) begins.push_back(row_begin_.at(static_cast<size_t>(row)));
  for (NewColumn& fresh : new_columns_) {
    std::vector<std::string> values;
    for (const int64_t row : rows) values.push_back(fresh.values[static_cast<size_t>(row)]);
    fresh.values = std::move(values);
  }
  row_begin_ = std::move(begins);
  fewer_rows_ = true;
}

void StarLoop::write_to(std::string& out) const {
  std::vector<const NewColumn*> replaced(labels_.size(), nullptr), added;
  for (const NewColumn& fresh : new_columns_) {
    const int at = column(fresh.label);
    if (at < 0) added.push_back(&fresh);
    if (at >= 0) replaced[static_cast<size_t>(at)] = &fresh;
  }
  out += "loop_\n";
  size_t number = 0;
  for (const std::string_view label : labels_) out.append(label) += " #" + std::to_string(++number) + "\n";
  for (const NewColumn* fresh : added) out += fresh->label + " #" + std::to_string(++number) + "\n";
  std::vector<std::string_view> cells;
  for (int64_t row = 0; row < rows(); ++row) {
    const size_t at = static_cast<size_t>(row);
    split_row(row, cells, false);
    for (size_t i = 0; i < cells.size(); ++i) {
      if (i) out += ' ';
      replaced[i] ? out += star_quote(replaced[i]->values[at]) : out += cells[i];
    }
    for (const NewColumn* fresh : added) out += ' ' + star_quote(fresh->values[at]);
    if (row + 1 < rows()) out += '\n';
  }
}

const StarPair* StarBlock::pair(std::string_view label) const {
  for (const StarPair& candidate : pairs)
    if (without_underscore(candidate.label) == without_underscore(label)) return &candidate;
  return nullptr;
}

const StarBlock* StarDocument::find(std::string_view block) const {
  for (const StarBlock& candidate : blocks_)
    if (candidate.name == block) return &candidate;
  return nullptr;
}

StarBlock* StarDocument::find(std::string_view block) {
  return const_cast<StarBlock*>(static_cast<const StarDocument*>(this)->find(block));
}

std::string StarDocument::text() const {
  if (!text_) return {};
  const std::string_view original = *text_;
  std::string out;
  size_t done = 0;
  for (const StarBlock& block : blocks_)
    for (const StarLoop& loop : block.loops) {
      if (loop.new_columns_.empty() && !loop.fewer_rows_) continue;
      out += original.substr(done, loop.begin_ - done);
      loop.write_to(out);
      done = loop.end_;
    }
  return out.append(original.substr(done));
}

void StarDocument::write(const std::string& path) const { write_file(path, text(), "star"); }

}  // namespace recon::io
