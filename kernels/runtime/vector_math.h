#pragma once
#include <cstdint>

#include "kernels/runtime/hd.h"

namespace recon {

/// sin and cos of 2π·turns. Exact range reduction in turns, then minimax polynomials on ±45°: error below 1.2e-7 for
/// any |turns| ≤ 2²², plus what the float argument itself has lost. No branches, so loops over it vectorise.
RECON_HD inline void sincos_turns(float turns, float& sine, float& cosine) {
  const float quarter = turns * 4.0f;
#if defined(__CUDA_ARCH__)
  const float nearest = rintf(quarter);
#else
  const float nearest = __builtin_rintf(quarter);
#endif
  const int32_t quadrant = static_cast<int32_t>(nearest);
  const float x = (quarter - nearest) * 1.57079632679489662f, x2 = x * x;
  const float s = x + x * x2 * (-1.6666654611e-1f + x2 * (8.3321608736e-3f + x2 * -1.9515295891e-4f));
  const float c =
      1.0f - 0.5f * x2 + x2 * x2 * (4.166664568298827e-2f + x2 * (-1.388731625493765e-3f + x2 * 2.443315711809948e-5f));
  const bool swap = quadrant & 1;
  const float a = swap ? c : s, b = swap ? s : c;
  sine = quadrant & 2 ? -a : a;
  cosine = (quadrant + 1) & 2 ? -b : b;
}

}  // namespace recon
