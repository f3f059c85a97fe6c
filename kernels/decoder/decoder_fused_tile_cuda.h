#pragma once
// One row tile on its way through the fused decoder: what the forward and the training kernel share.
//
// A block has 4 warps of `WarpRows` rows (32; 16 where 32 do not fit the registers, or where tiles are few), which meet
// once a slab. A hidden layer goes 64 outputs at a time: their sums are rounded into the next operand while those of
// the next 64 begin, so a thread holds two operands and a group of sums, 160 registers at width 128 and 32 rows, where
// all sums of a layer beside its operand would be 192 and spill. A slab is read from shared memory once a warp: 32 rows
// make that 1 clock a product (mma: 1.6 at the rate that mma.sync reaches), 16 rows 2 clocks. So 32 rows are bound by
// the tensor cores, 16 by shared memory, at half of their peak.
#include <algorithm>

#include "kernels/decoder/decoder_fused_cuda.h"
#include "kernels/device/copy.h"
#include "kernels/device/sincos.h"

namespace recon::cuda::fused {

template <class HalfType, int WidthValue, int WarpRows>
struct Tile {
  using Half = HalfType;
  using Slab = fused::Slab<WidthValue>;
  static constexpr int width = WidthValue, warp_rows = WarpRows;
  static constexpr int warps = 4, threads = 32 * warps, rows = warps * warp_rows;
  static constexpr int blocks = warp_rows / 16, columns = width / 8, steps = width / 16;
  static constexpr int mask_words = blocks * steps / 4;
  /// Blocks that a multiprocessor holds at once, by registers and shared memory.
  static constexpr int resident = blocks * columns >= 32 ? 2 : 3;

  /// Sums of a warp's rows: block of 16 rows, column block of 8, fragment C; of all columns or of a group.
  template <int Columns>
  struct SumsOf {
    float at[blocks][Columns][4];
  };
  using Sums = SumsOf<columns>;
  using GroupSums = SumsOf<8>;
  /// Rounded activations of a warp's rows as operand A.
  struct Operand {
    uint32_t at[blocks][steps][4];
  };
  /// Something of each of the thread's rows: of block i, rows 16 i + g and 16 i + 8 + g of the warp.
  template <class V>
  struct PerRow {
    V at[blocks][2];
  };
  struct Pair {
    float at[2];
  };
  /// Which activations are positive, a bit each.
  struct alignas(4 * mask_words) Mask {
    uint32_t at[mask_words];
  };
  struct Shared {
    Slab ring[2];
    float bias[width];
    float outputs[2][width], output_bias[2];
    float sums[warps][width];
    double loss[warps];
    float pair_sums[warps][2];
  };

  static RECON_DEVICE int row_of(int block, int half) {
    return warp_of(thread()) * warp_rows + 16 * block + 8 * half + (lane_of(thread()) >> 2);
  }
};

RECON_DEVICE int quad() { return thread() & 3; }

/// The slabs of a pass, one after the other, from device memory into two places of shared memory: while one is used
/// the next arrives.
template <class T>
class SlabStream {
 public:
  RECON_DEVICE SlabStream(typename T::Shared& shared, const typename T::Slab* from, int count)
      : ring_(shared.ring), from_(from), count_(count) {
    copy(0);
  }
  /// Whether another pass follows this one.
  RECON_DEVICE void set_last_pass(bool last) { last_pass_ = last; }
  /// The next slab. All threads of the block; they have also met here since the last call, so what was shared before it
  /// may be written again.
  RECON_DEVICE const typename T::Slab& take() {
    wait_copies<0>();
    __syncthreads();
    const typename T::Slab& slab = ring_[place_];
    place_ ^= 1;
    next_ = next_ + 1 == count_ ? 0 : next_ + 1;
    if (next_ > 0 || !last_pass_) copy(next_);
    return slab;
  }

 private:
  RECON_DEVICE void copy(int slab) {
    constexpr int pieces = sizeof(typename T::Slab) / sizeof(Words);
    const auto* from = reinterpret_cast<const Words*>(from_ + slab);
    auto* to = reinterpret_cast<Words*>(&ring_[place_]);
    for (int i = thread(); i < pieces; i += T::threads) copy_async_16(to + i, from + i);
    commit_copies();
  }

