#pragma once
#include "kernels/image/image.h"
#include "kernels/runtime/device.h"
#include "kernels/runtime/precision.h"
#include "kernels/runtime/scalar.h"

namespace recon {

/// The coordinate network V̂(k, z) (paper §3.1) as the kernels see it:
///
///   e(k) = [sin 2π f·k | cos 2π f·k]   for F frequency vectors f (positional encoding, eq. 7–8)
///   h₀   = relu(W₀ [e(k), z] + b₀)
///   hₗ   = relu(Wₗ hₗ₋₁ + bₗ (+ hₗ₋₁ when residual)),  l = 1 … layers
///   V̂    = W_out h + b_out
///
/// outputs = 1: the Hartley value at k. outputs = 2 ("half-space"): the pair (H(k), H(−k)) for k in the half-space
/// kz > 0 (ties broken by ky, kx), which halves the evaluations: a point outside is mirrored and its pair swapped.
struct DecoderShape {
  int features = 0;  ///< F
  int latent = 0;    ///< Z, length of z; 0 for a homogeneous structure
  int width = 128;
  int layers = 10;
  int outputs = 1;
  bool residual = true;

  RECON_HD int inputs() const { return 2 * features + latent; }
  /// Offsets into the flat parameter array: W₀ [width, 2F+Z], b₀, then W, b of each layer, then W_out [outputs, width],
  /// b_out. Layer `layers + 1` is the output layer.
  RECON_HD int64_t weight_offset(int layer) const {
    return layer == 0 ? 0 : int64_t{width} * inputs() + width + int64_t{layer - 1} * (int64_t{width} * width + width);
  }
  RECON_HD int64_t bias_offset(int layer) const {
    return weight_offset(layer) + int64_t{width} * (layer == 0 ? inputs() : layer <= layers ? width : outputs);
  }
  int64_t parameter_count() const { return bias_offset(layers + 1) + outputs; }
  /// Multiply-adds of one evaluation; a training evaluation costs about three times as much.
  int64_t multiply_adds() const {
    return int64_t{inputs()} * width + int64_t{layers} * width * width + int64_t{width} * outputs;
  }
};

struct DecoderNet {
  DecoderShape shape;
  View<const float> frequencies;  ///< [3, F], cycles over the unit of k (k in [−½, ½])
  View<const float> parameters;   ///< [1, parameter_count]
  /// The least precision allowed of the products' operands (decodes_in).
  Precision precision = Precision::fp32;
};

/// Evaluates central slices: values[s, p] = V̂(Rₛᵀ (x_p, y_p, 0)/D, z_s)  (paper eq. 2, 6).
struct DecodeSlices {
  DecoderNet net;
  View<const Pixel> pixels;       ///< [1, P], in pairs (P even)
  View<const float> rotations;    ///< [S, 9]
  View<const float> latents;      ///< [N, Z]; empty when Z = 0
  View<const int32_t> latent_of;  ///< [1, S] row of `latents` of each slice; empty: row s
  View<const int32_t> active;     ///< [1, S]: slices with 0 are skipped; empty: all
  View<float> values;             ///< [S, P]
  int side = 0;
};

/// Evaluates V̂ at points[i] (in the half-space when outputs = 2) for one z: values[i, :].
struct DecodePoints {
  DecoderNet net;
  View<const float> points;  ///< [n, 3] = (x, y, z) in [−½, ½]
  View<const float> latent;  ///< [1, Z]
  View<float> values;        ///< [n, outputs]
};

/// Gradient of DecodeSlices, in tiles that recompute the forward pass, so that activations never leave the cache. The
/// gradient of the values is either given (`dvalues`) or made in the tile from the reconstruction loss (`target`
/// given):
///   loss[s] = Σ_p (ctf[s,p] V̂[s,p] − target[s,p])²,   dV̂ = 2 · scale · ctf · (ctf V̂ − target).
/// Adds to dparameters and dlatents; writes loss. The same bits for any number of threads.
struct DecodeSlicesBackward {
  DecodeSlices forward;        ///< `values` may be empty: not kept
  View<const float> dvalues;   ///< [S, P], or empty
  View<const float> target;    ///< [S, P], or empty
  View<const float> ctf;       ///< [S, P], or empty for 1
  Scalar<float> scale = 1.0f;  ///< of the loss
  View<float> loss;            ///< [1, S] with `target`
  View<float> dparameters;     ///< [1, parameter_count]
  View<float> dlatents;        ///< [S, Z]; empty when Z = 0
};

/// Whether the device has products of such operands; where it has none, the decoder computes in fp32.
bool decodes_in(const Device& device, Precision precision);

void decode(Device& device, const DecodeSlices& args);
void decode(Device& device, const DecodePoints& args);
void decode_backward(Device& device, const DecodeSlicesBackward& args);

}  // namespace recon
