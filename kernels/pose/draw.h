#pragma once
#include "kernels/runtime/philox.h"

namespace recon {

/// ln(−ln u) of candidate `index` of an image: minus a number of the standard Gumbel distribution.
RECON_HD inline float negative_gumbel(uint64_t seed, uint32_t sub, int32_t image, int64_t index) {
  const uint64_t place = (static_cast<uint64_t>(index / 4) << 32) | static_cast<uint32_t>(image);
  const u32x4 words = Philox{seed, Purpose::drawn_pose}.draw(place, sub);
  return detail::logarithm(-detail::logarithm(uniform01(words.v[index % 4])));
}

}  // namespace recon
