#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace recon::io {

/// CRC-32C (Castagnoli) of the bytes, continued from `before` (0 to begin). Finds every change within 32 neighbouring
/// bits, so any flipped byte. Uses the processor's instruction where it has one; the result is the same without.
uint32_t crc32c(std::span<const std::byte> bytes, uint32_t before = 0);

/// The table version, for machines without the instruction and as the other's check.
uint32_t crc32c_portable(std::span<const std::byte> bytes, uint32_t before = 0);

}  // namespace recon::io
