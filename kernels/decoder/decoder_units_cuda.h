#pragma once
// The unit in which a training call holds gradients of 16 bits.
#include "kernels/decoder/decoder_rows_cuda.h"

namespace recon::cuda {

/// The unit of gradients in 16 bits: powers of two, so that dividing and multiplying by them is exact. fp16 holds
/// 2⁻²⁴ … 2¹⁶, so gradients are held as multiples of units made from the size of the target or of the given gradients,
/// the loss scale and W_out: of order one whatever these are. bf16 has the range of fp32, and its units are 1.
struct GradientUnits {
  float value = 1;   ///< of dV̂
  float hidden = 1;  ///< of pre-activations' gradients: value · a power of two near the largest |W_out|
};

constexpr int maxima_blocks = 256;
/// Makes the units of a call; `maxima` is room for maxima_blocks numbers.
void make_units(Queue& queue, const DecodeSlicesBackward& args, float* maxima, GradientUnits* units);

}  // namespace recon::cuda
