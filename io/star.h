#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/byte_source.h"
#include "io/star_lines.h"

namespace recon::io {

/// The inside of a quoted cell; other cells as they are.
std::string_view star_unquote(std::string_view cell);

/// A cell as it must stand in a file: quoted if it is empty, holds blanks or would otherwise be misread. Throws
/// std::invalid_argument for text that no STAR cell can hold (a line break, both kinds of quote before a blank).
std::string star_quote(std::string_view text);

/// The cells of a new column, made when the document is written: of a row, given what the column held there (unquoted;
/// empty in a column that is added).
using StarCells = std::function<std::string(int64_t row, std::string_view before)>;

/// A table of a STAR file: labels and rows, one row a line. The rows stay where the document was read from, and are
/// read again, in order, when they are visited: a table of 10^7 rows takes no more memory than one of ten.
class StarLoop {
 public:
  /// Labels with their underscore, in order.
  const std::vector<std::string>& labels() const { return labels_; }
  int64_t rows() const { return rows_; }
  /// Column of a label, given with or without the underscore; -1 if there is none.
  int column(std::string_view label) const;
  /// Line of a row in the file, from 1. Reads up to there: for messages.
  int64_t line(int64_t row) const;
  /// The cells of one row, quotes removed, as parsed (set_column does not change them). Reads up to there.
  std::vector<std::string> row(int64_t row) const;
  /// Calls visit(row, cells) for every row in order; `cells` is a std::span<const std::string_view>, quotes removed,
  /// valid during the call. Throws InputError if the file has changed since it was parsed.
  template <class Visit>
  void for_each_row(Visit&& visit) const;
  /// Replaces a column, or adds it after the last, when the document is written; quoted as needed. What `cells` refers
  /// to must live until then.
  void set_column(std::string_view label, StarCells cells);
  /// The same with one value a row.
  void set_column(std::string_view label, std::vector<std::string> values);
  /// Keeps the given rows, in the given order; columns that were set follow. Costs 8 bytes a row. Throws
  /// std::out_of_range.
  void keep_rows(std::span<const int64_t> rows);

 private:
  friend class StarParser;
  friend class StarDocument;
  friend class StarRows;
  struct NewColumn {
    std::string label;
    StarCells cells;
  };
  template <class Put>
  void write_to(Put put) const;

  std::shared_ptr<const ByteSource> source_;  // the whole document
  std::vector<std::string> labels_;
  int64_t rows_ = 0;
  int64_t begin_ = 0, end_ = 0;             // of the loop in the text, from "loop_" to the end of the last row
  int64_t first_row_ = 0, first_line_ = 0;  // where the first row starts, and the number of its line
  std::shared_ptr<const std::vector<int64_t>> kept_;  // where the rows start; null: all that there are, in order
  std::vector<NewColumn> new_columns_;
};

/// The rows of a table, one after the other.
class StarRows {
 public:
  explicit StarRows(const StarLoop& loop);
  /// Goes to the first row, or the next one; false after the last. Throws InputError if the file has changed.
  bool next();
  /// The row's cells, valid until next(): as they stand in the file, and with quotes removed.
  std::span<const std::string_view> raw() const { return raw_; }
  std::span<const std::string_view> cells();
  /// Where the row's line starts in the document.
  int64_t begin() const { return lines_.begin(); }

 private:
  [[noreturn]] void refuse() const;

  const StarLoop& loop_;
  StarLines lines_;
  int64_t row_ = -1;
  std::vector<std::string_view> raw_, unquoted_;
};

template <class Visit>
void StarLoop::for_each_row(Visit&& visit) const {
  StarRows rows(*this);
  for (int64_t i = 0; rows.next(); ++i) visit(i, rows.cells());
}

/// A label and its value outside a table.
struct StarPair {
  std::string label;  ///< with its underscore
  std::string value;  ///< quotes removed
  int64_t line = 0;
};

/// A data_NAME block.
struct StarBlock {
  std::string name;  ///< "particles" of data_particles; may be empty
  int64_t line = 0;
  std::vector<StarPair> pairs;
  std::vector<StarLoop> loops;
  /// Value of a pair, nullptr if there is none; label with or without the underscore.
  const StarPair* pair(std::string_view label) const;
};

/// A STAR file as RELION and its kin write it: blocks of label-value pairs and tables with one row a line. What is not
/// changed is written back byte by byte, comments and spacing included. Copies share the source.
///
/// A file of more than 32 MiB is not held in memory: it stays open, and whoever visits its rows after it has changed
/// gets an InputError.
///
/// Refused with the line number: NUL bytes, text outside a block, rows with too few or too many cells, repeated
/// columns, open quotes, multi-line values and the save_/stop_/global_ words of full CIF.
class StarDocument {
 public:
  StarDocument() = default;
  /// Throws InputError: 66 if the file cannot be opened, 65 if it is not a STAR file.
  static StarDocument parse(const std::string& path);
  /// Keeps the source, to read the rows from.
  static StarDocument parse(std::shared_ptr<const ByteSource> source);
  /// Keeps a copy of the source.
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
  /// Writes text() atomically, a piece at a time. Throws IoError, and InputError if the file has changed.
  void write(const std::string& path) const;

 private:
  template <class Put>
  void write_to(Put put) const;

  std::shared_ptr<const ByteSource> source_;
  std::string name_;
  std::vector<StarBlock> blocks_;
};

}  // namespace recon::io
