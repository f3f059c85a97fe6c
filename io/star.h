#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/byte_source.h"

namespace recon::io {

/// The inside of a quoted cell; other cells as they are.
std::string_view star_unquote(std::string_view cell);

/// A cell as it must stand in a file: quoted if it is empty, holds blanks or would otherwise be misread. Throws
/// std::invalid_argument for text that no STAR cell can hold (a line break, both kinds of quote before a blank).
std::string star_quote(std::string_view text);

/// A table of a STAR file: labels and rows, one row a line. Of a row only its place in the text is kept, so a table of
/// 10^7 rows costs 80 MB beside its text; cells are found again when they are visited.
class StarLoop {
 public:
  /// Labels with their underscore, in order.
  const std::vector<std::string_view>& labels() const { return labels_; }
  int64_t rows() const { return static_cast<int64_t>(row_begin_.size()); }
  /// Column of a label, given with or without the underscore; -1 if there is none.
  int column(std::string_view label) const;
  /// Line of a row in the file, from 1. Counts line breaks: for messages.
  int64_t line(int64_t row) const;
  /// The cells of one row, quotes removed, as parsed (set_column does not change them).
  std::vector<std::string_view> row(int64_t row) const;
  /// Calls visit(row, cells) for every row in order; `cells` is a std::span<const std::string_view>, quotes removed,
  /// valid during the call.
  template <class Visit>
  void for_each_row(Visit&& visit) const {
    std::vector<std::string_view> cells;
    for (int64_t i = 0; i < rows(); ++i) {
      split_row(i, cells, true);
      visit(i, std::span<const std::string_view>(cells));
    }
  }
  /// Replaces a column, or adds it after the last, when the document is written. One value a row; quoted as needed.
  void set_column(std::string_view label, std::vector<std::string> values);
  /// Keeps the given rows, in the given order; columns that were set follow. Throws std::out_of_range.
  void keep_rows(std::span<const int64_t> rows);

 private:
  friend class StarParser;
  friend class StarDocument;
  struct NewColumn {
    std::string label;
    std::vector<std::string> values;
  };
  void split_row(int64_t row, std::vector<std::string_view>& cells, bool unquote) const;
  void write_to(std::string& out) const;

  std::string_view text_;  // the whole document
  std::vector<std::string_view> labels_;
  std::vector<uint64_t> row_begin_;
  size_t begin_ = 0, end_ = 0;  // of the loop in the text, from "loop_" to the end of the last row
  std::vector<NewColumn> new_columns_;
  bool fewer_rows_ = false;
};

/// A label and its value outside a table.
struct StarPair {
  std::string_view label;  ///< with its underscore
  std::string_view value;  ///< quotes removed
  int64_t line = 0;
};

/// A data_NAME block.
struct StarBlock {
  std::string_view name;  ///< "particles" of data_particles; may be empty
  int64_t line = 0;
  std::vector<StarPair> pairs;
  std::vector<StarLoop> loops;
  /// Value of a pair, nullptr if there is none; label with or without the underscore.
  const StarPair* pair(std::string_view label) const;
};

/// A STAR file as RELION and its kin write it: blocks of label-value pairs and tables with one row a line. What is not
/// changed is written back byte by byte, comments and spacing included. Copies share the text.
///
/// Refused with the line number: NUL bytes, text outside a block, rows with too few or too many cells, repeated
/// columns, open quotes, multi-line values and the save_/stop_/global_ words of full CIF.
class StarDocument {
 public:
  StarDocument() = default;
  /// Throws InputError: 66 if the file cannot be opened, 65 if it is not a STAR file.
  static StarDocument parse(const std::string& path);
  static StarDocument parse(const ByteSource& source);
  static StarDocument parse_text(std::string_view text, const std::string& name);

  const std::string& name() const { return name_; }
  bool empty() const { return blocks_.empty(); }
  const std::vector<StarBlock>& blocks() const { return blocks_; }
  std::vector<StarBlock>& blocks() { return blocks_; }
  /// First block of that name, nullptr if there is none.
  const StarBlock* find(std::string_view block) const;
  StarBlock* find(std::string_view block);

  /// The document with its replaced columns.
  std::string text() const;
  /// Writes text() atomically. Throws IoError.
  void write(const std::string& path) const;

 private:
  friend class StarParser;
  std::shared_ptr<const std::string> text_;
  std::string name_;
  std::vector<StarBlock> blocks_;
};

}  // namespace recon::io
