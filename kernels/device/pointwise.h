#pragma once
// Pointwise work on flat arrays and on matrices, for kernels that are bound by memory: 16-byte accesses where the
// addresses allow them, decided on the host from addresses and sizes alone.
#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/device/dialect.h"

namespace recon::cuda {

/// N floats that are loaded and stored as one: 4, 8 or 16 bytes.
template <int N>
struct alignas(4 * N) Lanes {
  float v[N];
};
template <int N>
RECON_DEVICE Lanes<N> load(const float* at) {
  return *reinterpret_cast<const Lanes<N>*>(at);
}
template <int N>
RECON_DEVICE void store(float* at, const Lanes<N>& value) {
  *reinterpret_cast<Lanes<N>*>(at) = value;
}

/// Two neighbours, in one access when `aligned` (all threads agree).
RECON_DEVICE Lanes<2> load_pair(const float* at, bool aligned) {
  if (aligned) return load<2>(at);
  return {{at[0], at[1]}};
}
RECON_DEVICE void store_pair(float* at, const Lanes<2>& value, bool aligned) {
  if (aligned) return store(at, value);
  at[0] = value.v[0];
  at[1] = value.v[1];
}

/// How many floats `pointer` stands after a multiple of `floats` floats.
inline int64_t misplaced(const float* pointer, int64_t floats) {
  return static_cast<int64_t>(reinterpret_cast<uintptr_t>(pointer) / sizeof(float)) % floats;
}

/// `count` floats cut into `head` single ones up to the first 16-byte boundary, then `fours`, then single ones again.
struct Cut {
  int64_t count = 0, head = 0, fours = 0;

  RECON_HD int64_t singles() const { return count - 4 * fours; }
  /// Where single number `i` stands.
  RECON_HD int64_t single(int64_t i) const { return i < head ? i : i + 4 * fours; }
  /// A thread four floats; not more blocks than `limit`.
  Shape shape(int64_t limit = int64_t{1} << 16) const {
    Shape shape = covering(std::max(fours, singles()));
    shape.blocks = std::min(shape.blocks, limit);
    return shape;
  }
};

/// The cut that fits all arrays of `count` floats; no fours when their addresses differ modulo 16. (Modules of an arena
/// start anywhere, but at the same place of each array.)
template <class... Pointers>
Cut cut_of(int64_t count, const float* first, Pointers... others) {
  const int64_t place = misplaced(first, 4);
  const bool agree = ((misplaced(others, 4) == place) && ...);
  const int64_t head = std::min(count, (4 - place) % 4);
  return {count, head, agree ? (count - head) / 4 : 0};
}

/// Calls body(width, index) for all of `cut`, where `width` is a constant of 4 or 1: body moves Lanes<width.value>.
template <class Body>
RECON_DEVICE void for_each_cut(const Cut& cut, const Body& body) {
  for (int64_t i = grid_thread(); i < cut.fours; i += grid_threads())
    body(std::integral_constant<int, 4>{}, cut.head + 4 * i);
  for (int64_t i = grid_thread(); i < cut.singles(); i += grid_threads())
    body(std::integral_constant<int, 1>{}, cut.single(i));
}

/// Blocks for a matrix: threads along its rows, blockIdx.y over the rows. Kernels stride over the rows, so that what
/// belongs to a column is made once; few columns get a block a row.
inline Shape over_matrix(int64_t rows, int64_t cols, int threads = 256) {
  const int64_t blocks = (cols + threads - 1) / threads;
  const int64_t wanted = 4096;  // several for each place of any device's multiprocessors
  return {.blocks = blocks,
          .threads = threads,
          .blocks_y = std::min(rows, std::max<int64_t>(1, wanted / std::max<int64_t>(1, blocks)))};
}
RECON_DEVICE int64_t first_row() { return blockIdx.y; }
RECON_DEVICE int64_t row_step() { return gridDim.y; }

/// Blocks for a kernel with a warp a row.
inline Shape warp_a_row(int64_t rows, int threads = 128) {
  return {.blocks = (rows + threads / 32 - 1) / (threads / 32), .threads = threads};
}
RECON_DEVICE int64_t warp_row() { return grid_thread() / 32; }

}  // namespace recon::cuda
