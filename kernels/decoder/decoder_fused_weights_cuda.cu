// Gradients of the fused decoder's weights: dWₗ = dHₗᵀ Hₗ₋₁ over the rows of a chunk, where both were left by the
// training kernel; H₋₁, the encoding, is made again where it is used.
//
// Limit: reading what was stored, 512 bytes a row and layer for 2 · 128² flops: 64 flops a byte, so neither device
// memory (200 Tflop/s at most) nor the second-level cache (350) can feed the tensor cores. Floor at 10 × 128: 5.4 kB a
// row, 1.8 ns from device memory, 1.0 ns from the cache. A block multiplies one 128 × 128 piece of a layer (a *unit*)
// over a slot of the chunk's tiles, 8 warps of 32 × 64 sums each, with four stages of 32 rows (16 KiB each) of which
// three are on their way: 48 KiB in flight a multiprocessor, where latency times bandwidth is 20 KiB. One slot a
// multiprocessor and unit, so one wave; partial sums stay in the blocks' own places (0.9 MB a slot), fp32, and each
// chunk adds to them in turn: the same bits every time, without atomics. Both operands stand transposed in memory,
// which is what the transposing load of matrices is for; rows of a stage are swizzled by 16 bytes against bank
// conflicts.
#include <algorithm>

#include "kernels/decoder/decoder_fused_weights_cuda.h"

namespace recon::cuda::fused {
namespace {

template <class Half, int Width>
RECON_KERNEL(weight_threads)
decoder_weights_kernel(Training<Width> call, WeightPlan plan, int64_t first, int64_t count) {
  add_unit<Half, Width, weight_threads>(call, plan, static_cast<int>(blockIdx.x), 0, blockIdx.y, gridDim.y, first,
                                        count);
}

}  // namespace

template <int Width>
WeightPlan plan_weights(Carver& carver, const DecoderShape& shape, int64_t chunk_tiles, int multiprocessors) {
  using Units = WeightUnits<Width>;
  WeightPlan plan;
  plan.first_units = Units::side * ((2 * shape.features + Units::block - 1) / Units::block);
  plan.units = plan.first_units + shape.layers * Units::side * Units::side;
  plan.slots = static_cast<int>(std::min<int64_t>(chunk_tiles, std::max(2, multiprocessors / plan.units)));
  plan.weights = carver.take<float>(int64_t{plan.slots} * plan.units * Units::block * Units::block);
  plan.bias = carver.take<float>(int64_t{plan.slots} * (shape.layers + 1) * Width);
  return plan;
}

template <class Half, int Width>
void add_chunk(Queue& queue, const Training<Width>& call, const WeightPlan& plan, int64_t first, int64_t count) {
  launch(queue, "decoder_weights",
         {.blocks = plan.units,
          .threads = weight_threads,
          .shared_bytes = sizeof(typename WeightBlock<Width>::Shared),
          .blocks_y = plan.slots},
         decoder_weights_kernel<Half, Width>, call, plan, first, count);
}

template WeightPlan plan_weights<64>(Carver&, const DecoderShape&, int64_t, int);
template WeightPlan plan_weights<128>(Carver&, const DecoderShape&, int64_t, int);
template WeightPlan plan_weights<256>(Carver&, const DecoderShape&, int64_t, int);
template void add_chunk<bf16>(Queue&, const Training<64>&, const WeightPlan&, int64_t, int64_t);
template void add_chunk<bf16>(Queue&, const Training<128>&, const WeightPlan&, int64_t, int64_t);
template void add_chunk<bf16>(Queue&, const Training<256>&, const WeightPlan&, int64_t, int64_t);
template void add_chunk<fp16>(Queue&, const Training<64>&, const WeightPlan&, int64_t, int64_t);
template void add_chunk<fp16>(Queue&, const Training<128>&, const WeightPlan&, int64_t, int64_t);
template void add_chunk<fp16>(Queue&, const Training<256>&, const WeightPlan&, int64_t, int64_t);

}  // namespace recon::cuda::fused
