#pragma once
// A tile in training: through forward, loss and backward. The body of decoder_training_kernel, whose file says what
// limits it, and what a training call keeps in the workspace.
#include <algorithm>

#include "kernels/decoder/decoder_fused_tile_cuda.h"

namespace recon::cuda::fused {

/// Rows of an operand as the kernel of the weights' gradients reads them (stored_column): 16 bytes a thread, 64 bytes a
/// row from its four lanes.
template <class T>
RECON_DEVICE void store_rows(const typename T::Operand& operand, Words* to) {
  RECON_UNROLL
  for (int i = 0; i < T::blocks; ++i) {
    RECON_UNROLL
    for (int half = 0; half < 2; ++half) {
      RECON_UNROLL
      for (int q = 0; q < T::steps / 2; ++q)
        to[T::row_of(i, half) * (T::width / 8) + 4 * q + quad()] = {
            {operand.at[i][2 * q][half], operand.at[i][2 * q][2 + half], operand.at[i][2 * q + 1][half],
             operand.at[i][2 * q + 1][2 + half]}};
    }
  }
}

/// Where the halves of a word of rounded activations are positive: the upper bit of each, into which adding 0x7fff
/// carries, as they have no sign.
RECON_DEVICE uint32_t positive_halves(uint32_t word) { return (word + 0x7fff7fffu) & 0x80008000u; }
/// All bits of these halves.
RECON_DEVICE uint32_t kept_halves(uint32_t word) { return (positive_halves(word) >> 15) * 0xffffu; }

/// Bits s and 16 + s of mask word m: the halves of operand word 16 m + s.
template <class T>
RECON_DEVICE typename T::Mask positive(const typename T::Operand& operand) {
  typename T::Mask mask{};
  RECON_UNROLL
  for (int w = 0; w < 16 * T::mask_words; ++w)
    mask.at[w / 16] |= positive_halves(operand.at[w / 4 / T::steps][w / 4 % T::steps][w % 4]) >> (15 - w % 16);
  return mask;
}
template <class T>
RECON_DEVICE void clear_unless(const typename T::Mask& mask, typename T::Operand& operand) {
  RECON_UNROLL
  for (int w = 0; w < 16 * T::mask_words; ++w)
    operand.at[w / 4 / T::steps][w / 4 % T::steps][w % 4] &= (mask.at[w / 16] >> w % 16 & 0x00010001u) * 0xffffu;
}

/// Of `2 · Half` values, each of two lanes apart by `bit` keeps the sums of one half.
template <int Half>
RECON_DEVICE void halve(float* values, int bit) {
  const bool upper = (lane_of(thread()) & bit) != 0;
  RECON_UNROLL
  for (int n = 0; n < Half; ++n) {
    const float low = values[n], high = values[n + Half];
    values[n] = (upper ? high : low) + __shfl_xor_sync(all_lanes, upper ? low : high, bit);
  }
}

/// to[column] = Σ factor(block, half) · operand over the rows of the tile, 8 columns of a thread at a time, which the 8
/// lanes of the same columns then share. Meets the block before and after.
template <class T, class Factor>
RECON_DEVICE void column_sums(typename T::Shared& shared, const typename T::Operand& operand, float* to,
                              const Factor& factor) {
  using Half = typename T::Half;
  const int group = lane_of(thread()) >> 2;
  __syncthreads();
  RECON_UNROLL
  for (int first = 0; first < T::columns; first += 4) {
    float values[8];
    RECON_UNROLL
    for (int n = 0; n < 8; ++n) values[n] = 0;
    RECON_UNROLL
    for (int i = 0; i < T::blocks; ++i) {
      RECON_UNROLL
      for (int w = 0; w < 8; ++w) {
        const int j = first + w / 2, half = w % 2;
        const uint32_t word = operand.at[i][j / 2][2 * (j & 1) + half];
        values[w / 2 * 2] += factor(i, half) * low_of<Half>(word);
        values[w / 2 * 2 + 1] += factor(i, half) * high_of<Half>(word);
      }
    }
    halve<4>(values, 16);
    halve<2>(values, 8);
    halve<1>(values, 4);
    shared.sums[warp_of(thread())][8 * (first + group / 2) + 2 * quad() + group % 2] = values[0];
  }
  __syncthreads();
  for (int j = thread(); j < T::width; j += T::threads) {
    float sum = shared.sums[0][j];
    for (int warp = 1; warp < T::warps; ++warp) sum += shared.sums[warp][j];
    to[j] = sum;
  }
}

/// Values become their gradients, in units; the tile's loss and the gradient of b_out are written.
template <class T>
RECON_DEVICE void make_gradients(const Training<T::width>& call, typename T::Shared& shared, int tile,
                                 typename T::template PerRow<typename T::Pair>& out) {
  const DecoderRows& rows = call.rows;
  const int64_t slice = call.tiling.slice(tile);
  const int size = call.tiling.size(tile), outputs = rows.outputs;
  const float scale = call.args.scale.get(), to_unit = 1.0f / (call.units ? call.units->value : 1.0f);
  const View<float>& kept = call.args.forward.values;
  double loss = 0;
  float sums[2] = {0, 0};
  RECON_UNROLL
  for (int i = 0; i < T::blocks; ++i) {
    RECON_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int row = T::row_of(i, half);
      const int64_t at = call.tiling.first(tile) + row;
      const bool mirrored = row < size && outputs == 2 && rows.point(slice, at).mirrored;
      RECON_UNROLL
      for (int o = 0; o < 2; ++o) {
        float& value = out.at[i][half].at[o];
        ValueGradient g{0, 0};
        if (o < outputs && row < size) {
          const int64_t index = rows.value_index(slice, at, o, mirrored);
          g = value_gradient(call.args, scale, index, value);
          if (quad() == 0 && !kept.empty()) kept[index] = value;
        }
        value = g.d * to_unit;
        if (quad() != 0) continue;  // the four lanes of a row hold the same
        sums[o] += value;
        loss += double(g.squared_error);
      }
    }
  }
  loss = warp_sum(loss);
  sums[0] = warp_sum(sums[0]);
  sums[1] = warp_sum(sums[1]);
  const int warp = warp_of(thread());
  if (lane_of(thread()) == 0) {
    shared.loss[warp] = loss;
    shared.pair_sums[warp][0] = sums[0];
    shared.pair_sums[warp][1] = sums[1];
  }
  __syncthreads();
  if (thread() != 0) return;
  for (int other = 1; other < T::warps; ++other) loss += shared.loss[other];
  call.tiles.loss[tile] = loss;
  for (int o = 0; o < outputs; ++o) {
    float sum = shared.pair_sums[0][o];
    for (int other = 1; other < T::warps; ++other) sum += shared.pair_sums[other][o];
    call.tiles.of(tile, o)[T::width] = sum;
  }
}

