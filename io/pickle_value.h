#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/npy.h"

namespace recon::io::pickle {

/// What stands on the unpickler's stack. A name is one of NumPy's that are known here; a dtype and an array are what
/// calls of those stand for.
struct Value {
  enum Kind { mark, none, boolean, integer, real, text, bytes, tuple, list, name, dtype, array };
  Kind kind = none;
  int64_t integer_value = 0;
  std::string_view data = {};      ///< of text, bytes and names; of an array its elements
  std::vector<size_t> items = {};  ///< of a tuple or list
  NpyType type = NpyType::f4;      ///< of a dtype and of an array
  bool big_endian = false, fortran_order = false, complete = false;
  std::vector<int64_t> shape = {};
};

enum Name : int64_t { reconstruct, ndarray, dtype_name, scalar, frombuffer, codec };

inline std::optional<Name> known_name(std::string_view module, std::string_view name) {
  const bool core = module == "numpy.core.multiarray" || module == "numpy._core.multiarray";
  if (core && name == "_reconstruct") return reconstruct;
  if (core && name == "scalar") return scalar;
  if ((module == "numpy.core.numeric" || module == "numpy._core.numeric") && name == "_frombuffer") return frombuffer;
  if (module == "numpy" && name == "ndarray") return ndarray;
  if (module == "numpy" && name == "dtype") return dtype_name;
  if (module == "_codecs" && name == "encode") return codec;
  return std::nullopt;
}

/// The bytes that a UTF-8 text of code points below 256 stands for; nothing for another text.
inline std::optional<std::string> latin1(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead >= 0x80 && ((lead != 0xc2 && lead != 0xc3) || i + 1 == text.size())) return std::nullopt;
    bytes += lead < 0x80 ? text[i] : static_cast<char>(lead << 6 | (static_cast<unsigned char>(text[++i]) & 0x3f));
  }
  return bytes;
}

}  // namespace recon::io::pickle
