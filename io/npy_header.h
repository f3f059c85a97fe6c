#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/npy.h"

namespace recon::io {

/// A field of a structured type: `count` elements of `width` bytes a row.
struct NpyField {
  std::string name;
  char kind = 'f';  ///< numpy's: b, i, u, f, S (text of fixed length, NUL-padded), V (bytes without meaning)
  size_t width = 0;
  std::vector<int64_t> shape;  ///< of the subarray; empty: one element
  int64_t count = 1;
  bool big_endian = false;
};

/// The dictionary at the head of a .npy file.
struct NpyHeader {
  std::vector<NpyField> fields;  ///< of a structured type; then `type` says nothing
  NpyType type = NpyType::f4;
  bool big_endian = false;
  bool fortran_order = false;
  std::vector<int64_t> shape;
  std::string shape_text;
};

/// Reads exactly what numpy writes, a dictionary of the three known keys, and nothing of Python beyond it: a plain
/// type, or with `structured` a list of named fields of plain types and their subarrays. Throws InputError (65).
NpyHeader parse_npy_header(std::string_view text, const std::string& name, bool structured = false);

/// The header's text and, in `data_offset`, where the data begins. Throws InputError (65).
std::string read_npy_header_text(const ByteSource& source, int64_t& data_offset);

/// How numpy's `descr` writes a field's type: '<f4', '|S12'.
std::string npy_field_type(const NpyField& field);

/// An array from stored bytes of any order: turned to this machine's bytes and to C order. Throws std::invalid_argument
/// unless the shape holds the bytes.
NpyArray npy_array_of(NpyType type, std::vector<int64_t> shape, bool big_endian, bool fortran_order,
                      std::vector<std::byte> bytes);

/// The type that a name like "f4" stands for. False if it is none that is read here.
bool npy_type_of(std::string_view name, NpyType& type);

/// Turns every group of `width` bytes around.
void swap_byte_order(std::span<std::byte> bytes, size_t width);

/// The dictionary without padding.
std::string format_npy_header(NpyType type, const std::vector<int64_t>& shape);

/// Bytes of one element.
size_t npy_width(NpyType type);

}  // namespace recon::io
