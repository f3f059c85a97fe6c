#pragma once
#include <bit>
#include <cstdint>

#include "kernels/runtime/hd.h"

namespace recon {

/// IEEE half to single, exactly.
RECON_HD inline float from_half(uint16_t half) {
  const uint32_t size = half & 0x7fffu, sign = uint32_t{half & 0x8000u} << 16;
  const uint32_t wide = size >= 0x7c00u ? size << 13 | 0x7f800000u  // infinite or no number
                                        : std::bit_cast<uint32_t>(std::bit_cast<float>(size << 13) * 0x1p112f);
  return std::bit_cast<float>(sign | wide);
}

/// Single to IEEE half, to nearest even; what is too large becomes infinite.
RECON_HD inline uint16_t to_half(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) return 0x7fffu;
  if (size >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7c00u);
  // Below the normal numbers the sum with ½ rounds at their common unit, 2⁻²⁴.
  if (size < 0x38800000u)
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(std::bit_cast<float>(size) + 0.5f) - 0x3f000000u));
  return static_cast<uint16_t>(sign | ((size + 0xfffu + (size >> 13 & 1u) - 0x38000000u) >> 13));
}

}  // namespace recon