  typename T::Slab* ring_;
  const typename T::Slab* from_;
  int count_, next_ = 0, place_ = 0;
  bool last_pass_ = true;
};

/// sums += operand's 16 inputs number `step` · the fragments of as many columns.
template <class T, int Columns, int Steps>
RECON_DEVICE void multiply(typename T::template SumsOf<Columns>& sums, const uint32_t (&operand)[T::blocks][Steps][4],
                           int step, const Words* fragments) {
  RECON_UNROLL
  for (int pair = 0; pair < Columns / 2; ++pair) {
    const Words b = fragments[32 * pair];
    RECON_UNROLL
    for (int i = 0; i < T::blocks; ++i) {
      mma<typename T::Half>(sums.at[i][2 * pair], operand[i][step], b.at[0], b.at[1]);
      mma<typename T::Half>(sums.at[i][2 * pair + 1], operand[i][step], b.at[2], b.at[3]);
    }
  }
}

/// A row of bias under all rows.
template <class T, int Columns>
RECON_DEVICE void start(typename T::template SumsOf<Columns>& sums, const float* bias) {
  RECON_UNROLL
  for (int j = 0; j < Columns; ++j) {
    const float left = bias[8 * j + 2 * quad()], right = bias[8 * j + 2 * quad() + 1];
    RECON_UNROLL
    for (int i = 0; i < T::blocks; ++i) {
      sums.at[i][j][0] = sums.at[i][j][2] = left;
      sums.at[i][j][1] = sums.at[i][j][3] = right;
    }
  }
}

/// Calls body(block, column block of the group, half, word of the operand) for the words of a group.
template <class T, int Columns, class Body>
RECON_DEVICE void for_each_word(typename T::Operand& operand, int group, const Body& body) {
  RECON_UNROLL
  for (int i = 0; i < T::blocks; ++i) {
    RECON_UNROLL
    for (int j = 0; j < Columns; ++j) {
      RECON_UNROLL
      for (int half = 0; half < 2; ++half)
        body(i, j, half, operand.at[i][(group * Columns + j) / 2][2 * (j & 1) + half]);
    }
  }
}

/// Sums, rounded, as the next operand; with `Relu`, of max(·, 0).
template <class T, bool Relu, int Columns>
RECON_DEVICE void round_sums(const typename T::template SumsOf<Columns>& sums, int group,
                             typename T::Operand& operand) {
  using Half = typename T::Half;
  for_each_word<T, Columns>(operand, group, [&](int i, int j, int half, uint32_t& word) {
    const float low = sums.at[i][j][2 * half], high = sums.at[i][j][2 * half + 1];
    word = Relu ? pack_relu<Half>(low, high) : pack<Half>(low, high);
  });
}

/// Layer 0. Its operand is the encoding, made where it is used: word (g, 2t) of step s is the sine and cosine of
/// feature 8 s + t at row g.
template <class T>
RECON_DEVICE void first_layer(SlabStream<T>& stream, const PackedNet<T::width>& net,
                              const typename T::template PerRow<RowPoint>& points, const float* bias,
                              typename T::Operand& out) {
  using Half = typename T::Half;
  typename T::Sums sums;
  start<T, T::columns>(sums, bias);
  for (int step = 0; step < net.first_steps;) {
    const Words* fragments = stream.take().weights + lane_of(thread());
    const int end = std::min(net.first_steps, step + T::Slab::depth_steps);
    for (; step < end; ++step, fragments += 32 * (T::columns / 2)) {
      uint32_t operand[T::blocks][1][4];
      RECON_UNROLL
      for (int part = 0; part < 2; ++part) {
        const Floats f = net.frequencies[8 * step + 4 * part + quad()];
        RECON_UNROLL
        for (int i = 0; i < T::blocks; ++i) {
          RECON_UNROLL
          for (int half = 0; half < 2; ++half) {
            const RowPoint& k = points.at[i][half];
            float sine, cosine;
            sincos_turns_fast(f.at[0] * k.x + f.at[1] * k.y + f.at[2] * k.z, sine, cosine);
            operand[i][0][2 * part + half] = pack<Half>(sine, cosine);
          }
        }
      }
      multiply<T, T::columns>(sums, operand, 0, fragments);
    }
  }
  round_sums<T, true, T::columns>(sums, 0, out);
}

/// A hidden layer, or its transpose: out = bias + in · Wᵀ [+ in], rounded. The residual is the rounded activations
/// themselves, which the fp32 sums start with.
template <class T, bool Relu>
RECON_DEVICE void hidden_layer(SlabStream<T>& stream, bool residual, typename T::Operand& in,
                               typename T::Operand& out) {
  using Half = typename T::Half;
  using Slab = typename T::Slab;
  RECON_UNROLL
  for (int part = 0; part < Slab::in_layer; ++part) {
    const Slab& slab = stream.take();
    const Words* fragments = slab.weights + lane_of(thread());
    RECON_UNROLL
    for (int in_slab = 0; in_slab < Slab::groups; ++in_slab) {
      const int group = part * Slab::groups + in_slab;
      typename T::GroupSums sums;
      start<T, 8>(sums, slab.bias + 64 * in_slab);
      if (residual)
        for_each_word<T, 8>(in, group, [&](int i, int j, int half, uint32_t word) {
          sums.at[i][j][2 * half] += low_of<Half>(word);
          sums.at[i][j][2 * half + 1] += high_of<Half>(word);
        });
      RECON_UNROLL
      for (int step = 0; step < T::steps; ++step)
        multiply<T, 8>(sums, in.at, step, fragments + 32 * 4 * (in_slab * T::steps + step));
      round_sums<T, Relu, 8>(sums, group, out);
    }
  }
}

/// The outputs of the thread's rows, from the last activations; the four lanes of a row agree on them.
template <class T>
RECON_DEVICE void output_layer(const typename T::Shared& shared, typename T::Operand& h, int outputs,
                               typename T::template PerRow<typename T::Pair>& values) {
  using Half = typename T::Half;
  RECON_UNROLL
  for (int o = 0; o < 2; ++o) {
    RECON_UNROLL
    for (int i = 0; i < T::blocks; ++i) values.at[i][0].at[o] = values.at[i][1].at[o] = 0;
    if (o >= outputs) continue;
    for_each_word<T, T::columns>(h, 0, [&](int i, int j, int half, uint32_t word) {
      const float* w = &shared.outputs[o][8 * j + 2 * quad()];
      values.at[i][half].at[o] += low_of<Half>(word) * w[0] + high_of<Half>(word) * w[1];
    });
    RECON_UNROLL
    for (int i = 0; i < T::blocks; ++i) {
      RECON_UNROLL
      for (int half = 0; half < 2; ++half) {
        float& sum = values.at[i][half].at[o];
        sum += __shfl_xor_sync(all_lanes, sum, 1);
        sum += __shfl_xor_sync(all_lanes, sum, 2);
        sum += shared.output_bias[o];
      }
    }
  }
}

/// W_out and b_out into shared memory: once a block, before its first slab.
template <class T>
RECON_DEVICE void load_outputs(typename T::Shared& shared, const PackedNet<T::width>& net, int outputs) {
  for (int i = thread(); i < outputs * T::width; i += T::threads)
    shared.outputs[i / T::width][i % T::width] = net.outputs[i];
  if (thread() < outputs) shared.output_bias[thread()] = net.outputs[outputs * T::width + thread()];
}

/// What is constant over a tile: layer 0's bias with z folded in. Meets the block before and after.
template <class T>
RECON_DEVICE void load_bias(typename T::Shared& shared, const PackedNet<T::width>& net, const DecoderRows& rows,
                            int64_t slice) {
  __syncthreads();
  for (int j = thread(); j < T::width; j += T::threads) {
    float sum = net.bias[j];
    for (int i = 0; i < rows.latent; ++i) sum += net.latent_weights[i * T::width + j] * rows.z(slice)[i];
    shared.bias[j] = sum;
  }
  __syncthreads();
}

/// Rows past the tile's end repeat its last one; nothing of theirs is kept.
RECON_DEVICE RowPoint tile_point(const DecoderRows& rows, const Tiling& tiling, int64_t tile, int row) {
  return rows.point(tiling.slice(tile), tiling.first(tile) + std::min(row, tiling.size(tile) - 1));
}

template <class T>
RECON_DEVICE void load_points(const DecoderRows& rows, const Tiling& tiling, int64_t tile,
                              typename T::template PerRow<RowPoint>& points) {
  RECON_UNROLL
  for (int i = 0; i < T::blocks; ++i) {
    RECON_UNROLL
    for (int half = 0; half < 2; ++half) points.at[i][half] = tile_point(rows, tiling, tile, T::row_of(i, half));
  }
}

/// The outputs of the tile's rows, where the pixels' order has them.
template <class T>
RECON_DEVICE void store_outputs(const DecoderRows& rows, const Tiling& tiling, int64_t tile,
                                const typename T::template PerRow<typename T::Pair>& out, View<float> values) {
  const int size = tiling.size(tile);
  RECON_UNROLL
  for (int i = 0; i < T::blocks; ++i) {
    RECON_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int row = T::row_of(i, half);
      if (row >= size || quad() != 0) continue;
      const int64_t slice = tiling.slice(tile), at = tiling.first(tile) + row;
      const bool mirrored = rows.outputs == 2 && rows.point(slice, at).mirrored;
      values[rows.value_index(slice, at, 0, mirrored)] = out.at[i][half].at[0];
      if (rows.outputs == 2) values[rows.value_index(slice, at, 1, mirrored)] = out.at[i][half].at[1];
    }
  }
}

/// The next tile from `tile` on, in steps of the grid, whose slice is active; tiling.count when there is none.
RECON_DEVICE int64_t next_tile(const DecoderRows& rows, const Tiling& tiling, int64_t tile) {
  while (tile < tiling.count && !rows.is_active(tiling.slice(tile))) tile += gridDim.x;
  return tile;
}

/// Calls body with the tile for a network and a call: warps of 32 rows, or of 16 where 32 do not fit the registers or
/// would leave multiprocessors without a tile.
template <class Body>
void with_tile(const DecoderNet& net, const DecoderRows& rows, int multiprocessors, const Body& body) {
  const bool few = Tiling(rows, 128).count < multiprocessors;
  const auto with_half = [&](auto half) {
    using Half = decltype(half);
    if (net.shape.width == 256) return body(Tile<Half, 256, 16>{});
    if (net.shape.width == 128) return few ? body(Tile<Half, 128, 16>{}) : body(Tile<Half, 128, 32>{});
    return few ? body(Tile<Half, 64, 16>{}) : body(Tile<Half, 64, 32>{});
  };
  net.precision == Precision::fp16 ? with_half(fp16{}) : with_half(bf16{});
}

}  // namespace recon::cuda::fused
