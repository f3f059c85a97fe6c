#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/npy.h"

namespace recon::io {

/// The dictionary at the head of a .npy file.
struct NpyHeader {
  NpyType type = NpyType::f4;
  bool big_endian = false;
  bool fortran_order = false;
  std::vector<int64_t> shape;
  std::string shape_text;
};

/// Reads exactly what numpy writes, a dictionary of the three known keys, and nothing of Python beyond it.
/// Throws InputError (65).
NpyHeader parse_npy_header(std::string_view text, const std::string& name);

/// The dictionary without padding.
std::string format_npy_header(NpyType type, const std::vector<int64_t>& shape);

/// Bytes of one element.
size_t npy_width(NpyType type);

}  // namespace recon::io