/// The last activations become the gradient of their pre-activation: through W_out, where the relu let them pass.
template <class T>
RECON_DEVICE void through_outputs(const typename T::Shared& shared, float to_unit,
                                  const typename T::template PerRow<typename T::Pair>& d, int outputs,
                                  typename T::Operand& h) {
  using Half = typename T::Half;
  for_each_word<T, T::columns>(h, 0, [&](int i, int j, int half, uint32_t& word) {
    const int column = 8 * j + 2 * quad();
    const typename T::Pair& pair = d.at[i][half];
    float low = pair.at[0] * shared.outputs[0][column], high = pair.at[0] * shared.outputs[0][column + 1];
    if (outputs == 2) {
      low += pair.at[1] * shared.outputs[1][column];
      high += pair.at[1] * shared.outputs[1][column + 1];
    }
    word = pack<Half>(low * to_unit, high * to_unit) & kept_halves(word);
  });
}

/// The places of one tile in the chunk's store.
template <class T>
struct TileStore {
  const ChunkStore& store;
  int64_t place;

  RECON_DEVICE Words* rows(Words* all, int layer) const {
    return all + (layer * store.tiles + place) * T::rows * (T::width / 8);
  }
  RECON_DEVICE typename T::Mask& mask(int layer) const {
    return reinterpret_cast<typename T::Mask*>(store.masks)[(layer * store.tiles + place) * T::threads + thread()];
  }
};

/// What tiles of slices that are not active leave: no loss, no gradient.
template <class T>
RECON_DEVICE void leave_nothing(const TileSums& tiles, int tile) {
  if (thread() == 0) tiles.loss[tile] = 0;
  for (int i = thread(); i < 3 * tiles.pitch; i += T::threads) tiles.of(tile, 0)[i] = 0;
}

/// Forward up to the last activations; all but these are stored.
template <class T>
RECON_DEVICE void train_forward(const Training<T::width>& call, typename T::Shared& shared, SlabStream<T>& stream,
                                int tile, const TileStore<T>& to, typename T::Operand& h) {
  const PackedNet<T::width>& net = call.net;
  {
    typename T::template PerRow<RowPoint> points;
    load_points<T>(call.rows, call.tiling, tile, points);
    first_layer<T>(stream, net, points, shared.bias, h);
  }
  for (int layer = 1; layer <= net.layers; ++layer) {
    store_rows<T>(h, to.rows(call.store.hidden, layer - 1));
    to.mask(layer - 1) = positive<T>(h);
    typename T::Operand next;
    hidden_layer<T, true>(stream, net.residual, h, next);
    h = next;
  }
}

