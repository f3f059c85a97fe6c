// Slices of a lattice of 16-bit numbers: one gather of 32 bits brings two neighbours, so a sample is four loads in
// place of eight, of half the bytes. The rounding, 2⁻¹² of a value on average less, is far below what trilinear leaves.
#include <algorithm>

#include "kernels/runtime/half.h"
#include "kernels/slice/variants/slice_variants_cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace recon::cpu {

std::vector<uint16_t> half_lattice(const LatticeVolume& volume) {
  std::vector<uint16_t> out;
  for (int64_t i = 0; i < volume.values.size(); ++i) out.push_back(to_half(volume.values[i]));
  return out;
}

#if defined(__x86_64__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // of the intrinsics' own "undefined" operands (GCC 12)
namespace {

#define RECON_AVX512 __attribute__((target("avx512f")))

/// An axis of 16 samples: cell and place within it.
struct Axis {
  __m512i cell;
  __m512 part;
};
RECON_AVX512 inline Axis axis(__m512 at, int last) {
  const __m512i cell =
      _mm512_min_epi32(_mm512_max_epi32(_mm512_cvttps_epi32(at), _mm512_setzero_si512()), _mm512_set1_epi32(last));
  return {cell, _mm512_sub_ps(at, _mm512_cvtepi32_ps(cell))};
}

RECON_AVX512 inline __m512 between(__m512 part, __m512 low, __m512 high) {
  return _mm512_fmadd_ps(part, _mm512_sub_ps(high, low), low);
}

/// Two neighbours of the lattice from index `at`, interpolated.
RECON_AVX512 inline __m512 row(const uint16_t* lattice, __m512i at, __m512 part) {
  const __m512i both = _mm512_i32gather_epi32(at, lattice, 2);
  return between(part, _mm512_cvtph_ps(_mm512_cvtepi32_epi16(both)),
                 _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(both, 16))));
}

struct Row {
  const uint16_t* lattice;
  int side;
  float scale;
  const float *rotation, *x, *y;  ///< x, y: of all pixels, up to a multiple of 16
};

RECON_AVX512 void sample_row(const Row& a, int64_t count, float* out) {
  const __m512i side = _mm512_set1_epi32(a.side), plane = _mm512_set1_epi32(a.side * a.side);
  const __m512 centre = _mm512_set1_ps(static_cast<float>(a.side / 2));
  for (int64_t p = 0; p < count; p += 16) {
    const __m512 px = _mm512_loadu_ps(a.x + p), py = _mm512_loadu_ps(a.y + p);
    Axis axes[3];
    for (int i = 0; i < 3; ++i)
      axes[i] =
          axis(_mm512_add_ps(centre, _mm512_fmadd_ps(_mm512_set1_ps(a.scale * a.rotation[i]), px,
                                                     _mm512_mul_ps(_mm512_set1_ps(a.scale * a.rotation[3 + i]), py))),
               a.side - 2);
    const __m512i low = _mm512_add_epi32(
        _mm512_mullo_epi32(_mm512_add_epi32(_mm512_mullo_epi32(axes[2].cell, side), axes[1].cell), side), axes[0].cell);
    const __m512i high = _mm512_add_epi32(low, plane);
    const __m512 near = between(axes[1].part, row(a.lattice, low, axes[0].part),
                                row(a.lattice, _mm512_add_epi32(low, side), axes[0].part)),
                 far = between(axes[1].part, row(a.lattice, high, axes[0].part),
                               row(a.lattice, _mm512_add_epi32(high, side), axes[0].part));
    const auto left = static_cast<__mmask16>(count - p < 16 ? (1 << (count - p)) - 1 : 0xffff);
    _mm512_mask_storeu_ps(out + p, left, between(axes[2].part, near, far));
  }
}

}  // namespace

bool has_half_gathers() { return __builtin_cpu_supports("avx512f"); }

void sample_slices_half(Device& device, const SampleSlices& a, const std::vector<uint16_t>& lattice) {
  const int64_t count = a.pixels.size(), whole = (count + 15) / 16 * 16;
  std::vector<float> x(static_cast<size_t>(whole)), y(x);
  for (int64_t p = 0; p < count; ++p)
    x[p] = static_cast<float>(a.pixels[p].x), y[p] = static_cast<float>(a.pixels[p].y);
  device.threads().run(a.rotations.rows, [&](int64_t slice, int) {
    if (a.active.empty() || a.active[slice] != 0)
      sample_row({lattice.data(), a.volume.side, static_cast<float>(a.volume.oversampling), a.rotations.row(slice),
                  x.data(), y.data()},
                 count, a.values.row(slice));
  });
}
#pragma GCC diagnostic pop
#else
bool has_half_gathers() { return false; }
void sample_slices_half(Device&, const SampleSlices&, const std::vector<uint16_t>&) {}
#endif

}  // namespace recon::cpu
