#pragma once
#include <cstdint>

#include "kernels/decoder/decoder.h"

namespace recon::cpu {

/// One row tile of the decoder, all layers, in one worker's scratch. Budget at 128 rows × width 128, 10 layers: 11
/// activations of 64 KiB and 640 KiB of weights, so a tile lives in L2/L3 and costs 2·MAC flops a row forward, 6·MAC
/// with gradients.
class DecoderTile {
 public:
  static constexpr int max_rows = 128;

  /// Scratch a worker needs, in floats; `training` keeps the activations of all layers.
  static int64_t scratch_floats(const DecoderShape& shape, bool training);
  DecoderTile(const DecoderNet& net, float* scratch, bool training);

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
  float* activation(int layer) { return activations_ + (training_ ? int64_t{layer} * stride_ : 0); }

  const DecoderNet& net_;
  const DecoderShape& shape_;
  bool training_;
  int64_t stride_;
  float *points_, *encoding_, *activations_, *next_, *values_, *dvalues_, *bias_, *bias_sum_;
};

}  // namespace recon::cpu
