#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/byte_source.h"
#include "io/npy_header.h"

namespace recon::io {

/// A field of a cryoSPARC table and its values.
struct CsColumn {
  NpyField field;
  std::vector<std::byte> bytes;  ///< [rows, field.count] elements of field.width bytes, this machine's order

  int64_t components() const { return field.count; }
  /// A number; of a text field NaN.
  double number(int64_t row, int64_t component = 0) const;
  /// Without the NULs that pad it.
  std::string_view text(int64_t row) const;
};

/// A cryoSPARC .cs file: one row a particle, fields by name. In a file it is a NumPy structured array (.npy format 1 to
/// 3), or cryosparc-tools' stream of columns (CSDAT). Copies are deep.
class CsTable {
 public:
  CsTable() = default;
  /// A table without fields.
  explicit CsTable(int64_t rows) : rows_(rows) {}
  int64_t rows() const { return rows_; }
  const std::vector<CsColumn>& columns() const { return columns_; }
  const CsColumn* find(std::string_view name) const;

  /// Replaces a field or adds it after the last. `shape` is the subarray's; one value an element. Throws
  /// std::invalid_argument for a wrong number of values.
  void set_floats(const std::string& name, const std::vector<int64_t>& shape, std::span<const double> values);
  void set_integers(const std::string& name, const std::vector<int64_t>& shape, std::span<const int64_t> values);
  void set_texts(const std::string& name, const std::vector<std::string>& values);
  void set_column(CsColumn column);
  /// uid of every row. Throws InputError if there is no field `uid` of unsigned 64-bit numbers; `file` names the table.
  std::vector<uint64_t> uids(const std::string& file) const;
  /// Adds the fields that this table lacks from the row of `other` with the same uid. Throws InputError for a row
  /// that `other` does not have and for a uid that stands twice there.
  void join(const CsTable& other, const std::string& file, const std::string& other_file);
  /// The given rows in the given order.
  CsTable take(std::span<const int64_t> rows) const;

 private:
  int64_t rows_ = 0;
  std::vector<CsColumn> columns_;
};

/// Reads a table, a NumPy array or a CSDAT stream. Throws InputError (66 if it cannot be opened, 65 for anything else:
/// a damaged header, object types, a size that is not exactly the file's).
CsTable read_cs(const ByteSource& source);
CsTable read_cs(const std::string& path);
/// The stream form: source begins with \x95CSDAT.
CsTable read_cs_stream(const ByteSource& source);

/// Writes .npy format 1.0 (2.0 for a header beyond 64 KiB), atomically. Throws IoError.
void write_cs(const std::string& path, const CsTable& table);

}  // namespace recon::io
