#include "io/lz4.h"

#include <cstdint>

namespace recon::io {
namespace {

/// Reads a block from its start.
struct BlockReader {
  std::span<const std::byte> block;
  size_t at = 0;

  bool left(size_t count) const { return count <= block.size() - at; }
  size_t byte() { return static_cast<size_t>(block[at++]); }
  /// A length of four bits that goes on in further bytes where it is 15.
  bool length(size_t nibble, size_t& value) {
    value = nibble;
    for (size_t more = 255; nibble == 15 && more == 255; value += more) {
      if (!left(1)) return false;
      more = byte();
    }
    return true;
  }
};

}  // namespace

bool decode_lz4_block(std::span<const std::byte> block, size_t size, std::vector<std::byte>& out) {
  BlockReader in{block};
  out.clear();
  out.reserve(size);
  while (in.left(1)) {
    const size_t token = in.byte();
    size_t literals = 0, match = 0;
    if (!in.length(token >> 4, literals) || !in.left(literals) || literals > size - out.size()) return false;
    out.insert(out.end(), block.begin() + static_cast<int64_t>(in.at),
               block.begin() + static_cast<int64_t>(in.at + literals));
    in.at += literals;
    if (!in.left(1)) break;  // the last sequence has no match
    if (!in.left(2)) return false;
    const size_t low = in.byte(), offset = low | in.byte() << 8;
    if (!in.length(token & 15, match)) return false;
    match += 4;
    if (offset == 0 || offset > out.size() || match > size - out.size()) return false;
    for (size_t i = 0; i < match; ++i) out.push_back(out[out.size() - offset]);  // may overlap itself
  }
  return out.size() == size;
}

}  // namespace recon::io
