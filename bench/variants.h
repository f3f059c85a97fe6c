#pragma once
// The ways to do an operation, side by side: the product's own and what kernels/*/variants/ keeps.
#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/adam/adam.h"
#include "kernels/decoder/decoder.h"
#include "kernels/decoder/variants/decoder_steps.h"
#include "kernels/decoder/variants/encoding_variants.h"
#include "kernels/fourier/fourier.h"
#include "kernels/linear/linear.h"
#include "kernels/loss/loss.h"
#include "kernels/pose/pose.h"
#include "kernels/slice/slice.h"
#include "kernels/slice/variants/slice_variants.h"
#include "kernels/slice/volume_points.h"

namespace recon::bench {

template <class Args>
struct Variant {
  std::string name;
  double tolerance = 0;  ///< relative error (L2) against the definition, derived where it is declared
  /// What runs it; copies and tables that it keeps between runs are made here, out of the clock.
  std::function<std::function<void()>(Device&, const Args&)> prepare;
  Precision precision = Precision::fp32;  ///< of its products' operands: the ceiling it is held to
};

/// Of each operation, the product's own way last: what stands before it is what it has to beat.
struct Variants {
  std::vector<Variant<DecodeSlices>> decode;
  std::vector<Variant<DecodeSlicesBackward>> decode_backward;
  std::vector<Variant<DecoderSteps>> steps;
  std::vector<Variant<EncodingSum>> encoding;
  std::vector<Variant<LinearForward>> linear;
  std::vector<Variant<LinearBackward>> linear_backward;
  std::vector<Variant<SampleSlices>> slices;
  std::vector<Variant<VolumeSlices>> volume_slices;
  std::vector<Variant<PoseScore>> pose_score;
  std::vector<Variant<Hartley2d>> hartley;
  std::vector<Variant<Adam>> adam;
  std::vector<Variant<AdamProduct>> adam_product;
  std::vector<Variant<SquaredError>> loss;
};

constexpr int checked_layers = 2;  ///< of the small case that is compared with the definition (operations.cpp)

/// Unit roundoff of operands; of tf32 twice that of its 10 bits, as tensor cores may cut off instead of rounding.
inline double roundoff(Precision p) {
  return p == Precision::fp32 ? 0x1p-24 : p == Precision::bf16 ? 0x1p-9 : p == Precision::fp16 ? 0x1p-12 : 0x1p-11;
}

/// Of values through the decoder: operands are rounded on the way 2 L + 3 times, in quadrature, and a factor of 2 for
/// what the layers before add (tests/kernels/decoder_fused_test.cpp). In fp32 a chain of L + 2 sums of a few hundred
/// products: a few 2⁻²⁴ √n each.
inline double value_tolerance(Precision p) {
  return p == Precision::fp32 ? 2e-5 : 2 * roundoff(p) * std::sqrt(3.0 * checked_layers + 4);
}
/// The same on the way back, and relus that fall on the other side.
inline double gradient_tolerance(Precision p) {
  const double layers = checked_layers;
  return p == Precision::fp32 ? 2e-5
                              : 2 * roundoff(p) * std::sqrt(4 * layers + 6) +
                                    std::sqrt(1.2 * roundoff(p) * (layers + 1) * std::sqrt(2 * layers + 2));
}

/// Of the scores of random images and slices: in fp32 they are within 2e-6 of |X|² + |gS|²
/// (tests/kernels/pose_test.cpp), which they themselves are nearly. 16 bits change a score by 0.6 u · 2 √Σ(S gX)², u
/// twice the roundoff (kernels/pose/pose_base_tensor_cuda.cu), which is 0.06 u of it at the small case's 196 pixels.
inline double score_tolerance(Precision p) { return p == Precision::fp32 ? 4e-6 : 4e-6 + 2 * 0.06 * 2 * roundoff(p); }

/// The fastest of large copies (bytes read and written a second) and of large matrix products (flops a second).
struct Ceilings {
  double bytes_per_s = 0;
  double flops_per_s[4] = {};  ///< by Precision
};

/// The best of a few runs that do `work` each, in units of it a second.
inline double best_rate(Device& device, double work, const std::function<void()>& run) {
  double best = 0;
  for (int i = 0; i < 12; ++i) best = std::max(best, work / device.seconds(run));
  return best;
}

Variants cpu_variants();
Ceilings cpu_ceilings(Device& device);
Variants cuda_variants();  ///< empty in a build without the CUDA backend
Ceilings cuda_ceilings(Device& device);
Variants variants_of(const Device& device);
Ceilings ceilings_of(Device& device);

/// Gradients of the weights into memory, then Adam over them: what adam_product does in one.
inline Variant<AdamProduct> product_then_adam() {
  return {"product, then Adam", 1e-5, [](Device& device, const AdamProduct& a) -> std::function<void()> {
            const int64_t rows = a.parameters.rows, inner = a.parameters.cols, n = rows * inner;
            const auto gradients = std::make_shared<Buffer<float>>(device, rows, inner);
            const auto bias = std::make_shared<Buffer<float>>(device, 1, rows);
            gradients->zero(), bias->zero();
            Adam step{.parameters = {a.parameters.data, 1, n},
                      .gradients = gradients->shaped(1, n),
                      .first_moments = {a.first_moments.data, 1, n},
                      .second_moments = {a.second_moments.data, 1, n},
                      .learning_rate = a.learning_rate,
                      .beta1 = a.beta1,
                      .beta2 = a.beta2,
                      .epsilon = a.epsilon,
                      .step = a.step};
            return [&device, a, gradients, bias, step] {
              // Without relu and residual dy stays as it is.
              linear_backward(device, {.x = a.right,
                                       .w = a.parameters,
                                       .dy = {const_cast<float*>(a.left.data), a.left.rows, a.left.cols},
                                       .dw = gradients->view(),
                                       .db = bias->view()});
              adam(device, step);
            };
          }};
}

/// Slices of a volume as the product takes them: by sample_slices out of a lattice `oversampling` times as fine.
inline Variant<VolumeSlices> trilinear(std::string name, double tolerance, int oversampling) {
  return {std::move(name), tolerance, [=](Device& device, const VolumeSlices& a) -> std::function<void()> {
            const int padded = a.side * oversampling;
            const auto lattice = std::make_shared<Buffer<float>>(device, int64_t{padded} * padded, padded);
            pad_volume(device, {.density = a.density, .out = lattice->view(), .side = a.side, .padded_side = padded});
            hartley(device, Hartley3d{.volume = lattice->view(), .hartley = lattice->view(), .side = padded});
            return [&device, a, lattice, padded, oversampling] {
              sample_slices(device, {.volume = {lattice->view(), padded, oversampling},
                                     .pixels = a.pixels,
                                     .rotations = a.rotations,
                                     .values = a.values});
            };
          }};
}

/// A function that keeps nothing.
template <class Args>
Variant<Args> plain(std::string name, double tolerance, void (*function)(Device&, const Args&)) {
  return {std::move(name), tolerance, [function](Device& device, const Args& args) -> std::function<void()> {
            return [&device, args, function] { function(device, args); };
          }};
}

}  // namespace recon::bench
