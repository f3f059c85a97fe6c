#pragma once
#include "kernels/runtime/philox.h"

namespace recon {

/// The random words of candidates 4 · group … 4 · group + 3 of an image.
RECON_HD inline u32x4 candidate_words(uint64_t seed, uint32_t sub, int32_t image, int64_t group) {
  const uint64_t place = (static_cast<uint64_t>(group) << 32) | static_cast<uint32_t>(image);
  return Philox{seed, Purpose::drawn_pose}.draw(place, sub);
}

/// ln(−ln u): minus a number of the standard Gumbel distribution.
RECON_HD inline float negative_gumbel(uint32_t word) { return detail::logarithm(-detail::logarithm(uniform01(word))); }

}  // namespace recon
