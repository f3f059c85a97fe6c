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

#include "kernels/decoder/decoder_fused_cuda.h"
#include "kernels/device/copy.h"
#include "kernels/device/sincos.h"

namespace recon::cuda::fused {
namespace {

constexpr int stage_rows = 32, stages = 4;

template <int Width>
struct WeightBlock {
  using Units = WeightUnits<Width>;
  static constexpr int pieces = Units::block / 8;                        // of 16 bytes in a row of a stage
  static constexpr int tall = Units::blocks, wide = Units::columns / 2;  // of a warp: operands A, pairs of operands B
  struct Stage {
    Words gradients[stage_rows][pieces], inputs[stage_rows][pieces];
  };
  struct Shared {
    Stage ring[stages];
  };
  struct Sums {
    float at[Units::blocks][Units::columns][4];
    float bias[Units::blocks][4];
  };
};

RECON_DEVICE int swizzled(int row, int piece) { return piece ^ (row & 7); }

/// Walks the stages of a slot's tiles, without those of slices that are not active.
template <int Width>
class StageCursor {
 public:
  RECON_DEVICE StageCursor(const Training<Width>& call, int64_t chunk, int64_t first, int64_t end)
      : call_(call), chunk_(chunk), tile_(first), end_(end) {
    skip();
  }
  RECON_DEVICE bool valid() const { return tile_ < end_; }
  RECON_DEVICE int64_t tile() const { return tile_; }
  RECON_DEVICE int row() const { return row_; }
  /// Where the stage's rows start among all stored rows of a layer.
  RECON_DEVICE int64_t stored() const { return (tile_ - chunk_) * call_.store.tile_rows + row_; }
  RECON_DEVICE void advance() {
    row_ += stage_rows;
    if (row_ < call_.tiling.size(tile_)) return;
    row_ = 0;
    ++tile_;
    skip();
  }

