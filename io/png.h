#pragma once
#include <cstdint>
#include <span>
#include <string>

namespace recon::io {

/// Writes an 8-bit RGB picture, pixels [height, width, 3] from the top left, without compression (stored deflate
/// blocks: pictures here are small, and no library is needed). Atomic. Throws std::invalid_argument for a size that
/// does not fit, IoError as AtomicFile.
void write_png(const std::string& path, std::span<const uint8_t> rgb, int width, int height);

}  // namespace recon::io
