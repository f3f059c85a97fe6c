#pragma once
#include "kernels/image/image.h"
#include "kernels/runtime/device.h"

namespace recon {

/// The positional encoding by itself: values [S, P] = Σ_f w_f sin 2π(f·k) + w'_f cos 2π(f·k) at k = Rᵀ (x, y, 0)/D. In
/// the decoder it stands inside the first layer and is never written; a sum that takes two multiply-adds a frequency
/// keeps it from being a measure of memory.
struct EncodingSum {
  View<const float> frequencies;  ///< [3, F], cycles over k in 1/D
  View<const float> weights;      ///< [1, 2 F]: w, w'
  View<const Pixel> pixels;       ///< [1, P]
  View<const float> rotations;    ///< [S, 9]
  View<float> values;             ///< [S, P]
  int side = 0;
};

namespace cpu {
void encoding_sum_libm(Device& device, const EncodingSum& args);       ///< the library's sine and cosine
void encoding_sum_turns(Device& device, const EncodingSum& args);      ///< sincos_turns, as the tiles do
void encoding_sum_separable(Device& device, const EncodingSum& args);  ///< from sines of x and of y, a slice at a time
}  // namespace cpu

namespace cuda {
void encoding_sum_turns(Device& device, const EncodingSum& args);  ///< sincos_turns, as the layered path
void encoding_sum_fast(Device& device, const EncodingSum& args);   ///< sincos_turns_fast, as the fused path
}  // namespace cuda

}  // namespace recon
