#pragma once
// Sums over the rows of a matrix, a column a lane: 32 neighbouring columns a block (whole lines of memory), its warps
// share the rows, and their parts are added in order. One form for any number of rows, so the same bits every time.
#include "kernels/device/dialect.h"

namespace recon::cuda {

constexpr int column_warps = 8, column_threads = 32 * column_warps;

template <class T>
struct ColumnParts {
  T part[column_warps][32];
};

inline int64_t column_blocks(int64_t cols) { return (cols + 31) / 32; }
template <class T>
Shape over_columns(int64_t cols) {
  return {.blocks = column_blocks(cols), .threads = column_threads, .shared_bytes = sizeof(ColumnParts<T>)};
}

/// The column of this thread; several warps hold the same one.
RECON_DEVICE int64_t column() { return int64_t{blockIdx.x} * 32 + lane_of(thread()); }

/// Σ term(at, load(at)) over the rows of this thread's column, where `at` is the place in a matrix [rows, cols]; for
/// the threads of the first warp, the others get parts. The loads of several rows come before the terms, which may
/// store: the compiler must else take both for the same memory. Once a kernel.
template <class T, class Load, class Term>
RECON_DEVICE T column_sum(int64_t rows, int64_t cols, const Load& load, const Term& term) {
  constexpr int depth = 4;
  auto& shared = shared_memory<ColumnParts<T>>();
  const int warp = warp_of(thread()), lane = lane_of(thread());
  const int64_t end = column() < cols ? rows * cols : 0, step = column_warps * cols;
  T sum = 0;
  for (int64_t first = warp * cols + column(); first < end; first += depth * step) {
    decltype(load(first)) loaded[depth] = {};
    RECON_UNROLL
    for (int u = 0; u < depth; ++u)
      if (first + u * step < end) loaded[u] = load(first + u * step);
    RECON_UNROLL
    for (int u = 0; u < depth; ++u)
      if (first + u * step < end) sum += term(first + u * step, loaded[u]);
  }
  shared.part[warp][lane] = sum;
  __syncthreads();
  if (warp == 0)
    for (int other = 1; other < column_warps; ++other) sum += shared.part[other][lane];
  return sum;
}

}  // namespace recon::cuda
