// Products of few long rows with weights that are read once, where they stand.
//
// Floor: 4 bytes and 2 flops a row for each weight. At 64 px, width 128, ten rows one core takes 92 us with the weights
// in its caches, the rate of a large library product, and 200 us without, 8 GB/s: reading. The library takes 180 and
// 280 us there, the same at 1,024 columns, and less below, where sums over lanes count, and for fewer than five rows.
#include <algorithm>

#include "kernels/linear/linear_paths_cpu.h"

namespace recon::cpu {

#if defined(__x86_64__)
namespace {

constexpr int64_t piece = 2048;                   // columns: those of ten rows stay in the second-level cache
constexpr int lanes = 16, rows = 5, outputs = 4;  // of a tile: 20 sums and what they need fill the registers

typedef float Vector __attribute__((vector_size(4 * lanes)));
typedef float Unaligned __attribute__((vector_size(4 * lanes), aligned(4), may_alias));
typedef float Four __attribute__((vector_size(16)));

const Unaligned& vector_at(const float* at) { return *reinterpret_cast<const Unaligned*>(at); }

/// The sums of the lanes of four vectors.
__attribute__((target("avx512f"))) inline Four lane_sums(const Vector* v) {
  Four quarter[4];
  for (int i = 0; i < 4; ++i)
    quarter[i] =
        __builtin_shufflevector(v[i], v[i], 0, 1, 2, 3) + __builtin_shufflevector(v[i], v[i], 4, 5, 6, 7) +
        (__builtin_shufflevector(v[i], v[i], 8, 9, 10, 11) + __builtin_shufflevector(v[i], v[i], 12, 13, 14, 15));
  const Four low = __builtin_shufflevector(quarter[0], quarter[1], 0, 1, 4, 5) +
                   __builtin_shufflevector(quarter[0], quarter[1], 2, 3, 6, 7);
  const Four high = __builtin_shufflevector(quarter[2], quarter[3], 0, 1, 4, 5) +
                    __builtin_shufflevector(quarter[2], quarter[3], 2, 3, 6, 7);
  return __builtin_shufflevector(low, high, 0, 2, 4, 6) + __builtin_shufflevector(low, high, 1, 3, 5, 7);
}

/// y(i, j) += Σ_k x(i, k) w(j, k) over `count` numbers, for x_rows ≤ rows and w_rows ≤ outputs; rows of x and w are
/// `step` apart. A tile that is not full repeats its last rows and does not store them.
__attribute__((target("avx512f"))) void add_dots(const float* x, const float* w, int64_t step, int64_t count,
                                                 int64_t x_rows, int64_t w_rows, float* y, int64_t y_step) {
  const float *from[rows], *weights[outputs];
  for (int i = 0; i < rows; ++i) from[i] = x + std::min<int64_t>(i, x_rows - 1) * step;
  for (int j = 0; j < outputs; ++j) weights[j] = w + std::min<int64_t>(j, w_rows - 1) * step;
  Vector sums[rows][outputs] = {};
  int64_t k = 0;
  for (; k + lanes <= count; k += lanes)
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < outputs; ++j) sums[i][j] += vector_at(from[i] + k) * vector_at(weights[j] + k);
  for (int64_t i = 0; i < x_rows; ++i) {
    Four sum = lane_sums(sums[i]);
    for (int64_t rest = k; rest < count; ++rest)
      for (int j = 0; j < outputs; ++j) sum[j] += from[i][rest] * weights[j][rest];
    for (int64_t j = 0; j < w_rows; ++j) y[i * y_step + j] += sum[j];
  }
}

}  // namespace

bool has_one_pass() { return __builtin_cpu_supports("avx512f"); }

void add_one_pass(const LinearForward& a, int64_t first, int64_t last) {
  for (int64_t k = 0; k < a.x.cols; k += piece)
    for (int64_t j = first; j < last; j += outputs)
      for (int64_t i = 0; i < a.x.rows; i += rows)
        add_dots(a.x.row(i) + k, a.w.row(j) + k, a.x.cols, std::min(piece, a.x.cols - k),
                 std::min<int64_t>(rows, a.x.rows - i), std::min<int64_t>(outputs, last - j), a.y.row(i) + j, a.y.cols);
}
#else
bool has_one_pass() { return false; }
void add_one_pass(const LinearForward&, int64_t, int64_t) { expect(false, "linear: no products in one pass here"); }
#endif

}  // namespace recon::cpu
