#include "kernels/loss/loss.h"

#include "kernels/cpu.h"
#include "kernels/loss/loss_row.h"

namespace recon::cpu {

RECON_SIMD double squared_error_row(const float* v, const float* x, const float* ctf, float scale, int64_t count,
                                    RowGradient gradient, float* d) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) {
    const float c = ctf ? ctf[i] : 1.0f;
    const float e = c * v[i] - x[i];
    sum += double(e) * e;
    if (gradient == RowGradient::write) d[i] = 2 * scale * c * e;
    if (gradient == RowGradient::add) d[i] += 2 * scale * c * e;
  }
  return sum;
}

void squared_error(Device& device, const SquaredError& a) {
  device.threads().run(a.prediction.rows, [&](int64_t b, int) {
    const bool gradient = !a.dprediction.empty();
    a.loss[b] = static_cast<float>(squared_error_row(
        a.prediction.row(b), a.target.row(b), a.ctf.empty() ? nullptr : a.ctf.row(b), a.scale.get(), a.prediction.cols,
        gradient ? RowGradient::add : RowGradient::none, gradient ? a.dprediction.row(b) : nullptr));
  });
}

void sum_values(Device&, const SumValues& a) {
  double sum = 0;
  for (int64_t i = 0; i < a.values.size(); ++i) sum += a.values[i];
  a.out[0] = (a.accumulate ? a.out[0] : 0.0) + sum * a.scale;
}

}  // namespace recon::cpu
