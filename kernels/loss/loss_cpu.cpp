#include "kernels/loss/loss.h"

#include "kernels/cpu.h"

namespace recon::cpu {
namespace {

RECON_SIMD float squared_error_row(const float* v, const float* x, const float* ctf, float scale, int64_t count,
                                   float* d) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) {
    const float c = ctf ? ctf[i] : 1.0f;
    const float e = c * v[i] - x[i];
    sum += double(e) * e;
    if (d) d[i] += 2 * scale * c * e;
  }
  return static_cast<float>(sum);
}

}  // namespace

void squared_error(Device& device, const SquaredError& a) {
  device.threads().run(a.prediction.rows, [&](int64_t b, int) {
    a.loss[b] = squared_error_row(a.prediction.row(b), a.target.row(b), a.ctf.empty() ? nullptr : a.ctf.row(b), a.scale,
                                  a.prediction.cols, a.dprediction.empty() ? nullptr : a.dprediction.row(b));
  });
}

void sum_values(Device&, const SumValues& a) {
  double sum = 0;
  for (int64_t i = 0; i < a.values.size(); ++i) sum += a.values[i];
  a.out[0] = (a.accumulate ? a.out[0] : 0.0) + sum * a.scale;
}

}  // namespace recon::cpu
