#pragma once
#include <bit>
#include <cstdint>
#include <span>

namespace recon::io {

/// Index of the first NaN or infinity, -1 if there is none. Bits are tested, so no compiler flag can change the answer.
inline int64_t first_not_finite(std::span<const float> values) {
  constexpr uint32_t exponent = 0x7f800000u;
  constexpr size_t block = 4096;
  for (size_t begin = 0; begin < values.size(); begin += block) {
    const auto part = values.subspan(begin, values.size() - begin < block ? values.size() - begin : block);
    uint32_t bad = 0;
    for (const float value : part) bad |= uint32_t{(std::bit_cast<uint32_t>(value) & exponent) == exponent};
    if (!bad) continue;
    for (size_t i = 0; i < part.size(); ++i)
      if ((std::bit_cast<uint32_t>(part[i]) & exponent) == exponent) return static_cast<int64_t>(begin + i);
  }
  return -1;
}

}  // namespace recon::io
