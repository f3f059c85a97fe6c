// The fused decoder forward: values of all rows from the packed network, activations in registers throughout.
//
// Limit: tensor cores through mma.sync, 62 to 65 % of the H100's peak (public measurements; wgmma would lift that).
// Floor of a row: 2 · multiply_adds / (0.62 · 989 Tflop/s); at 10 × 128, F = 192 that is 0.70 ns, and a slice of 6,426
// pairs takes 4.5 µs. Device memory: 4 bytes a value. Second-level cache: a slab of 32 KiB serves the 128 rows of a
// block, so a multiprocessor asks for 20 bytes a clock, and the cache gives about 24. Shared memory: 69 KiB a block at
// width 128, so that two blocks stand on a multiprocessor and one's rounding runs under the other's products. Blocks
// stay and take tile after tile; the first slab of the next tile arrives during the last layer of this one. Considered:
// 8 warps on one slab, which halves the stream but leaves the rounding of all warps side by side; weights held in
// registers with rows streaming by, which moves activations through shared memory twice a layer.
#include <algorithm>

#include "kernels/decoder/decoder_fused_tile_cuda.h"
#include "kernels/decoder/decoder_paths_cuda.h"

namespace recon::cuda::fused {
namespace {

template <class T>
RECON_KERNEL(T::threads)
decoder_forward_kernel(PackedNet<T::width> net, DecoderRows rows, Tiling tiling, View<float> values) {
  auto& shared = shared_memory<typename T::Shared>();
  int64_t tile = next_tile(rows, tiling, blockIdx.x);
  if (tile >= tiling.count) return;
  SlabStream<T> stream(shared, net.slabs, net.forward_slabs());
  load_outputs<T>(shared, net, rows.outputs);
  while (tile < tiling.count) {
    const int64_t after = next_tile(rows, tiling, tile + gridDim.x);
    stream.set_last_pass(after >= tiling.count);
    load_bias<T>(shared, net, rows, tiling.slice(tile));
    typename T::Operand h, next;
    {
      typename T::template PerRow<RowPoint> points;
      load_points<T>(rows, tiling, tile, points);
      first_layer<T>(stream, net, points, shared.bias, h);
    }
    for (int layer = 1; layer <= net.layers; ++layer) {
      hidden_layer<T, true>(stream, net.residual, h, next);
      h = next;
    }
    typename T::template PerRow<typename T::Pair> out;
    output_layer<T>(shared, h, rows.outputs, out);
    store_outputs<T>(rows, tiling, tile, out, values);
    tile = after;
  }
}

template <class T>
void decode_tiles(Device& device, const DecoderNet& net, const DecoderRows& rows, View<float> values) {
  Queue& queue = queue_of(device);
  Carver count(nullptr);
  plan_net<T::width>(count, net, false);
  Carver carver(device.workspace(count.floats()));
  const PackedNet<T::width> packed = plan_net<T::width>(carver, net, false);
  pack_net<typename T::Half, T::width>(queue, net, packed, false);
  const Tiling tiling(rows, T::rows);
  const int64_t blocks = std::min<int64_t>(tiling.count, T::resident * queue.multiprocessors());
  launch(queue, "decoder_forward",
         {.blocks = blocks, .threads = T::threads, .shared_bytes = sizeof(typename T::Shared)},
         decoder_forward_kernel<T>, packed, rows, tiling, values);
}

}  // namespace

bool supports(const DecoderNet& net) {
  const int width = net.shape.width;
  return sixteen_bits(net.precision) && (width == 64 || width == 128 || width == 256);
}

void decode(Device& device, const DecoderNet& net, const DecoderRows& rows, View<float> values) {
  with_tile(net, rows, queue_of(device).multiprocessors(),
            [&]<class T>(T) { decode_tiles<T>(device, net, rows, values); });
}

}  // namespace recon::cuda::fused
