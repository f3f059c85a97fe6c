#pragma once
// A barrier of all threads of a grid, whose blocks then stand on the device together: what a kernel that takes several
// phases needs where one phase reads what all blocks wrote in the phase before.
#include "kernels/device/dialect.h"

#if defined(__CUDACC__)
#include <cooperative_groups.h>
#endif

namespace recon::cuda {

/// All threads of a cooperative launch meet, and see what the others wrote before. Copies on their way are not waited
/// for. On the hardware: the block's barrier, one atomic addition a block in a word that comes with the launch
/// (release, acquire), and the block's barrier again; no device runtime is linked.
#if defined(__CUDACC__)
RECON_DEVICE void sync_grid() { cooperative_groups::this_grid().sync(); }
#else
inline void sync_grid(simt::Site site = simt::Site::current()) { simt::sync_grid(site); }
#endif

/// As launch(), but all blocks at once: not more than multiprocessors, which each hold one.
template <class... Parameters, class... Arguments>
void launch_cooperative(Queue& queue, const char* name, const Shape& shape, void (*kernel)(Parameters...),
                        Arguments&&... arguments) {
  if (queue.counts_only()) return;
  expect(shape.blocks >= 1 && shape.blocks_y == 1 && shape.blocks <= queue.multiprocessors(),
         "queue: a cooperative launch needs a block, and one a multiprocessor at most");
  queue.count_launch();
#if defined(__CUDACC__)
  queue.allow_shared(reinterpret_cast<const void*>(kernel), name, shape.shared_bytes);
  cudaLaunchAttribute cooperative{};
  cooperative.id = cudaLaunchAttributeCooperative;
  cooperative.val.cooperative = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(shape.blocks));
  config.blockDim = dim3(static_cast<unsigned>(shape.threads));
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = static_cast<cudaStream_t>(queue.stream());
  config.attrs = &cooperative;
  config.numAttrs = 1;
  cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
  queue.check_launch(name);
#else
  queue.run_emulated(
      name, {static_cast<unsigned>(shape.blocks), 1, 1}, {static_cast<unsigned>(shape.threads), 1, 1},
      shape.shared_bytes, [=] { kernel(static_cast<Parameters>(arguments)...); }, true);
#endif
}

}  // namespace recon::cuda
