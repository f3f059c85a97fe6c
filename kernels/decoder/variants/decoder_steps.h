#pragma once
// Many small training steps as one operation: what a step costs beside its own work.
#include "kernels/adam/adam.h"
#include "kernels/decoder/decoder.h"

namespace recon {

/// Training steps s = 0 … steps − 1 of a homogeneous network without CTF, one after the other: gradients of
/// Σ (V̂ − target)² over slices s·B … s·B + B − 1, then Adam.
struct DecoderSteps {
  int64_t steps = 1;
  DecoderNet net;               ///< its parameters are those that Adam moves
  View<const Pixel> pixels;     ///< [1, P]
  View<const float> rotations;  ///< [steps·B, 9]
  View<const float> targets;    ///< [steps·B, P]
  View<float> losses;           ///< [1, steps·B]
  Adam adam;                    ///< of the first step, whose number is given; gradients are 0 before and after
  int side = 0;
};

inline DecodeSlicesBackward gradients_of_step(const DecoderSteps& a, int64_t s) {
  const int64_t batch = a.rotations.rows / a.steps, first = s * batch;
  return {
      .forward = {.net = a.net, .pixels = a.pixels, .rotations = a.rotations.slice_rows(first, batch), .side = a.side},
      .target = a.targets.slice_rows(first, batch),
      .loss = {a.losses.data + first, 1, batch},
      .dparameters = a.adam.gradients};
}

/// By the product's operations, one after the other.
inline void decoder_steps(Device& device, const DecoderSteps& a) {
  Adam update = a.adam;
  for (int64_t s = 0; s < a.steps; ++s, ++update.step.value) {
    decode_backward(device, gradients_of_step(a, s));
    adam(device, update);
  }
}

}  // namespace recon
