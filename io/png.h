#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace recon::io {

/// The bytes of a PNG file of one byte a pixel [height, width], from the top left: places in a palette [colours, 4] of
/// red, green, blue and opacity, at most 256 of them. Throws std::invalid_argument for a size that does not fit.
std::vector<uint8_t> indexed_png(std::span<const uint8_t> pixels, int width, int height,
                                 std::span<const uint8_t> palette);

/// Writes an 8-bit RGB picture, pixels [height, width, 3] from the top left. Atomic. Throws std::invalid_argument for a
/// size that does not fit, IoError as AtomicFile.
void write_png(const std::string& path, std::span<const uint8_t> rgb, int width, int height);

}  // namespace recon::io
