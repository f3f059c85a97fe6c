#pragma once
#include <cstdint>

#include "kernels/runtime/hd.h"

namespace recon {

/// What a random number is for. Part of the key, so that streams never meet; never renumber: runs resume by it.
enum class Purpose : uint32_t {
  initial_weights = 1,
  shuffle = 2,
  random_pose = 3,
  latent_noise = 4,
  latent_table = 5,
  simulate_pose = 6,
  simulate_shift = 7,
  simulate_state = 8,
  simulate_ctf = 9,
  simulate_noise = 10,
  encoding = 11,
  model = 12,
  clustering = 13,
  linear_latents = 14,
  drawn_pose = 15,
  embedding = 16,
  test = 100,
};

struct u32x4 {
  uint32_t v[4];
};

/// Philox-4x32-10 (Salmon et al., SC 2011): a function of (seed, purpose, index), not a sequence. Any thread, device or
/// resumed run that asks for the same index gets the same bits.
struct Philox {
  uint64_t seed;
  Purpose purpose;

  /// Four words for a 64-bit index and a 32-bit sub-index (an epoch, a component).
  RECON_HD u32x4 draw(uint64_t index, uint32_t sub = 0) const {
    uint32_t c[4] = {static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), sub,
                     static_cast<uint32_t>(purpose)};
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t{0xD2511F53u} * c[0], p1 = uint64_t{0xCD9E8D57u} * c[2];
      const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0;
      const uint32_t n2 = static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1;
      c[1] = static_cast<uint32_t>(p1);
      c[3] = static_cast<uint32_t>(p0);
      c[0] = n0;
      c[2] = n2;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    return {{c[0], c[1], c[2], c[3]}};
  }
};

/// Uniform in (0, 1), 24 bits: (i + ½)/2²⁴. From ½ up a float has no room for the half step and rounds to even, which
/// would make 1 of the last one.
RECON_HD inline float uniform01(uint32_t word) {
  const float p = (static_cast<float>(word >> 8) + 0.5f) * 0x1p-24f;
  return p < 1 ? p : 0x1.fffffep-1f;
}
/// Uniform in (0, 1), 53 bits.
RECON_HD inline double uniform01_double(uint32_t high, uint32_t low) {
  const uint64_t bits = (uint64_t{high} << 21) ^ (low >> 11);
  return (static_cast<double>(bits) + 0.5) * 0x1p-53;
}

/// Single roundings whatever the compiler's flags: on the device a division or a root may else become an approximation.
namespace detail {
#if defined(__CUDA_ARCH__)
RECON_HD inline float fma_exact(float a, float b, float c) { return __fmaf_rn(a, b, c); }
RECON_HD inline float multiply_exact(float a, float b) { return __fmul_rn(a, b); }
RECON_HD inline float divide_exact(float a, float b) { return __fdiv_rn(a, b); }
RECON_HD inline float root_exact(float a) { return __fsqrt_rn(a); }
RECON_HD inline float logarithm(float a) { return logf(a); }
#else
RECON_HD inline float fma_exact(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
RECON_HD inline float multiply_exact(float a, float b) { return a * b; }
RECON_HD inline float divide_exact(float a, float b) { return a / b; }
RECON_HD inline float root_exact(float a) { return __builtin_sqrtf(a); }
RECON_HD inline float logarithm(float a) { return __builtin_logf(a); }
#endif
}  // namespace detail

/// One standard normal number from one word: the inverse of the normal distribution function (Wichura, AS 241, PPND7;
/// about 7 digits), written with explicit fused multiply-adds and single operations only, so that every backend gets
/// the same bits in the central 85 %; the tails use sqrt and log of the host or device library.
RECON_HD inline float normal_from(uint32_t word) {
  using detail::divide_exact, detail::fma_exact, detail::multiply_exact;
  const float p = uniform01(word), q = p - 0.5f;
  if (q >= -0.425f && q <= 0.425f) {
    const float r = fma_exact(-q, q, 0.180625f);
    const float n =
        fma_exact(fma_exact(fma_exact(59.109374720f, r, 159.29113202f), r, 50.434271938f), r, 3.3871327179f);
    const float d = fma_exact(fma_exact(fma_exact(67.187563600f, r, 78.757757664f), r, 17.895169469f), r, 1.0f);
    return multiply_exact(q, divide_exact(n, d));
  }
  float r = q < 0 ? p : 1.0f - p;
  r = detail::root_exact(-detail::logarithm(r));
  float x;
  if (r <= 5.0f) {
    r -= 1.6f;
    const float n =
        fma_exact(fma_exact(fma_exact(0.17023821103f, r, 1.3067284816f), r, 2.7568153900f), r, 1.4234372777f);
    const float d = fma_exact(fma_exact(0.12021132975f, r, 0.73700164250f), r, 1.0f);
    x = divide_exact(n, d);
  } else {
    r -= 5.0f;
    const float n =
        fma_exact(fma_exact(fma_exact(0.017337203997f, r, 0.42868294337f), r, 3.0812263860f), r, 6.6579051150f);
    const float d = fma_exact(fma_exact(0.012258202635f, r, 0.24197894225f), r, 1.0f);
    x = divide_exact(n, d);
  }
  return q < 0 ? -x : x;
}

}  // namespace recon
