#pragma once
#include <string>
#include <vector>

#include "io/byte_source.h"
#include "io/npy.h"

namespace recon::io {

/// The arrays of each pickle of a file that follows the one before it: a NumPy array, a tuple or list of arrays (None
/// is passed over), or a list of whole numbers, which becomes an array. What cryoDRGN's poses.pkl, ctf.pkl, ind.pkl and
/// z.pkl hold.
///
/// A reader of data, not an interpreter of programs: it knows the opcodes by which NumPy writes arrays (protocols 2 to
/// 5), looks no name up and calls nothing; names other than NumPy's own for its arrays are refused. Throws InputError
/// (66 if it cannot be opened, 65 for anything else).
std::vector<std::vector<NpyArray>> read_pickles(const ByteSource& source);
std::vector<std::vector<NpyArray>> read_pickles(const std::string& path);

/// Writes pickles one after the other, each an array or a tuple of arrays (`tuple` or more than one), as NumPy reads
/// them; protocol 4, atomically. Throws IoError.
struct PickledArrays {
  std::vector<NpyArray> arrays;
  bool tuple = false;
};
void write_pickles(const std::string& path, const std::vector<PickledArrays>& pickles);

}  // namespace recon::io
