#pragma once
#include <bit>
#include <cstdint>

namespace recon::io {

/// IEEE half to single in integer steps without branches, so that it vectorises on any x86-64.
inline float from_half(uint16_t half) {
  const uint32_t magnitude = half & 0x7fffu;
  const float normal = std::bit_cast<float>((magnitude << 13) + (112u << 23));
  const float special = std::bit_cast<float>((magnitude << 13) + (224u << 23));  // infinity, NaN
  const float subnormal = static_cast<float>(static_cast<int>(magnitude)) * 0x1p-24f;
  const float value = magnitude >= 0x7c00u ? special : magnitude < 0x0400u ? subnormal : normal;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(value) | (uint32_t{half} & 0x8000u) << 16);
}

}  // namespace recon::io
