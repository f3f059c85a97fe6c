#include "kernels/linear/linear.h"

#include <cblas.h>

#include <algorithm>

#include "kernels/cpu.h"
#include "kernels/linear/linear_paths_cpu.h"

// Encoder layers: few rows (a minibatch) and many columns (all pixels), so the work is split over output columns, each
// task with a fixed shape whatever the number of threads. Backward the library's products of ten rows read and write
// as fast as a copy.
namespace recon::cpu {
namespace {
constexpr int64_t column_block = 64;

int as_int(int64_t value) { return static_cast<int>(value); }

/// `add` makes y(:, j) += x Wᵀ for outputs j in [first, last).
void forward(Device& device, const LinearForward& a, int64_t task_outputs,
             void (*add)(const LinearForward& a, int64_t first, int64_t last)) {
  device.threads().for_range(a.w.rows, task_outputs, [&](int64_t first, int64_t last) {
    for (int64_t i = 0; i < a.x.rows; ++i)
      for (int64_t j = first; j < last; ++j) a.y(i, j) = a.b[j] + (a.residual ? a.x(i, j) : 0.0f);
    add(a, first, last);
    if (a.relu)
      for (int64_t i = 0; i < a.x.rows; ++i)
        for (int64_t j = first; j < last; ++j) a.y(i, j) = std::max(a.y(i, j), 0.0f);
  });
}

void add_blas(const LinearForward& a, int64_t first, int64_t last) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, as_int(a.x.rows), as_int(last - first), as_int(a.x.cols), 1,
              a.x.data, as_int(a.x.cols), a.w.row(first), as_int(a.x.cols), 1, a.y.data + first, as_int(a.y.cols));
}

}  // namespace

void linear_blas(Device& device, const LinearForward& a) { forward(device, a, column_block, add_blas); }
void linear_one_pass(Device& device, const LinearForward& a) { forward(device, a, column_block / 4, add_one_pass); }

void linear_forward(Device& device, const LinearForward& a) {
  const bool few_long_rows = a.x.rows >= 5 && a.x.rows <= 64 && a.x.cols >= 2048;
  (few_long_rows && has_one_pass() ? linear_one_pass : linear_blas)(device, a);
}

void linear_backward(Device& device, const LinearBackward& a) {
  const int64_t rows = a.x.rows, inner = a.x.cols, outputs = a.w.rows;
  device.threads().for_range(outputs, column_block, [&](int64_t first, int64_t last) {
    for (int64_t j = first; j < last; ++j) {
      float sum = 0;
      for (int64_t i = 0; i < rows; ++i) {
        float& d = a.dy(i, j);
        if (a.relu && a.y(i, j) <= 0) d = 0;
        sum += d;
      }
      a.db[j] += sum;
    }
    if (a.dw.empty()) return;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, as_int(last - first), as_int(inner), as_int(rows), 1,
                a.dy.data + first, as_int(outputs), a.x.data, as_int(inner), 1, a.dw.row(first), as_int(inner));
  });
  if (a.dx.empty()) return;
  device.threads().for_range(inner, 4 * column_block, [&](int64_t first, int64_t last) {
    if (a.residual)
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = first; j < last; ++j) a.dx(i, j) += a.dy(i, j);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, as_int(rows), as_int(last - first), as_int(outputs), 1,
                a.dy.data, as_int(outputs), a.w.data + first, as_int(inner), 1, a.dx.data + first, as_int(inner));
  });
}

}  // namespace recon::cpu
