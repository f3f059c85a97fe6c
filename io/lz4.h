#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace recon::io {

/// Decodes one LZ4 block (sequences of literals and matches, as the format's description has it) that must give exactly
/// `size` bytes. False for anything else; never reads or writes beyond its spans. The caller bounds `size`: a block
/// gives at most 255 bytes for each of its own.
bool decode_lz4_block(std::span<const std::byte> block, size_t size, std::vector<std::byte>& out);

}  // namespace recon::io
