#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace recon::io {

/// A zlib stream (RFC 1950, 1951): one block with Huffman codes of its own, runs of a byte as matches of distance 1.
/// For pictures filtered as PNG does, and for small tables: near what a full search for matches reaches, in a page of
/// code.
std::vector<uint8_t> deflate(std::span<const uint8_t> bytes);

}  // namespace recon::io
