#include "io/npy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <stdexcept>

#include "io/atomic_file.h"
#include "io/error.h"
#include "io/half.h"
#include "io/npy_header.h"

namespace recon::io {
namespace {

constexpr int64_t kLargestNpyHeader = 1 << 20;  // bytes; numpy itself needs less than 100 for a plain array

/// Fortran order (first index fastest) to C order (last index fastest).
std::vector<std::byte> to_c_order(const std::vector<std::byte>& in, const std::vector<int64_t>& shape, size_t width) {
  std::vector<std::byte> out(in.size());
  std::vector<int64_t> index(shape.size(), 0);
  const int64_t count = static_cast<int64_t>(in.size() / width);
  for (int64_t c = 0; c < count; ++c) {
    int64_t from = 0;
    for (size_t axis = shape.size(); axis-- > 0;) from = from * shape[axis] + index[axis];
    std::memcpy(out.data() + static_cast<size_t>(c) * width, in.data() + static_cast<size_t>(from) * width, width);
    for (size_t axis = shape.size(); axis-- > 0;) {
      if (++index[axis] < shape[axis]) break;
      index[axis] = 0;
    }
  }
  return out;
}

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

double real_at(NpyType type, const std::byte* at) {
  if (type == NpyType::f2) return double(from_half(load<uint16_t>(at)));
  return type == NpyType::f4 ? double(load<float>(at)) : load<double>(at);
}

bool is_real(NpyType type) { return type == NpyType::f2 || type == NpyType::f4 || type == NpyType::f8; }

/// Any stored integer; nothing if it exceeds int64.
std::optional<int64_t> integer_at(NpyType type, const std::byte* at) {
  switch (type) {
    case NpyType::i1:
      return load<int8_t>(at);
    case NpyType::i2:
      return load<int16_t>(at);
    case NpyType::i4:
      return load<int32_t>(at);
    case NpyType::i8:
      return load<int64_t>(at);
    case NpyType::u2:
      return load<uint16_t>(at);
    case NpyType::u4:
      return load<uint32_t>(at);
    case NpyType::u8: {
      const uint64_t value = load<uint64_t>(at);
      if (value > uint64_t(INT64_MAX)) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    default:
      return load<uint8_t>(at);
  }
}

[[noreturn]] void refuse_value(const std::string& name, size_t index, const std::string& problem) {
  throw InputError({.file = name,
                    .where = "element " + std::to_string(index),
                    .problem = problem,
                    .repair = "save the array with the expected type"});
}

}  // namespace

void swap_byte_order(std::span<std::byte> bytes, size_t width) {
  for (size_t i = 0; i + width <= bytes.size(); i += width) std::reverse(bytes.data() + i, bytes.data() + i + width);
}

std::string read_npy_header_text(const ByteSource& source, int64_t& data_offset) {
  const auto refuse = [&](const std::string& problem) {
    throw InputError(
        {.file = source.name(), .where = "byte 0", .problem = problem, .repair = "write it again with numpy.save"});
  };
  std::array<unsigned char, 12> start{};
  if (source.size() < 10) refuse("not a .npy file: too short for its header");
  const size_t known = static_cast<size_t>(std::min<int64_t>(source.size(), 12));
  source.read_at(0, std::as_writable_bytes(std::span(start)).first(known));
  if (std::memcmp(start.data(), "\x93NUMPY", 6) != 0) refuse("not a .npy file: it does not begin with \\x93NUMPY");
  const int version = start[6];
  if (version < 1 || version > 3 || start[7] != 0)
    refuse("unknown .npy format " + std::to_string(start[6]) + "." + std::to_string(start[7]));
  int64_t length = start[8] | start[9] << 8;
  data_offset = 10;
  if (version > 1) length |= int64_t{start[10]} << 16 | int64_t{start[11]} << 24, data_offset = 12;
  if (length > kLargestNpyHeader || length > source.size() - data_offset)
    refuse("the header length " + std::to_string(length) + " does not fit the file of " +
           std::to_string(source.size()) + " bytes");
  std::string text(static_cast<size_t>(length), '\0');
  source.read_at(data_offset, std::as_writable_bytes(std::span(text)));
  data_offset += length;
  return text;
}

NpyArray npy_array_of(NpyType type, std::vector<int64_t> shape, bool big_endian, bool fortran_order,
                      std::vector<std::byte> bytes) {
  const size_t width = npy_width(type);
  int64_t needed = static_cast<int64_t>(width);
  bool fits = true;
  for (const int64_t n : shape) fits = fits && checked_multiply(needed, n, needed);
  if (!fits || needed != static_cast<int64_t>(bytes.size()))
    throw std::invalid_argument("npy_array_of: the shape does not hold the values");
  NpyArray array{type, std::move(shape), std::move(bytes)};
  if (big_endian) swap_byte_order(array.bytes, width);
  if (fortran_order && array.shape.size() > 1) array.bytes = to_c_order(array.bytes, array.shape, width);
  return array;
}

int64_t NpyArray::count() const {
  int64_t count = 1;
  for (const int64_t n : shape) count *= n;
  return count;
}

NpyArray read_npy(const ByteSource& source) {
  int64_t data_offset = 0;
  const NpyHeader header = parse_npy_header(read_npy_header_text(source, data_offset), source.name());
  int64_t bytes = static_cast<int64_t>(npy_width(header.type));
  bool fits = true;
  // A zero extent makes the array empty whatever the others say; the others are still held to int64.
  for (const int64_t n : header.shape) fits = fits && checked_multiply(bytes, n, bytes);
  if (!fits || bytes != source.size() - data_offset)
    throw InputError({.file = source.name(),
                      .where = "byte " + std::to_string(data_offset),
                      .field = "shape",
                      .value = header.shape_text,
                      .problem = "the array needs " + (fits ? std::to_string(bytes) : "more than 2^63") +
                                 " bytes, the file holds " + std::to_string(source.size() - data_offset),
                      .repair = "the file was cut or is damaged; write it again"});
  std::vector<std::byte> stored(static_cast<size_t>(bytes));
  source.read_at(data_offset, stored);
  return npy_array_of(header.type, header.shape, header.big_endian, header.fortran_order, std::move(stored));
}

NpyArray read_npy(const std::string& path) { return read_npy(FileSource(path)); }

namespace {

template <class T>
NpyData<T> convert(const NpyArray& array, const std::string& name) {
  NpyData<T> data{array.shape, std::vector<T>(static_cast<size_t>(array.count()))};
  const size_t width = npy_width(array.type);
  if (array.type == npy_type<T>()) {
    if (!array.bytes.empty()) std::memcpy(data.values.data(), array.bytes.data(), array.bytes.size());
    return data;
  }
  if (is_real(array.type) && !std::is_floating_point_v<T>)
    refuse_value(name, 0, "floating-point numbers where whole numbers are expected");
  for (size_t i = 0; i < data.values.size(); ++i) {
    const std::byte* at = array.bytes.data() + i * width;
    if (is_real(array.type)) {
      data.values[i] = static_cast<T>(real_at(array.type, at));
      continue;
    }
    const std::optional<int64_t> value = integer_at(array.type, at);
    if constexpr (std::is_integral_v<T>) {
      if (!value || *value < int64_t{std::numeric_limits<T>::min()} || *value > int64_t{std::numeric_limits<T>::max()})
        refuse_value(name, i, "a number out of range");
      data.values[i] = static_cast<T>(*value);
    } else {
      data.values[i] = value ? static_cast<T>(*value) : static_cast<T>(load<uint64_t>(at));
    }
  }
  return data;
}

}  // namespace

std::vector<double> npy_values(const NpyArray& array, const std::string& name) {
  return convert<double>(array, name).values;
}

template <class T>
NpyData<T> read_npy_as(const ByteSource& source) {
  return convert<T>(read_npy(source), source.name());
}

template NpyData<float> read_npy_as<float>(const ByteSource&);
template NpyData<double> read_npy_as<double>(const ByteSource&);
template NpyData<int32_t> read_npy_as<int32_t>(const ByteSource&);
template NpyData<int64_t> read_npy_as<int64_t>(const ByteSource&);
template NpyData<uint8_t> read_npy_as<uint8_t>(const ByteSource&);

template <class T>
std::vector<T> read_npy_rows(const std::string& path, int64_t width) {
  NpyData<T> data = read_npy_as<T>(path);
  const std::vector<int64_t>& shape = data.shape;
  const int64_t last = shape.empty() ? 0 : shape.back();
  const int64_t longest = shape.empty() ? 0 : *std::max_element(shape.begin(), shape.end());
  const bool one_column = width == 1 && longest == static_cast<int64_t>(data.values.size());
  if (!one_column && (shape.size() > 2 || last != width)) {
    std::string text;
    for (const int64_t n : shape) text += (text.empty() ? "" : ", ") + std::to_string(n);
    throw InputError(
        {.file = path,
         .field = "shape",
         .value = "(" + text + ")",
         .problem = "rows of " + std::to_string(width) + (width == 1 ? " number" : " numbers") + " are wanted",
         .repair = "save an array of shape (rows, " + std::to_string(width) + ")"});
  }
  for (size_t i = 0; i < data.values.size(); ++i)
    if (!std::isfinite(data.values[i]))
      throw InputError({.file = path,
                        .where = "row " + std::to_string(static_cast<int64_t>(i) / width),
                        .problem = "holds a NaN or an infinity"});
  return data.values;
}

template std::vector<float> read_npy_rows<float>(const std::string&, int64_t);
template std::vector<double> read_npy_rows<double>(const std::string&, int64_t);

void write_npy_bytes(const std::string& path, NpyType type, std::span<const std::byte> bytes,
                     const std::vector<int64_t>& shape) {
  static_assert(std::endian::native == std::endian::little);
  int64_t needed = static_cast<int64_t>(npy_width(type));
  bool fits = true;
  for (const int64_t n : shape) fits = fits && checked_multiply(needed, n, needed);
  if (!fits || needed != static_cast<int64_t>(bytes.size()))
    throw std::invalid_argument("write_npy: the shape does not hold the values");
  std::string header = format_npy_header(type, shape);
  // Padded so that the data begins at a multiple of 64 bytes, as numpy does.
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  if (header.size() > 0xffff) throw std::invalid_argument("write_npy: too many dimensions");
  const char length[2] = {static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
  AtomicFile file(path, "npy");
  file.write(std::string_view("\x93NUMPY\x01\x00", 8));
  file.write(std::string_view(length, 2));
  file.write(header);
  file.write(bytes);
  file.commit();
}

}  // namespace recon::io
