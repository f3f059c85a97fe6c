// The fused decoder in training: a kernel takes a tile through forward, loss and backward and leaves what the weights'
// gradients are made of; decoder_fused_weights_cuda.cu multiplies it, decoder_fused_finish_cuda.cu adds everything up.
//
// Limit: tensor cores (mma.sync) and device memory. Floor of a row at 10 × 128, F = 192: 0.75 Mflop, 1.2 ns at 62 % of
// the H100's peak; it stores 21 · 256 bytes of activations and gradients, which the next kernel reads back: 1.8 ns each
// way if all of it went through device memory, 1.0 ns through the second-level cache. So rows go in chunks of as many
// tiles as that cache holds, up to two for each multiprocessor, but one at least: at 10 × 128 that is 16,896 rows and
// 91 MB, twice the cache, of which a part stays; up to 4 layers everything does. Tiles of 64 rows would stay, but the
// weights stream in once a tile (0.68 MB), which would take the cache's whole bandwidth: 128 rows ask for 20 bytes a
// clock and multiprocessor of about 24. Sharing a stream between blocks (clusters) would lift that. Masks of the
// activations are kept as bits, 16 bytes a row and layer; reading activations back would add half to the traffic.
// Shared memory: 69 KiB at width 128. Considered and left: weights' gradients in this kernel, whose sums (0.85 MB) fit
// no multiprocessor.
#include <algorithm>

#include "kernels/decoder/decoder_fused_training_cuda.h"
#include "kernels/decoder/decoder_paths_cuda.h"

namespace recon::cuda::fused {
namespace {

template <class T>
RECON_KERNEL(T::threads)
decoder_training_kernel(Training<T::width> call, int64_t first_tile) {
  train_tile<T>(call, static_cast<int>(first_tile + blockIdx.x), blockIdx.x);  // 64 bits would spill a register
}

template <class T>
void train_tiles(Device& device, const DecodeSlicesBackward& a) {
  Queue& queue = queue_of(device);
  Carver count(nullptr);
  plan_training<T>(count, queue, a);
  Carver carver(device.workspace(count.floats()));
  const TrainingPlan<T> plan = plan_training<T>(carver, queue, a);
  pack_net<typename T::Half, T::width>(queue, a.forward.net, plan.call.net, true);
  if (plan.call.units) make_units(queue, a, plan.maxima, plan.units);
  const int64_t tiles = plan.call.tiling.count;
  for (int64_t first = 0; first < tiles; first += plan.call.store.tiles) {
    const int64_t now = std::min(plan.call.store.tiles, tiles - first);
    launch(queue, "decoder_training",
           {.blocks = now, .threads = T::threads, .shared_bytes = sizeof(typename T::Shared)},
           decoder_training_kernel<T>, plan.call, first);
    add_chunk<typename T::Half, T::width>(queue, plan.call, plan.weights, first, now);
  }
  finish<T::width>(queue, plan.call, plan.weights, plan.slice_sums);
}

}  // namespace

void decode_backward(Device& device, const DecodeSlicesBackward& a) {
  with_tile(a.forward.net, DecoderRows(a.forward), queue_of(device).multiprocessors(),
            [&]<class T>(T) { train_tiles<T>(device, a); });
}

}  // namespace recon::cuda::fused
