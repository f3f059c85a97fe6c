#include "io/star.h"

#include <algorithm>
#include <stdexcept>

#include "io/atomic_file.h"
#include "io/error.h"
#include "io/star_token.h"

namespace recon::io {
namespace {

constexpr int64_t kPiece = 1 << 20;

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
  if (row < 0 || row >= rows_) throw std::out_of_range("StarLoop::line: no such row");
  int64_t begin = kept_ ? (*kept_)[static_cast<size_t>(row)] : -1;
  if (begin < 0) {
    StarRows rows(*this);
    for (int64_t i = 0; i <= row; ++i) rows.next();
    begin = rows.begin();
  }
  StarLines lines(*source_, first_row_, first_line_);
  for (std::string_view text; lines.next(text) && lines.begin() < begin;) continue;
  return lines.line();
}

std::vector<std::string> StarLoop::row(int64_t row) const {
  if (row < 0 || row >= rows_) throw std::out_of_range("StarLoop::row: no such row");
  StarRows rows(*this);
  for (int64_t i = 0; i <= row; ++i) rows.next();
  return {rows.cells().begin(), rows.cells().end()};
}

void StarLoop::set_column(std::string_view label, StarCells cells) {
  const std::string_view bare = without_underscore(label);
  if (bare.empty() ||
      std::any_of(bare.begin(), bare.end(), [](char c) { return static_cast<unsigned char>(c) <= ' '; }))
    throw std::invalid_argument("set_column: not a label");
  for (NewColumn& known : new_columns_)
    if (without_underscore(known.label) == bare) {
      known.cells = std::move(cells);
      return;
    }
  new_columns_.push_back({std::string("_").append(bare), std::move(cells)});
}

void StarLoop::set_column(std::string_view label, std::vector<std::string> values) {
  if (static_cast<int64_t>(values.size()) != rows_) throw std::invalid_argument("set_column: one value a row");
  const auto held = std::make_shared<const std::vector<std::string>>(std::move(values));
  set_column(label, [held](int64_t row, std::string_view) { return (*held)[static_cast<size_t>(row)]; });
}

void StarLoop::keep_rows(std::span<const int64_t> rows) {
  for (const int64_t row : rows)
    if (row < 0 || row >= rows_) throw std::out_of_range("StarLoop::keep_rows: no such row");
  std::vector<int64_t> begins;
  begins.reserve(static_cast<size_t>(rows_));
  for (StarRows all(*this); all.next();) begins.push_back(all.begin());
  std::vector<int64_t> kept;
  kept.reserve(rows.size());
  for (const int64_t row : rows) kept.push_back(begins[static_cast<size_t>(row)]);
  if (!new_columns_.empty()) {
    const auto from = std::make_shared<const std::vector<int64_t>>(rows.begin(), rows.end());
    for (NewColumn& fresh : new_columns_)
      fresh.cells = [from, cells = std::move(fresh.cells)](int64_t row, std::string_view before) {
        return cells((*from)[static_cast<size_t>(row)], before);
      };
  }
  kept_ = std::make_shared<const std::vector<int64_t>>(std::move(kept));
  rows_ = static_cast<int64_t>(rows.size());
}

template <class Put>
void StarLoop::write_to(Put put) const {
  std::vector<const NewColumn*> replaced(labels_.size(), nullptr), added;
  for (const NewColumn& fresh : new_columns_) {
    const int at = column(fresh.label);
    if (at < 0) added.push_back(&fresh);
    if (at >= 0) replaced[static_cast<size_t>(at)] = &fresh;
  }
  std::string out = "loop_\n";
  size_t number = 0;
  for (const std::string& label : labels_) out += label + " #" + std::to_string(++number) + "\n";
  for (const NewColumn* fresh : added) out += fresh->label + " #" + std::to_string(++number) + "\n";
  StarRows rows(*this);
  for (int64_t row = 0; rows.next(); ++row) {
    for (size_t i = 0; i < labels_.size(); ++i) {
      if (i) out += ' ';
      const std::string_view cell = rows.raw()[i];
      replaced[i] ? out += star_quote(replaced[i]->cells(row, star_unquote(cell))) : out += cell;
    }
    for (const NewColumn* fresh : added) out += ' ' + star_quote(fresh->cells(row, {}));
    if (row + 1 < rows_) out += '\n';
    put(std::string_view(out));
    out.clear();
  }
  put(std::string_view(out));
}

StarRows::StarRows(const StarLoop& loop) : loop_(loop), lines_(*loop.source_, loop.first_row_, loop.first_line_) {
  loop.source_->check_unchanged();
}

bool StarRows::next() {
  if (++row_ >= loop_.rows_) {
    if (row_ == loop_.rows_) loop_.source_->check_unchanged();
    return false;
  }
  if (loop_.kept_) lines_.seek((*loop_.kept_)[static_cast<size_t>(row_)]);
  raw_.clear();
  for (std::string_view text, cell; raw_.empty();) {
    if (!lines_.next(text)) refuse();
    for (StarLine line(text); line.next(cell) == StarLine::Next::cell;) raw_.push_back(cell);
  }
  if (raw_.size() != loop_.labels_.size()) refuse();
  return true;
}

std::span<const std::string_view> StarRows::cells() {
  unquoted_.clear();
  for (const std::string_view cell : raw_) unquoted_.push_back(star_unquote(cell));
  return unquoted_;
}

void StarRows::refuse() const {
  loop_.source_->check_unchanged();
  throw InputError({.file = loop_.source_->name(),
                    .problem = "the file reads differently than before",
                    .repair = "leave it as it is until this program has ended, and run the same command again"});
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

template <class Put>
void StarDocument::write_to(Put put) const {
  if (!source_) return;
  source_->check_unchanged();
  int64_t done = 0;
  std::string piece;
  const auto copy_to = [&](int64_t end) {
    while (done < end) {
      piece.resize(static_cast<size_t>(std::min(kPiece, end - done)));
      source_->read_at(done, std::as_writable_bytes(std::span(piece)));
      put(std::string_view(piece));
      done += static_cast<int64_t>(piece.size());
    }
  };
  for (const StarBlock& block : blocks_)
    for (const StarLoop& loop : block.loops) {
      if (loop.new_columns_.empty() && !loop.kept_) continue;
      copy_to(loop.begin_);
      loop.write_to(put);
      done = loop.end_;
    }
  copy_to(source_->size());
  source_->check_unchanged();
}

std::string StarDocument::text() const {
  std::string out;
  write_to([&](std::string_view piece) { out += piece; });
  return out;
}

void StarDocument::write(const std::string& path) const {
  AtomicFile file(path, "star");
  write_to([&](std::string_view piece) { file.write(piece); });
  file.commit();
}

}  // namespace recon::io
