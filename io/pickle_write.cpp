#include <stdexcept>

#include "io/atomic_file.h"
#include "io/npy_header.h"
#include "io/pickle.h"

namespace recon::io {
namespace {

std::string little_endian(uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 255);
  return out;
}

std::string integer(int64_t value) {
  return std::string("\x8a\x08", 2) + little_endian(static_cast<uint64_t>(value), 8);
}

std::string unicode(std::string_view value) {
  return std::string("X").append(little_endian(value.size(), 4)).append(value);
}

/// numpy's own way: an empty array made by _reconstruct, then its state (1, shape, dtype, is_fortran, bytes).
void write_array(AtomicFile& file, const NpyArray& array) {
  std::string name = format_npy_header(array.type, {});  // {'descr': '<f4', ...
  name = name.substr(name.find(": '") + 3);
  const std::string order = name.substr(0, 1), type = name.substr(1, 2);
  std::string out = "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK";
  out += std::string("\0\x85", 2) +
         std::string(
             "C\x01"
             "b\x87R",
             5) +
         "(" + integer(1) + "(";
  for (const int64_t n : array.shape) out += integer(n);
  out += "tcnumpy\ndtype\n" + unicode(type) + std::string("\x89\x88\x87R(", 5) + integer(3) + unicode(order) + "NNN" +
         integer(-1) + integer(-1) + integer(0) + "tb\x89";
  out += std::string("\x8e") + little_endian(array.bytes.size(), 8);
  file.write(out);
  file.write(array.bytes);
  file.write("tb");
}

}  // namespace

void write_pickles(const std::string& path, const std::vector<PickledArrays>& pickles) {
  AtomicFile file(path, "pickle");
  for (const PickledArrays& pickle : pickles) {
    if (!pickle.tuple && pickle.arrays.size() != 1)
      throw std::invalid_argument("write_pickles: one array, or a tuple of them");
    file.write(std::string_view("\x80\x04", 2));
    if (pickle.tuple) file.write("(");
    for (const NpyArray& array : pickle.arrays) write_array(file, array);
    file.write(pickle.tuple ? "t." : ".");
  }
  file.commit();
}

}  // namespace recon::io
