#pragma once
#include <cstdint>

#include "kernels/decoder/decoder.h"
#include "kernels/decoder/tile_products.h"
#include "kernels/runtime/thread_pool.h"

namespace recon::cpu {

/// The decoder's parameters as the tiles read them: packed once a call, shared by all workers.
class PackedDecoder {
 public:
  static int64_t floats(const DecoderShape& shape, bool training);
  /// Packs into `memory` (floats() of it, aligned to 64 bytes).
  PackedDecoder(const DecoderNet& net, const TileProducts& products, bool training, ThreadPool& threads, float* memory);

  const DecoderNet& net() const { return net_; }
  const TileProducts& products() const { return products_; }
  const float* forward(int layer) const { return memory_ + layer_offset(layer); }
  const float* bias(int layer) const { return memory_ + bias_offset_ + int64_t{layer} * columns_; }
  /// Row o of W_out.
  const float* output(int o) const { return memory_ + output_offset_ + int64_t{o} * columns_; }
  const float* backward(int layer) const { return memory_ + backward_offset_ + int64_t{layer - 1} * hidden_; }

 private:
  int64_t layer_offset(int layer) const { return layer == 0 ? 0 : first_ + int64_t{layer - 1} * hidden_; }
  void pack_layer(int layer, bool training) const;

  DecoderNet net_;
  const TileProducts& products_;
  float* memory_;
  int64_t columns_, first_, hidden_, bias_offset_, output_offset_, backward_offset_;
};

/// One row tile of the decoder, all layers, in one worker's scratch. Budget at 126 rows × width 128, 10 layers: 11
/// activations of 63 KiB in the second-level cache, 16 KiB of weights at a time in the first; a tile costs 2·MAC flops
/// a row forward, 6·MAC with gradients.
class DecoderTile {
 public:
  static constexpr int max_rows = tile_rows;

  /// Scratch a worker needs, in floats; `training` keeps the activations of all layers.
  static int64_t scratch_floats(const DecoderShape& shape, bool training);
  DecoderTile(const PackedDecoder& packed, float* scratch, bool training);

  /// Positional encoding of `rows` points [rows, 3].
  void encode(const float* points, int rows);
  /// h₀'s bias with the latent folded in: b₀ + W_z z. Constant over the tile, so z costs nothing a row.
  void set_latent(const float* z);
  /// All layers; leaves values() [rows, outputs].
  void forward(int rows);
  /// Adds to `gradient` (all parameters), for dvalues() [rows, outputs]; leaves in bias_sum() [width] the column sums
  /// of the gradient of h₀'s pre-activation, from which dz = W_zᵀ bias_sum.
  void backward(int rows, const float* z, float* gradient);

  float* values() { return values_; }
  float* points() { return points_; }
  float* dvalues() { return dvalues_; }
  float* bias_sum() { return bias_sum_; }

 private:
  int whole_blocks(int rows) const;
  float* activation(int layer) { return activations_ + (training_ ? int64_t{layer} * stride_ : 0); }
  void output_backward(int rows, const float* h, float* dh, float* gradient);

  const PackedDecoder& packed_;
  const DecoderShape& shape_;
  bool training_;
  int64_t stride_;
  float *points_, *encoding_, *angles_, *activations_, *next_, *values_, *dvalues_, *bias_, *bias_sum_, *row_, *drow_;
};

/// The decoder's operations with the products of one instruction set: the backend takes the fastest.
void decode_slices(Device& device, const DecodeSlices& args, const TileProducts& products);
void decode_slices_backward(Device& device, const DecodeSlicesBackward& args, const TileProducts& products);

}  // namespace recon::cpu