 private:
  RECON_DEVICE void skip() {
    while (tile_ < end_ && !call_.rows.is_active(call_.tiling.slice(tile_))) ++tile_;
  }
  const Training<Width>& call_;
  int64_t chunk_, tile_, end_;
  int row_ = 0;
};

/// Copies 32 rows of `pieces` 16-byte pieces.
template <int Width>
RECON_DEVICE void copy_rows(Words (*to)[WeightBlock<Width>::pieces], const Words* from) {
  constexpr int pieces = WeightBlock<Width>::pieces;
  for (int i = thread(); i < stage_rows * pieces; i += weight_threads) {
    const int row = i / pieces, piece = i % pieces;
    copy_async_16(&to[row][swizzled(row, piece)], from + row * (Width / 8) + piece);
  }
}

/// The encoding of the stage's rows for the features of a unit, sine and cosine in a word. 8 threads a row.
template <class Half, int Width>
RECON_DEVICE void encode_rows(const Training<Width>& call, const StageCursor<Width>& at, int first_feature,
                              Words (*to)[WeightBlock<Width>::pieces]) {
  const int row = thread() / 8;
  const int last = call.tiling.size(at.tile()) - 1;
  const RowPoint k =
      call.rows.point(call.tiling.slice(at.tile()), call.tiling.first(at.tile()) + std::min(at.row() + row, last));
  RECON_UNROLL
  for (int f = thread() % 8; f < WeightUnits<Width>::block / 2; f += 8) {
    const Floats frequency = call.net.frequencies[first_feature + f];
    float sine, cosine;
    sincos_turns_fast(frequency.at[0] * k.x + frequency.at[1] * k.y + frequency.at[2] * k.z, sine, cosine);
    to[row][swizzled(row, f / 4)].at[f % 4] = pack<Half>(sine, cosine);
  }
}

template <class Half, int Width>
RECON_DEVICE void fill_stage(const Training<Width>& call, const WeightUnit& unit, const StageCursor<Width>& at,
                             typename WeightBlock<Width>::Stage& stage) {
  constexpr int pieces = WeightBlock<Width>::pieces;
  const ChunkStore& store = call.store;
  const auto rows_of = [&](const Words* all, int layer, int block) {
    return all + (layer * store.tiles * store.tile_rows + at.stored()) * (Width / 8) + block * pieces;
  };
  copy_rows<Width>(stage.gradients, rows_of(store.gradients, unit.layer, unit.row_block));
  if (unit.layer == 0)
    encode_rows<Half>(call, at, unit.column_block * (WeightUnits<Width>::block / 2), stage.inputs);
  else
    copy_rows<Width>(stage.inputs, rows_of(store.hidden, unit.layer - 1, unit.column_block));
}

/// sums += gradientsᵀ · inputs over the stage's rows; with `biased`, also the gradients' sums, as products with ones.
template <class Half, int Width>
RECON_DEVICE void multiply_stage(const typename WeightBlock<Width>::Stage& stage, bool biased,
                                 typename WeightBlock<Width>::Sums& sums) {
  using Block = WeightBlock<Width>;
  const int lane = lane_of(thread()), warp = warp_of(thread());
  const int tall_piece = warp / 2 * 2 * Block::tall, wide_piece = warp % 2 * 2 * Block::wide;
  const uint32_t ones = pack<Half>(1, 1);
  RECON_UNROLL
  for (int first = 0; first < stage_rows; first += 16) {
    uint32_t a[Block::tall][4];
    RECON_UNROLL
    for (int i = 0; i < Block::tall; ++i) {
      const int row = first + lane % 8 + lane / 16 * 8, piece = tall_piece + 2 * i + lane / 8 % 2;
      load_matrices<true>(a[i], &stage.gradients[row][swizzled(row, piece)]);
      if (biased) mma<Half>(sums.bias[i], a[i], ones, ones);
    }
    RECON_UNROLL
    for (int j = 0; j < Block::wide; ++j) {
      const int row = first + lane % 16, piece = wide_piece + 2 * j + lane / 16;
      uint32_t b[4];
      load_matrices<true>(b, &stage.inputs[row][swizzled(row, piece)]);
      RECON_UNROLL
      for (int i = 0; i < Block::tall; ++i) {
        mma<Half>(sums.at[i][2 * j], a[i], b[0], b[1]);
        mma<Half>(sums.at[i][2 * j + 1], a[i], b[2], b[3]);
      }
    }
  }
}

/// Puts the block's sums into its place of the partial sums, or adds them.
template <int Width>
RECON_DEVICE void keep_sums(const WeightPlan& plan, const WeightUnit& unit, int layers, bool add, bool biased,
                            const typename WeightBlock<Width>::Sums& sums) {
  using Units = WeightUnits<Width>;
  const int64_t slot = blockIdx.y, number = slot * plan.units + blockIdx.x;
  Floats* to = reinterpret_cast<Floats*>(plan.weights + number * Units::block * Units::block);
  RECON_UNROLL
  for (int i = 0; i < Units::blocks; ++i) {
    RECON_UNROLL
    for (int j = 0; j < Units::columns; ++j) {
      Floats& place = to[(i * Units::columns + j) * weight_threads + thread()];
      Floats sum{{0, 0, 0, 0}};
      if (add) sum = place;
      RECON_UNROLL
      for (int c = 0; c < 4; ++c) sum.at[c] += sums.at[i][j][c];
      place = sum;
    }
  }
  if (!biased || (thread() & 3) != 0) return;
  float* bias = plan.bias + (slot * (layers + 1) + unit.layer) * Width;
  RECON_UNROLL
  for (int i = 0; i < Units::blocks; ++i) {
    RECON_UNROLL
    for (int half = 0; half < 2; ++half) {
      const WeightPlace place = Units::place(i, 0, 2 * half, thread());
      float& value = bias[unit.row_block * Units::block + place.row];
      value = (add ? value : 0.0f) + sums.bias[i][2 * half];
    }
  }
}

template <class Half, int Width>
RECON_KERNEL(weight_threads)
decoder_weights_kernel(Training<Width> call, WeightPlan plan, int64_t first, int64_t count) {
  using Block = WeightBlock<Width>;
  auto& shared = shared_memory<typename Block::Shared>();
  const WeightUnit unit = WeightUnits<Width>::unit(blockIdx.x, plan.first_units);
  const bool biased = unit.column_block == 0 && warp_of(thread()) % 2 == 0;
  const int64_t slot = blockIdx.y, slots = gridDim.y;
  const int64_t start = first + slot * count / slots, end = first + (slot + 1) * count / slots;
  StageCursor<Width> at(call, first, start, end);
  typename Block::Sums sums{};
  int ahead = 0;  // stages filled and not yet multiplied
  int place = 0, fill = 0;
  const auto fill_next = [&] {
    if (at.valid()) {
      fill_stage<Half>(call, unit, at, shared.ring[fill]);
      at.advance();
      fill = (fill + 1) % stages;
      ++ahead;
    }
    commit_copies();
  };
  for (int i = 0; i < stages - 1; ++i) fill_next();
  while (ahead > 0) {
    wait_copies<stages - 2>();
    __syncthreads();
    fill_next();
    multiply_stage<Half, Width>(shared.ring[place], biased, sums);
    place = (place + 1) % stages;
    --ahead;
  }
  keep_sums<Width>(plan, unit, call.net.layers, first > 0, biased, sums);
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