/// Outputs, loss and the gradients of W_out and b_out; the last activations become their pre-activation's gradient.
template <class T>
RECON_DEVICE void train_outputs(const Training<T::width>& call, typename T::Shared& shared, int tile,
                                typename T::Operand& h) {
  const int outputs = call.rows.outputs;
  typename T::template PerRow<typename T::Pair> d;
  output_layer<T>(shared, h, outputs, d);
  make_gradients<T>(call, shared, tile, d);
  RECON_UNROLL
  for (int o = 0; o < 2; ++o)
    if (o < outputs)
      column_sums<T>(shared, h, call.tiles.of(tile, o), [&](int i, int half) { return d.at[i][half].at[o]; });
  through_outputs<T>(shared, call.units ? call.units->value / call.units->hidden : 1.0f, d, outputs, h);
}

/// Back to layer 0; the gradients of all pre-activations are stored.
template <class T>
RECON_DEVICE void train_backward(const Training<T::width>& call, SlabStream<T>& stream, const TileStore<T>& to,
                                 typename T::Operand& d) {
  const PackedNet<T::width>& net = call.net;
  store_rows<T>(d, to.rows(call.store.gradients, net.layers));
  for (int layer = net.layers; layer >= 1; --layer) {
    const typename T::Mask mask = to.mask(layer - 1);
    typename T::Operand next;
    hidden_layer<T, false>(stream, net.residual, d, next);
    d = next;
    clear_unless<T>(mask, d);
    store_rows<T>(d, to.rows(call.store.gradients, layer - 1));
  }
}

/// All threads of a block take tile `tile`, which stands at `place` of the chunk's store.
template <class T>
RECON_DEVICE void train_tile(const Training<T::width>& call, int tile, int64_t place) {
  auto& shared = shared_memory<typename T::Shared>();
  const PackedNet<T::width>& net = call.net;
  const TileStore<T> to{call.store, place};
  if (!call.rows.is_active(call.tiling.slice(tile))) return leave_nothing<T>(call.tiles, tile);
  SlabStream<T> stream(shared, net.slabs, net.forward_slabs() + net.layers * T::Slab::in_layer);
  load_outputs<T>(shared, net, call.rows.outputs);
  load_bias<T>(shared, net, call.rows, call.tiling.slice(tile));
  typename T::Operand operand;
  train_forward<T>(call, shared, stream, tile, to, operand);
  train_outputs<T>(call, shared, tile, operand);
  train_backward<T>(call, stream, to, operand);
  if (call.rows.latent > 0) column_sums<T>(shared, operand, call.tiles.of(tile, 2), [](int, int) { return 1.0f; });
}

constexpr int64_t cache_bytes = int64_t{48} << 20;

/// All that a training call keeps in the workspace.
template <class T>
struct TrainingPlan {
  Training<T::width> call;
  WeightPlan weights;
  GradientUnits* units;
  float *maxima, *slice_sums;
};

template <class T>
TrainingPlan<T> plan_training(Carver& carver, Queue& queue, const DecodeSlicesBackward& a) {
  const DecoderNet& net = a.forward.net;
  const DecoderRows rows(a.forward);
  const Tiling tiling(rows, T::rows);
  const int64_t layers = net.shape.layers, wave = queue.multiprocessors();
  const int64_t tile_bytes = T::rows * T::width * 2 * (2 * layers + 1);
  const int64_t waves = std::clamp<int64_t>(cache_bytes / (wave * tile_bytes), 1, 2);
  ChunkStore store{.tiles = std::min(tiling.count, waves * wave), .tile_rows = T::rows};
  TileSums sums{.pitch = T::width + 8};
  const PackedNet<T::width> packed = plan_net<T::width>(carver, net, true);
  store.hidden = carver.take<Words>(layers * store.tiles * T::rows * (T::width / 8));
  store.gradients = carver.take<Words>((layers + 1) * store.tiles * T::rows * (T::width / 8));
  store.masks = carver.take<uint32_t>(layers * store.tiles * T::threads * T::mask_words);
  sums.loss = carver.take<double>(tiling.count);
  sums.sums = carver.take<float>(3 * tiling.count * sums.pitch);
  const bool scaled = net.precision == Precision::fp16;
  auto* units = carver.take<GradientUnits>(1);
  return {.call = {.args = a,
                   .rows = rows,
                   .net = packed,
                   .tiling = tiling,
                   .store = store,
                   .tiles = sums,
                   .units = scaled ? units : nullptr},
          .weights = plan_weights<T::width>(carver, net.shape, store.tiles, queue.multiprocessors()),
          .units = units,
          .maxima = carver.take<float>(maxima_blocks),
          .slice_sums = carver.take<float>(net.shape.latent > 0 ? rows.slices * T::width : 0)};
}

}  // namespace recon::cuda::fused
