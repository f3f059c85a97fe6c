#include "io/cs.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <unordered_map>

#include "io/atomic_file.h"
#include "io/error.h"
#include "io/half.h"

namespace recon::io {
namespace {

constexpr int64_t kChunkBytes = 1 << 20;  // rows are taken apart and put together in pieces of this size
constexpr int64_t kMostRowBytes = 16 << 20;

template <class T>
double widened(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return static_cast<double>(value);
}

size_t row_width(const CsColumn& column) { return column.field.width * static_cast<size_t>(column.field.count); }

[[noreturn]] void refuse_table(const ByteSource& source, const std::string& where, const std::string& problem,
                               const std::string& repair) {
  throw InputError({.file = source.name(), .where = where, .problem = problem, .repair = repair});
}

bool is_stream(const ByteSource& source) {
  std::array<char, 6> magic{};
  if (source.size() < 10) return false;
  source.read_at(0, std::as_writable_bytes(std::span(magic)));
  return std::memcmp(magic.data(),
                     "\x95"
                     "CSDAT",
                     6) == 0;
}

std::vector<CsColumn> columns_of(const ByteSource& source, const NpyHeader& header, int64_t& row_bytes) {
  std::vector<CsColumn> columns;
  row_bytes = 0;
  for (const NpyField& field : header.fields) {
    int64_t width = 0;
    if (!checked_multiply(static_cast<int64_t>(field.width), field.count, width) ||
        (row_bytes += width) > kMostRowBytes)
      refuse_table(source, "byte 0", "a row of more than 16 MiB", "write it again with numpy.save");
    columns.push_back({field, {}});
  }
  return columns;
}

}  // namespace

double CsColumn::number(int64_t row, int64_t component) const {
  const std::byte* at = bytes.data() + static_cast<size_t>(row * field.count + component) * field.width;
  switch (field.kind) {
    case 'f':
      return field.width == 8   ? widened<double>(at)
             : field.width == 4 ? widened<float>(at)
                                : [&] {
                                    uint16_t half;
                                    std::memcpy(&half, at, 2);
                                    return double(from_half(half));
                                  }();
    case 'i':
      return field.width == 8   ? widened<int64_t>(at)
             : field.width == 4 ? widened<int32_t>(at)
             : field.width == 2 ? widened<int16_t>(at)
                                : widened<int8_t>(at);
    case 'u':
    case 'b':
      return field.width == 8   ? widened<uint64_t>(at)
             : field.width == 4 ? widened<uint32_t>(at)
             : field.width == 2 ? widened<uint16_t>(at)
                                : widened<uint8_t>(at);
    default:
      return std::numeric_limits<double>::quiet_NaN();
  }
}

std::string_view CsColumn::text(int64_t row) const {
  const char* at = reinterpret_cast<const char*>(bytes.data()) + static_cast<size_t>(row) * row_width(*this);
  const std::string_view padded(at, field.width);
  return padded.substr(0, padded.find_last_not_of('\0') + 1);
}

const CsColumn* CsTable::find(std::string_view name) const {
  for (const CsColumn& column : columns_)
    if (column.field.name == name) return &column;
  return nullptr;
}

void CsTable::set_column(CsColumn column) {
  if (column.bytes.size() != static_cast<size_t>(rows_) * row_width(column))
    throw std::invalid_argument("CsTable: one value an element is needed");
  for (CsColumn& known : columns_)
    if (known.field.name == column.field.name) {
      known = std::move(column);
      return;
    }
  columns_.push_back(std::move(column));
}

namespace {

template <class T, class From>
CsColumn make_column(const std::string& name, char kind, const std::vector<int64_t>& shape,
                     std::span<const From> values) {
  CsColumn column{{name, kind, sizeof(T), shape, 1, false}, {}};
  for (const int64_t n : shape) column.field.count *= n;
  column.bytes.resize(values.size() * sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) {
    const T value = static_cast<T>(values[i]);
    std::memcpy(column.bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
  return column;
}

}  // namespace

void CsTable::set_floats(const std::string& name, const std::vector<int64_t>& shape, std::span<const double> values) {
  set_column(make_column<float>(name, 'f', shape, values));
}

void CsTable::set_integers(const std::string& name, const std::vector<int64_t>& shape,
                           std::span<const int64_t> values) {
  // uids use all 64 bits, the rest of cryoSPARC's whole numbers 32.
  set_column(name == "uid" ? make_column<uint64_t>(name, 'u', shape, values)
                           : make_column<uint32_t>(name, 'u', shape, values));
}

void CsTable::set_texts(const std::string& name, const std::vector<std::string>& values) {
  CsColumn column{{name, 'S', 1, {}, 1, false}, {}};
  for (const std::string& value : values) column.field.width = std::max(column.field.width, value.size());
  column.bytes.assign(values.size() * column.field.width, std::byte{0});
  for (size_t i = 0; i < values.size(); ++i)
    std::memcpy(column.bytes.data() + i * column.field.width, values[i].data(), values[i].size());
  set_column(std::move(column));
}

std::vector<uint64_t> CsTable::uids(const std::string& file) const {
  const CsColumn* column = find("uid");
  if (!column || column->field.kind != 'u' || column->field.width != 8 || column->field.count != 1)
    throw InputError({.file = file,
                      .field = "uid",
                      .problem = column ? "not one unsigned 64-bit number a row" : "the field is missing",
                      .repair = "give a .cs file that cryoSPARC wrote"});
  std::vector<uint64_t> uids(static_cast<size_t>(rows_));
  if (rows_ > 0) std::memcpy(uids.data(), column->bytes.data(), column->bytes.size());
  return uids;
}

CsTable CsTable::take(std::span<const int64_t> rows) const {
  CsTable out(static_cast<int64_t>(rows.size()));
  for (const CsColumn& column : columns_) {
    const size_t width = row_width(column);
    CsColumn some{column.field, std::vector<std::byte>(rows.size() * width)};
    for (size_t i = 0; i < rows.size() && width > 0; ++i)
      std::memcpy(some.bytes.data() + i * width, column.bytes.data() + static_cast<size_t>(rows[i]) * width, width);
    out.columns_.push_back(std::move(some));
  }
  return out;
}

void CsTable::join(const CsTable& other, const std::string& file, const std::string& other_file) {
  const std::vector<uint64_t> own = uids(file), theirs = other.uids(other_file);
  std::unordered_map<uint64_t, int64_t> row_of;
  for (size_t i = 0; i < theirs.size(); ++i)
    if (!row_of.emplace(theirs[i], static_cast<int64_t>(i)).second)
      throw InputError({other_file, "row " + std::to_string(i + 1), "uid", std::to_string(theirs[i]),
                        "the uid stands twice", "give a file with one row a particle"});
  std::vector<int64_t> rows;
  for (size_t i = 0; i < own.size(); ++i) {
    const auto found = row_of.find(own[i]);
    if (found == row_of.end())
      throw InputError({file, "row " + std::to_string(i + 1), "uid", std::to_string(own[i]),
                        "no such particle in " + printable(other_file), "give the passthrough file of the same job"});
    rows.push_back(found->second);
  }
  for (CsColumn& column : other.take(rows).columns_)
    if (!find(column.field.name)) columns_.push_back(std::move(column));
}

CsTable read_cs(const ByteSource& source) {
  if (is_stream(source)) return read_cs_stream(source);
  int64_t data_offset = 0, row_bytes = 0, needed = 0;
  const NpyHeader header = parse_npy_header(read_npy_header_text(source, data_offset), source.name(), true);
  const std::string where = "byte " + std::to_string(data_offset);
  if (header.shape.size() != 1)
    refuse_table(source, where, "shape " + header.shape_text + " is not one row a particle",
                 "write it again with numpy.save");
  std::vector<CsColumn> columns = columns_of(source, header, row_bytes);
  const int64_t rows = header.shape[0], held = source.size() - data_offset;
  const bool fits = checked_multiply(rows, row_bytes, needed);
  if (!fits || needed != held || (row_bytes == 0 && rows > 0))
    throw InputError({.file = source.name(),
                      .where = where,
                      .field = "shape",
                      .value = header.shape_text,
                      .problem = "the rows need " + (fits ? std::to_string(needed) : "more than 2^63") +
                                 " bytes, the file holds " + std::to_string(held),
                      .repair = "the file was cut or is damaged; export it again"});
  for (CsColumn& column : columns) column.bytes.resize(static_cast<size_t>(rows) * row_width(column));
  const int64_t chunk = std::max<int64_t>(1, kChunkBytes / std::max<int64_t>(1, row_bytes));
  std::vector<std::byte> raw(static_cast<size_t>(std::min(chunk, rows) * row_bytes));
  for (int64_t first = 0; first < rows; first += chunk) {
    const int64_t n = std::min(chunk, rows - first);
    source.read_at(data_offset + first * row_bytes, std::span(raw).first(static_cast<size_t>(n * row_bytes)));
    size_t at = 0;
    for (CsColumn& column : columns) {
      const size_t width = row_width(column);
      for (int64_t i = 0; i < n && width > 0; ++i)
        std::memcpy(column.bytes.data() + static_cast<size_t>(first + i) * width,
                    raw.data() + static_cast<size_t>(i * row_bytes) + at, width);
      at += width;
    }
  }
  CsTable table(rows);
  for (CsColumn& column : columns) {
    if (column.field.big_endian) swap_byte_order(column.bytes, column.field.width);
    column.field.big_endian = false;
    if (!column.field.name.empty()) table.set_column(std::move(column));  // the rest is padding
  }
  return table;
}

CsTable read_cs(const std::string& path) { return read_cs(FileSource(path)); }

void write_cs(const std::string& path, const CsTable& table) {
  std::string header = "{'descr': [";
  size_t row_bytes = 0;
  for (const CsColumn& column : table.columns()) {
    if (row_bytes > 0) header += ", ";
    const char quote = column.field.name.find('\'') == std::string::npos ? '\'' : '"';
    header += std::string("(") + quote + column.field.name + quote + ", '" + npy_field_type(column.field) + "'";
    if (!column.field.shape.empty()) {
      header += ", (";
      for (const int64_t n : column.field.shape) header += std::to_string(n) + ",";
      header += ")";
    }
    header += ")";
    row_bytes += row_width(column);
  }
  header += "], 'fortran_order': False, 'shape': (" + std::to_string(table.rows()) + ",), }";
  const bool wide = header.size() > 65000;
  header.append(63 - ((wide ? 12 : 10) + header.size()) % 64, ' ');
  header += '\n';
  AtomicFile file(path, "cs");
  file.write(std::string_view(wide ? "\x93NUMPY\x02\x00" : "\x93NUMPY\x01\x00", 8));
  std::string length;
  for (int i = 0; i < (wide ? 4 : 2); ++i) length += static_cast<char>(header.size() >> (8 * i) & 255);
  file.write(length);
  file.write(header);
  std::vector<std::byte> row(row_bytes);
  for (int64_t i = 0; i < table.rows(); ++i) {
    size_t at = 0;
    for (const CsColumn& column : table.columns()) {
      const size_t width = row_width(column);
      if (width > 0) std::memcpy(row.data() + at, column.bytes.data() + static_cast<size_t>(i) * width, width);
      at += width;
    }
    file.write(row);
  }
  file.commit();
}

}  // namespace recon::io
