#pragma once
#include <bit>

#include "kernels/device/dialect.h"
#include "kernels/runtime/vector_math.h"

namespace recon::cuda {

/// sin and cos of 2π·turns for |turns| ≤ 2²², by the special function unit: a third of sincos_turns' instructions. The
/// whole turns go exactly, so the unit sees [−π, π], where it is wrong by 2⁻²¹ of 1 at most; an argument of two turns
/// has lost as much by being a float.
RECON_DEVICE void sincos_turns_fast(float turns, float& sine, float& cosine) {
#if defined(__CUDA_ARCH__)
  constexpr float rounder = 12582912.0f;  // 1.5·2²³: adding it leaves no room for a fraction
  const float whole = (turns + rounder) - rounder;
  __sincosf((turns - whole) * 6.28318530717958648f, &sine, &cosine);
#else
  sincos_turns(turns, sine, cosine);
#endif
}

/// The same to 2e-7 (4e-8 on average), as sincos_turns, in two thirds of its instructions: up to a quarter of a turn
/// the polynomials need no exchange of sine and cosine, and half a turn changes both signs. |turns| ≤ 2²¹.
RECON_DEVICE void sincos_turns_direct(float turns, float& sine, float& cosine) {
  constexpr float rounder = 12582912.0f;
  const float sum = turns * 2.0f + rounder;  // its last bit: an odd number of half turns
  const float t = turns - 0.5f * (sum - rounder), u = t * t;
  const float s =
      t * ((((39.538868999f * u - 76.550107770f) * u + 81.601020875f) * u - 41.341655370f) * u + 6.2831851622f);
  const float c = (((56.242380466f * u - 85.240330323f) * u + 64.934590627f) * u - 19.739171435f) * u + 0.99999995347f;
  const uint32_t sign = std::bit_cast<uint32_t>(sum) << 31;
  sine = std::bit_cast<float>(std::bit_cast<uint32_t>(s) ^ sign);
  cosine = std::bit_cast<float>(std::bit_cast<uint32_t>(c) ^ sign);
}

}  // namespace recon::cuda
