#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "io/byte_source.h"

namespace recon::io {

/// Element types of a .npy file; the value's name is numpy's kind and size in bytes.
enum class NpyType { b1, i1, i2, i4, i8, u1, u2, u4, u8, f2, f4, f8 };

/// An array as stored, in C order and this machine's byte order.
struct NpyArray {
  NpyType type = NpyType::f4;
  std::vector<int64_t> shape;  ///< empty: a scalar
  std::vector<std::byte> bytes;

  int64_t count() const;  ///< elements
};

/// Reads .npy format 1, 2 or 3, little- or big-endian, C or Fortran order (returned in C order). Throws InputError (66
/// if it cannot be opened, 65 for anything else: object and structured types, a damaged header, a size that is not
/// exactly the file's).
NpyArray read_npy(const ByteSource& source);
NpyArray read_npy(const std::string& path);

/// An array converted to T.
template <class T>
struct NpyData {
  std::vector<int64_t> shape;
  std::vector<T> values;
};

/// Reads and converts to T (float, double, int32_t, int64_t, uint8_t). Integers may become floating point; floating
/// point becomes integer never; an integer that T cannot hold is an InputError (65).
template <class T>
NpyData<T> read_npy_as(const ByteSource& source);
template <class T>
NpyData<T> read_npy_as(const std::string& path) {
  return read_npy_as<T>(FileSource(path));
}

/// The numbers of an array that was read, whatever its type; `name` is for messages.
std::vector<double> npy_values(const NpyArray& array, const std::string& name);

/// Rows of `width` finite numbers, one after the other: shape [N, width], one row [width], or N numbers along any one
/// dimension where width is 1. T is float or double. Throws InputError (65) for another shape, a NaN or an infinity,
/// else as read_npy.
template <class T>
std::vector<T> read_npy_rows(const std::string& path, int64_t width);

/// Writes format 1.0, C order, atomically. Throws std::invalid_argument if the shape does not hold bytes.size() bytes,
/// IoError as AtomicFile.
void write_npy_bytes(const std::string& path, NpyType type, std::span<const std::byte> bytes,
                     const std::vector<int64_t>& shape);

template <class T>
constexpr NpyType npy_type() {
  static_assert(std::is_arithmetic_v<T>);
  if constexpr (std::is_same_v<T, bool>) return NpyType::b1;
  if constexpr (std::is_floating_point_v<T>) return sizeof(T) == 4 ? NpyType::f4 : NpyType::f8;
  if constexpr (std::is_signed_v<T>)
    return sizeof(T) == 1 ? NpyType::i1 : sizeof(T) == 2 ? NpyType::i2 : sizeof(T) == 4 ? NpyType::i4 : NpyType::i8;
  return sizeof(T) == 1 ? NpyType::u1 : sizeof(T) == 2 ? NpyType::u2 : sizeof(T) == 4 ? NpyType::u4 : NpyType::u8;
}

template <class T>
void write_npy(const std::string& path, std::span<const T> values, const std::vector<int64_t>& shape) {
  write_npy_bytes(path, npy_type<T>(), std::as_bytes(values), shape);
}
template <class T>
void write_npy(const std::string& path, const std::vector<T>& values, const std::vector<int64_t>& shape) {
  write_npy(path, std::span<const T>(values), shape);
}

}  // namespace recon::io
