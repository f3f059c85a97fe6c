#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "io/cs.h"
#include "io/error.h"
#include "io/lz4.h"
#include "io/strict_json.h"

// cryosparc-tools' stream form of a table (CSDAT): magic, length and text of a JSON header, then of every field a
// 32-bit length and its values, LZ4 blocks where the header says so, and at the end the texts that text fields point
// into.
namespace recon::io {
namespace {

constexpr size_t kLongestText = 4096;
constexpr int64_t kMostRatio = 255;  // of an LZ4 block

class CsStream {
 public:
  explicit CsStream(const ByteSource& source) : source_(source) {}

  CsTable read() {
    at_ = 6;
    std::string text(static_cast<size_t>(length("header")), '\0');
    fill(std::as_writable_bytes(std::span(text)));
    const nlohmann::json header = parse_json(text, source_.name());
    read_fields(header);
    CsTable table(rows_);
    for (CsColumn& column : columns_) read_values(column);
    const std::string heap = read_heap();
    for (CsColumn& column : columns_)
      if (column.field.kind == 'O')
        table.set_texts(column.field.name, texts(column, heap));
      else
        table.set_column(std::move(column));
    return table;
  }

 private:
  [[noreturn]] void refuse(const std::string& problem, const std::string& field = "") const {
    throw InputError({.file = source_.name(),
                      .where = "byte " + std::to_string(at_),
                      .field = field,
                      .problem = problem,
                      .repair = "export the file again"});
  }
  void fill(std::span<std::byte> out) {
    source_.read_at(at_, out);
    at_ += static_cast<int64_t>(out.size());
  }
  int64_t length(const std::string& what) {
    uint8_t bytes[4];
    fill(std::as_writable_bytes(std::span(bytes)));
    const int64_t value = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | int64_t{bytes[3]} << 24;
    if (value > source_.size() - at_)
      refuse("a length of " + std::to_string(value) + " bytes goes beyond the file", what);
    return value;
  }

  void read_fields(const nlohmann::json& header) try {
    rows_ = header.at("length").get<int64_t>();
    if (rows_ < 0 || rows_ > kMostRatio * source_.size()) refuse("more rows than the file can hold", "length");
    for (const auto& item : header.at("dtype")) {
      NpyField field{.name = item.at(0).get<std::string>()};
      const std::string type = item.at(1).get<std::string>();
      if (item.size() > 2) field.shape = item.at(2).get<std::vector<int64_t>>();
      set_type(type, field);
      for (const int64_t n : field.shape)
        if (!checked_multiply(field.count, n, field.count) || field.count > kMostElements)
          refuse("a shape too large", field.name);
      for (const CsColumn& other : columns_)
        if (other.field.name == field.name) refuse("the field stands twice", field.name);
      columns_.push_back({std::move(field), {}});
    }
    for (const auto& name : header.at("compressed_fields")) compressed_.push_back(name.get<std::string>());
    if (!compressed_.empty() && header.at("compression") != "lz4")
      refuse("compressed in another way than LZ4", "compression");
  } catch (const nlohmann::json::exception&) {
    refuse("the header does not list length, dtype, compression and compressed_fields");
  }
  void set_type(const std::string& type, NpyField& field) const {
    NpyType plain;
    const bool number = type.size() == 3 && (type[0] == '<' || type[0] == '|') && npy_type_of(type.substr(1), plain);
    if (!number && (type != "|O" || !field.shape.empty()))
      refuse("the type '" + printable(type, 20) + "' is not readable", field.name);
    field.kind = type[1];  // O: an offset into the heap
    field.width = number ? npy_width(plain) : 8;
  }

  void read_values(CsColumn& column) {
    if (rows_ == 0) return;
    const NpyField& field = column.field;
    const bool packed = std::find(compressed_.begin(), compressed_.end(), field.name) != compressed_.end();
    const int64_t stored = length(field.name);
    int64_t needed = 0;
    if (!checked_multiply(rows_, static_cast<int64_t>(field.width), needed) ||
        !checked_multiply(needed, field.count, needed) ||
        (packed ? needed > kMostRatio * stored + 64 : needed != stored))
      refuse("the field's " + std::to_string(stored) + " bytes do not hold " + std::to_string(rows_) + " rows",
             field.name);
    std::vector<std::byte> bytes(static_cast<size_t>(stored));
    fill(bytes);
    if (!packed)
      column.bytes = std::move(bytes);
    else if (!decode_lz4_block(bytes, static_cast<size_t>(needed), column.bytes))
      refuse("a damaged LZ4 block", field.name);
  }

  std::string read_heap() {
    std::string heap(static_cast<size_t>(source_.size() - at_), '\0');
    fill(std::as_writable_bytes(std::span(heap)));
    return heap;
  }
  std::vector<std::string> texts(const CsColumn& column, const std::string& heap) {
    std::vector<std::string> out;
    for (int64_t row = 0; row < rows_; ++row) {
      uint64_t offset = 0;
      std::memcpy(&offset, column.bytes.data() + 8 * row, 8);
      const size_t end = offset < heap.size() ? heap.find('\0', offset) : std::string::npos;
      if (end == std::string::npos || end - offset > kLongestText)
        refuse("a text that is not in the file", column.field.name);
      longest_ = std::max(longest_, end - offset);
      if (static_cast<int64_t>(longest_) * rows_ > kMostRatio * source_.size() + (1 << 20))
        refuse("texts far larger than the file", column.field.name);
      out.push_back(heap.substr(offset, end - offset));
    }
    return out;
  }

  static constexpr int64_t kMostElements = 1 << 20;
  const ByteSource& source_;
  int64_t at_ = 0, rows_ = 0;
  size_t longest_ = 0;
  std::vector<CsColumn> columns_;
  std::vector<std::string> compressed_;
};

}  // namespace

CsTable read_cs_stream(const ByteSource& source) { return CsStream(source).read(); }

}  // namespace recon::io
