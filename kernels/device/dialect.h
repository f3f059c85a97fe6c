#pragma once
// The dialect kernels are written in. One source has two readers: nvcc, which makes device code, and g++, which makes
// the same functions for the emulator of tests/simt, where every kernel of the product runs in CI without a GPU. So a
// kernel uses threadIdx, blockIdx, __syncthreads, __syncwarp, the shuffles and what is below, and nothing else of CUDA;
// instructions without a C++ name have one shim each in kernels/device/ (mma.h, copy.h).
#include <cstdint>

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#define RECON_KERNEL(threads) __global__ void __launch_bounds__(threads)
#define RECON_DEVICE __device__ __forceinline__
#define RECON_PHASE __device__ __noinline__  // of a long kernel: its registers are its own
#define RECON_UNROLL _Pragma("unroll")
#define RECON_NO_UNROLL _Pragma("unroll 1")  // where copies of a body would cost registers
#else
#include <simt.h>
#define RECON_KERNEL(threads) void
#define RECON_DEVICE inline
#define RECON_PHASE inline
#define RECON_UNROLL
#define RECON_NO_UNROLL
#endif

#include "kernels/device/queue.h"

namespace recon::cuda {

constexpr unsigned all_lanes = 0xffffffffu;

/// The block's dynamic shared memory as one struct.
template <class T>
RECON_DEVICE T& shared_memory() {
#if defined(__CUDACC__)
  extern __shared__ __align__(128) unsigned char recon_shared[];
  return *reinterpret_cast<T*>(recon_shared);
#else
  return *static_cast<T*>(simt::shared());
#endif
}

RECON_DEVICE int thread() { return static_cast<int>(threadIdx.x); }
RECON_DEVICE int lane_of(int thread) { return thread & 31; }
RECON_DEVICE int warp_of(int thread) { return thread >> 5; }
/// The number of this thread in the whole grid, and of all threads: for loops that stride over the grid.
RECON_DEVICE int64_t grid_thread() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
RECON_DEVICE int64_t grid_threads() { return int64_t{gridDim.x} * blockDim.x; }

/// Sum over a warp, the same bits in all lanes: a tree of fixed shape.
template <class T>
RECON_DEVICE T warp_sum(T value) {
  RECON_UNROLL
  for (int step = 16; step > 0; step >>= 1) value += __shfl_xor_sync(all_lanes, value, step);
  return value;
}

/// Sum over a block of `Threads` threads, the same bits in all threads; `scratch` holds a T a warp and may be reused
/// after the next barrier.
template <int Threads, class T>
RECON_DEVICE T block_sum(T value, T* scratch) {
  value = warp_sum(value);
  const int t = thread();
  if (lane_of(t) == 0) scratch[warp_of(t)] = value;
  __syncthreads();
  T sum = scratch[0];
  for (int warp = 1; warp < Threads / 32; ++warp) sum += scratch[warp];
  __syncthreads();
  return sum;
}

/// How a kernel is started.
struct Shape {
  int64_t blocks = 1;
  int threads = 256;
  size_t shared_bytes = 0;
  int64_t blocks_y = 1;
};

/// Blocks of `threads` for `count` items, one a thread up to a limit; kernels stride over the grid.
inline Shape covering(int64_t count, int threads = 256) {
  const int64_t blocks = (count + threads - 1) / threads, limit = 1 << 16;
  return {.blocks = blocks < limit ? blocks : limit, .threads = threads};
}

/// Starts a kernel in order with what was started before; nothing is started for zero blocks. Throws DeviceFailure
/// with the kernel's name.
template <class... Parameters, class... Arguments>
void launch(Queue& queue, const char* name, const Shape& shape, void (*kernel)(Parameters...),
            Arguments&&... arguments) {
  if (shape.blocks <= 0 || shape.blocks_y <= 0 || queue.counts_only()) return;
  queue.count_launch();
#if defined(__CUDACC__)
  queue.allow_shared(reinterpret_cast<const void*>(kernel), name, shape.shared_bytes);
  kernel<<<dim3(static_cast<unsigned>(shape.blocks), static_cast<unsigned>(shape.blocks_y)),
           static_cast<unsigned>(shape.threads), shape.shared_bytes, static_cast<cudaStream_t>(queue.stream())>>>(
      static_cast<Parameters>(arguments)...);
  queue.check_launch(name);
#else
  queue.run_emulated(name, {static_cast<unsigned>(shape.blocks), static_cast<unsigned>(shape.blocks_y), 1},
                     {static_cast<unsigned>(shape.threads), 1, 1}, shape.shared_bytes,
                     [=] { kernel(static_cast<Parameters>(arguments)...); });
#endif
}

}  // namespace recon::cuda
