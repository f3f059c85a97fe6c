#pragma once
// A unit of the weights' gradients: the body of decoder_weights_kernel, whose file says what limits it.
#include <algorithm>

#include "kernels/decoder/decoder_fused_cuda.h"
#include "kernels/device/copy.h"
#include "kernels/device/sincos.h"

namespace recon::cuda::fused {

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

/// Copies `Pieces` pieces of 16 bytes of 32 rows, from piece `first` on.
template <int Width, int Threads, int Pieces>
RECON_DEVICE void copy_rows(Words (*to)[WeightBlock<Width>::pieces], const Words* from, int first) {
  for (int i = thread(); i < stage_rows * Pieces; i += Threads) {
    const int row = i / Pieces, piece = first + i % Pieces;
    copy_async_16(&to[row][swizzled(row, piece)], from + row * (Width / 8) + piece);
  }
}

/// The encoding of the stage's rows for the features of a unit, sine and cosine in a word. 8 threads a row.
template <class Half, int Width, int Threads>
RECON_DEVICE void encode_rows(const Training<Width>& call, const StageCursor<Width>& at, int first_feature,
                              Words (*to)[WeightBlock<Width>::pieces]) {
  const int last = call.tiling.size(at.tile()) - 1;
  RECON_NO_UNROLL
  for (int first = 0; first < stage_rows; first += Threads / 8) {
    const int row = first + thread() / 8;
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
}

template <class Half, int Width, int Threads>
RECON_DEVICE void fill_stage(const Training<Width>& call, const WeightUnit& unit, int part,
                             const StageCursor<Width>& at, typename WeightBlock<Width>::Stage& stage) {
  constexpr int pieces = WeightBlock<Width>::pieces, own = pieces * Threads / weight_threads;
  const ChunkStore& store = call.store;
  const auto rows_of = [&](const Words* all, int layer, int block) {
    return all + (layer * store.tiles * store.tile_rows + at.stored()) * (Width / 8) + block * pieces;
  };
  copy_rows<Width, Threads, own>(stage.gradients, rows_of(store.gradients, unit.layer, unit.row_block), own * part);
  if (unit.layer == 0)
    encode_rows<Half, Width, Threads>(call, at, unit.column_block * (WeightUnits<Width>::block / 2), stage.inputs);
  else
    copy_rows<Width, Threads, pieces>(stage.inputs, rows_of(store.hidden, unit.layer - 1, unit.column_block), 0);
}

/// sums += gradientsᵀ · inputs over the stage's rows; with `biased`, also the gradients' sums, as products with ones.
template <class Half, int Width>
RECON_DEVICE void multiply_stage(const typename WeightBlock<Width>::Stage& stage, int t, bool biased,
                                 typename WeightBlock<Width>::Sums& sums) {
  using Block = WeightBlock<Width>;
  const int lane = lane_of(t), warp = warp_of(t);
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
RECON_DEVICE void keep_sums(const WeightPlan& plan, int number, int64_t slot, int layers, int t, bool add, bool biased,
                            const typename WeightBlock<Width>::Sums& sums) {
  using Units = WeightUnits<Width>;
  const WeightUnit unit = Units::unit(number, plan.first_units);
  Floats* to = reinterpret_cast<Floats*>(plan.weights + (slot * plan.units + number) * Units::block * Units::block);
  RECON_UNROLL
  for (int i = 0; i < Units::blocks; ++i) {
    RECON_UNROLL
    for (int j = 0; j < Units::columns; ++j) {
      Floats& place = to[(i * Units::columns + j) * weight_threads + t];
      Floats sum{{0, 0, 0, 0}};
      if (add) sum = place;
      RECON_UNROLL
      for (int c = 0; c < 4; ++c) sum.at[c] += sums.at[i][j][c];
      place = sum;
    }
  }
  if (!biased || (t & 3) != 0) return;
  float* bias = plan.bias + (slot * (layers + 1) + unit.layer) * Width;
  RECON_UNROLL
  for (int i = 0; i < Units::blocks; ++i) {
    RECON_UNROLL
    for (int half = 0; half < 2; ++half) {
      const WeightPlace place = Units::place(i, 0, 2 * half, t);
      float& value = bias[unit.row_block * Units::block + place.row];
      value = (add ? value : 0.0f) + sums.bias[i][2 * half];
    }
  }
}

/// A block multiplies unit `number`, or what falls to `Threads` of its threads (`part`), over the share `slot` of
/// `slots` of the tiles [first, first + count).
template <class Half, int Width, int Threads>
RECON_DEVICE void add_unit(const Training<Width>& call, const WeightPlan& plan, int number, int part, int64_t slot,
                           int64_t slots, int64_t first, int64_t count) {
  using Block = WeightBlock<Width>;
  const int t = part * Threads + thread();
  auto& shared = shared_memory<typename Block::Shared>();
  const WeightUnit unit = WeightUnits<Width>::unit(number, plan.first_units);
  const bool biased = unit.column_block == 0 && warp_of(t) % 2 == 0;
  const int64_t start = first + slot * count / slots, end = first + (slot + 1) * count / slots;
  StageCursor<Width> at(call, first, start, end);
  typename Block::Sums sums{};
  int ahead = 0;  // stages filled and not yet multiplied
  int place = 0, fill = 0;
  const auto fill_next = [&] {
    if (at.valid()) {
      fill_stage<Half, Width, Threads>(call, unit, part, at, shared.ring[fill]);
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
    multiply_stage<Half, Width>(shared.ring[place], t, biased, sums);
    place = (place + 1) % stages;
    --ahead;
  }
  keep_sums<Width>(plan, number, slot, call.net.layers, t, first > 0, biased, sums);
}

}  // namespace recon::cuda::fused
