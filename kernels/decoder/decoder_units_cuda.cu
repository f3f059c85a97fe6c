// The units of a training call's gradients, from the numbers that these are proportional to.
//
// Limit: reading the target once, 4 bytes a value, beside training rows that cost hundreds of kiloflops each.
#include "kernels/decoder/decoder_units_cuda.h"

#include <algorithm>
#include <cmath>

namespace recon::cuda {
namespace {

/// The largest |number| that gradients are proportional to, a block's share each.
RECON_KERNEL(256) maxima_kernel(View<const float> numbers, DecoderRows rows, float* maxima) {
  struct Shared {
    float of_warp[8];
  };
  auto& shared = shared_memory<Shared>();
  float largest = 0;
  for (int64_t i = grid_thread(); i < numbers.size(); i += grid_threads())
    if (rows.is_active(i / numbers.cols)) largest = std::max(largest, std::abs(numbers[i]));
  for (int step = 16; step > 0; step >>= 1) largest = std::max(largest, __shfl_xor_sync(all_lanes, largest, step));
  if (lane_of(thread()) == 0) shared.of_warp[warp_of(thread())] = largest;
  __syncthreads();
  if (thread() != 0) return;
  for (int warp = 1; warp < 8; ++warp) largest = std::max(largest, shared.of_warp[warp]);
  maxima[blockIdx.x] = largest;
}

/// The power of two below |x|; 1 for 0.
RECON_DEVICE float power_below(float x) {
  int exponent = 1;
  if (x != 0) std::frexp(x, &exponent);
  return std::ldexp(1.0f, std::clamp(exponent - 1, -100, 100));
}

/// One warp.
RECON_KERNEL(32)
units_kernel(const float* maxima, int count, DecodeSlicesBackward a, const float* outputs, int size,
             GradientUnits* units) {
  float value = 0, weight = 0;
  for (int i = thread(); i < count; i += 32) value = std::max(value, maxima[i]);
  for (int i = thread(); i < size; i += 32) weight = std::max(weight, std::abs(outputs[i]));
  for (int step = 16; step > 0; step >>= 1) {
    value = std::max(value, __shfl_xor_sync(all_lanes, value, step));
    weight = std::max(weight, __shfl_xor_sync(all_lanes, weight, step));
  }
  if (thread() != 0) return;
  const float unit = power_below(value) * (a.target.empty() ? 1.0f : power_below(a.scale.get()));
  *units = {unit, unit * power_below(weight)};
}

}  // namespace

void make_units(Queue& queue, const DecodeSlicesBackward& a, float* maxima, GradientUnits* units) {
  const DecoderShape& s = a.forward.net.shape;
  const View<const float>& numbers = a.target.empty() ? a.dvalues : a.target;
  const int64_t blocks = std::min<int64_t>(maxima_blocks, covering(numbers.size()).blocks);
  launch(queue, "decoder_maxima", {.blocks = blocks, .shared_bytes = 64}, maxima_kernel, numbers,
         DecoderRows(a.forward), maxima);
  launch(queue, "decoder_units", {.threads = 32}, units_kernel, maxima, static_cast<int>(blocks), a,
         a.forward.net.parameters.data + s.weight_offset(s.layers + 1), s.outputs * s.width, units);
}

}  // namespace recon::cuda
