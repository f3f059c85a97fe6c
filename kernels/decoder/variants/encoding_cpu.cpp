// Three ways to the positional encoding. A tile spends 0.5 % of its time there, 25 operations a frequency, all in
// vectors. Separable, it is 8: sin 2πf·(x u + y v) from the sines and cosines of f·u x and f·v y, of which a slice has
// D + 1 each, for D²/4 π rows.
#include <cmath>
#include <vector>

#include "kernels/decoder/variants/encoding_variants.h"
#include "kernels/runtime/vector_math.h"

namespace recon::cpu {
namespace {

/// `turns` of all frequencies for the vector k.
RECON_SIMD void phases(const EncodingSum& a, const float* k, float* turns) {
  const float *fx = a.frequencies.row(0), *fy = a.frequencies.row(1), *fz = a.frequencies.row(2);
#pragma omp simd
  for (int64_t f = 0; f < a.frequencies.cols; ++f) turns[f] = fx[f] * k[0] + fy[f] * k[1] + fz[f] * k[2];
}

RECON_SIMD float sum_turns(const float* turns, const float* weights, int64_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t f = 0; f < count; ++f) {
    float sine, cosine;
    sincos_turns(turns[f], sine, cosine);
    sum += weights[f] * sine + weights[count + f] * cosine;
  }
  return sum;
}

float sum_libm(const float* turns, const float* weights, int64_t count) {
  float sum = 0;
  for (int64_t f = 0; f < count; ++f)
    sum += weights[f] * std::sin(6.28318530717958648f * turns[f]) +
           weights[count + f] * std::cos(6.28318530717958648f * turns[f]);
  return sum;
}

/// Sines and cosines, [sine | cosine], of the phases.
RECON_SIMD void sines(const float* turns, int64_t count, float* out) {
  float *sine = out, *cosine = out + count;
#pragma omp simd
  for (int64_t f = 0; f < count; ++f) sincos_turns(turns[f], sine[f], cosine[f]);
}

/// sin (a + b) and cos (a + b) from those of a and b.
RECON_SIMD float sum_products(const float* a, const float* b, const float* weights, int64_t count) {
  const float *sine_a = a, *cosine_a = a + count, *sine_b = b, *cosine_b = b + count;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t f = 0; f < count; ++f)
    sum += weights[f] * (sine_a[f] * cosine_b[f] + cosine_a[f] * sine_b[f]) +
           weights[count + f] * (cosine_a[f] * cosine_b[f] - sine_a[f] * sine_b[f]);
  return sum;
}

using Sum = float (*)(const float*, const float*, int64_t);

void encoding_sum(Device& device, const EncodingSum& a, Sum sum) {
  const int64_t count = a.frequencies.cols, pixels = a.pixels.size();
  const float step = 1.0f / static_cast<float>(a.side);
  device.threads().for_range(a.rotations.rows * pixels, 256, [&](int64_t first, int64_t last) {
    std::vector<float> turns(static_cast<size_t>(count));
    for (int64_t row = first; row < last; ++row) {
      const float* r = a.rotations.row(row / pixels);
      const Pixel pixel = a.pixels[row % pixels];
      const float x = static_cast<float>(pixel.x) * step, y = static_cast<float>(pixel.y) * step;
      const float k[3] = {r[0] * x + r[3] * y, r[1] * x + r[4] * y, r[2] * x + r[5] * y};
      phases(a, k, turns.data());
      a.values.data[row] = sum(turns.data(), a.weights.data, count);
    }
  });
}

}  // namespace

void encoding_sum_libm(Device& device, const EncodingSum& a) { encoding_sum(device, a, sum_libm); }
void encoding_sum_turns(Device& device, const EncodingSum& a) { encoding_sum(device, a, sum_turns); }

void encoding_sum_separable(Device& device, const EncodingSum& a) {
  const int64_t count = a.frequencies.cols, pixels = a.pixels.size(), half = a.side / 2, places = 2 * half + 1;
  std::vector<float> tables(static_cast<size_t>(2 * places * 2 * count));
  const auto table = [&](int axis, int64_t place) { return tables.data() + (axis * places + place) * 2 * count; };
  for (int64_t slice = 0; slice < a.rotations.rows; ++slice) {
    const float* r = a.rotations.row(slice);
    device.threads().for_range(2 * places, 8, [&](int64_t first, int64_t last) {
      std::vector<float> turns(static_cast<size_t>(count));
      for (int64_t i = first; i < last; ++i) {
        const float x = static_cast<float>(i % places - half) / static_cast<float>(a.side);
        const float *axis = r + i / places * 3, k[3] = {axis[0] * x, axis[1] * x, axis[2] * x};
        phases(a, k, turns.data());
        sines(turns.data(), count, table(static_cast<int>(i / places), i % places));
      }
    });
    device.threads().for_range(pixels, 256, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const Pixel p = a.pixels[i];
        a.values(slice, i) = sum_products(table(0, p.x + half), table(1, p.y + half), a.weights.data, count);
      }
    });
  }
}

}  // namespace recon::cpu
