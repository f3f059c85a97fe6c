// Taught: a sum over K in order is a chain of additions, a few clocks each, so forward is bound by their latency and
// not by the weights; backward the inner loop is over neighbours, which the compiler turns into vectors.
#include <algorithm>

#include "kernels/linear/variants/linear_variants_cpu.h"

namespace recon::cpu {

void linear_naive(Device& device, const LinearForward& a) {
  device.threads().for_range(a.w.rows, 8, [&](int64_t first, int64_t last) {
    for (int64_t i = 0; i < a.x.rows; ++i)
      for (int64_t j = first; j < last; ++j) {
        float sum = a.b[j] + (a.residual ? a.x(i, j) : 0.0f);
        for (int64_t k = 0; k < a.x.cols; ++k) sum += a.x(i, k) * a.w(j, k);
        a.y(i, j) = a.relu ? std::max(sum, 0.0f) : sum;
      }
  });
}

void linear_backward_naive(Device& device, const LinearBackward& a) {
  const int64_t rows = a.x.rows, inner = a.x.cols;
  device.threads().for_range(a.w.rows, 8, [&](int64_t first, int64_t last) {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = first; j < last; ++j) {
        if (a.relu && a.y(i, j) <= 0) a.dy(i, j) = 0;
        a.db[j] += a.dy(i, j);
        if (a.dw.empty()) continue;
        for (int64_t k = 0; k < inner; ++k) a.dw(j, k) += a.dy(i, j) * a.x(i, k);
      }
  });
  if (a.dx.empty()) return;
  device.threads().for_range(rows, 1, [&](int64_t i, int64_t) {
    for (int64_t j = 0; j < a.w.rows; ++j)
      for (int64_t k = 0; k < inner; ++k) a.dx(i, k) += a.dy(i, j) * a.w(j, k);
    if (a.residual)
      for (int64_t k = 0; k < inner; ++k) a.dx(i, k) += a.dy(i, k);
  });
}

}  // namespace recon::cpu
