// What the CUDA backend can be asked for, on the hardware and in the emulator.
#include <algorithm>
#include <cmath>
#include <memory>

#include "bench/variants.h"
#include "kernels/decoder/decoder_paths_cuda.h"
#include "kernels/decoder/variants/decoder_variants_cuda.h"
#include "kernels/linear/variants/linear_variants_cuda.h"
#include "kernels/pose/variants/pose_variants_cuda.h"
#include "kernels/slice/variants/slice_variants_cuda.h"

namespace recon::bench {
namespace {

using Done = std::function<void()>;
DecodeSlices in(Precision precision, DecodeSlices a) {
  a.net.precision = precision;
  return a;
}

void add_decoder(Variants& v, const std::string& name, Precision precision, bool fused) {
  v.decode.push_back({name, value_tolerance(precision),
                      [=](Device& device, const DecodeSlices& args) -> Done {
                        const DecodeSlices a = in(precision, args);
                        if (fused && !cuda::fused::supports(a.net)) return nullptr;
                        return [&device, a, fused] {
                          (fused ? cuda::fused::decode : cuda::layered::decode)(device, a.net, cuda::DecoderRows(a),
                                                                                a.values);
                        };
                      },
                      precision});
  v.decode_backward.push_back({name, gradient_tolerance(precision),
                               [=](Device& device, const DecodeSlicesBackward& args) -> Done {
                                 DecodeSlicesBackward a = args;
                                 a.forward = in(precision, a.forward);
                                 if (fused && !cuda::fused::supports(a.forward.net)) return nullptr;
                                 return [&device, a, fused] {
                                   (fused ? cuda::fused::decode_backward : cuda::layered::decode_backward)(device, a);
                                 };
                               },
                               precision});
}

void add_warpgroups(Variants& v, const std::string& name, Precision precision) {
  v.decode.push_back({name, value_tolerance(precision),
                      [=](Device& device, const DecodeSlices& args) -> Done {
                        const DecodeSlices a = in(precision, args);
                        if (!cuda::fused::supports_warpgroups(device, a.net)) return nullptr;
                        return [&device, a] {
                          cuda::fused::decode_warpgroups(device, a.net, cuda::DecoderRows(a), a.values);
                        };
                      },
                      precision});
}

/// Many steps: kernel by kernel, in one kernel, and kernel by kernel in one graph, which is recorded before the clock
/// starts.
void add_steps(Variants& v, Precision precision) {
  using Run = void (*)(Device&, const DecoderSteps&);
  const auto add = [&](const char* name, const std::function<Done(Device&, const DecoderSteps&)>& prepare) {
    v.steps.push_back({name, gradient_tolerance(precision),
                       [=](Device& device, const DecoderSteps& args) -> Done {
                         DecoderSteps a = args;
                         a.net.precision = precision;
                         return prepare(device, a);
                       },
                       precision});
  };
  const auto calls = [](Run run) {
    return [run](Device& device, const DecoderSteps& a) -> Done { return [&device, a, run] { run(device, a); }; };
  };
  add("launched", calls(decoder_steps));
  add("one kernel", [calls](Device& device, const DecoderSteps& a) -> Done {
    return cuda::fused::supports_steps(a) ? calls(cuda::fused::decoder_steps_one_kernel)(device, a) : nullptr;
  });
  add("recorded", [](Device& device, const DecoderSteps& a) -> Done {
    const auto recording = std::make_shared<Recording>();
    const auto run = [&device, a, recording] { device.repeat(*recording, [&] { decoder_steps(device, a); }); };
    run(), run();
    return run;
  });
}

}  // namespace

Variants cuda_variants() {
  Variants v;
  add_decoder(v, "layers, fp32", Precision::fp32, false);
  add_decoder(v, "layers, tf32", Precision::tf32, false);
  for (const auto& [precision, name] : {std::pair{Precision::fp16, "fp16"}, {Precision::bf16, "bf16"}}) {
    add_decoder(v, std::string("layers, ") + name, precision, false);
    add_decoder(v, std::string("fused, ") + name, precision, true);
    add_warpgroups(v, std::string("fused, warpgroups, ") + name, precision);
  }
  add_steps(v, Precision::bf16);
  v.encoding = {plain<EncodingSum>("polynomials", 1e-5, cuda::encoding_sum_turns),
                plain<EncodingSum>("special functions", 1e-5, cuda::encoding_sum_fast)};
  v.linear = {plain<LinearForward>("naive", 1e-5, cuda::linear_naive),
              plain<LinearForward>("tiled", 1e-5, cuda::linear_tiled), plain<LinearForward>("cuBLASLt", 1e-5, linear)};
  v.linear_backward = {plain<LinearBackward>("naive", 1e-5, cuda::linear_backward_naive),
                       plain<LinearBackward>("tiled", 1e-5, cuda::linear_backward_tiled),
                       plain<LinearBackward>("cuBLASLt", 1e-5, linear_backward)};
  // Weights to the nearest of 256ths are wrong by 2⁻⁹/√3 on each of three axes. Of values without any order an
  // interpolation leaves (2/3)^(3/2), and of the differences that the weights multiply √2 · 2/3: a relative error
  // of √3 · 2⁻⁹ = 3.4e-3. The lattices of a search are smoother.
  v.slices = {{"texture", 4e-3,
               [](Device& device, const SampleSlices& a) -> Done {
                 const auto texture = std::make_shared<cuda::CubeTexture>(cuda::queue_of(device), a.volume.side);
                 texture->copy_from(a.volume.values.data);
                 return [&device, a, texture] { cuda::sample_slices_texture(device, a, *texture); };
               }},
              plain<SampleSlices>("trilinear", 1e-5, sample_slices)};
  // A quarter more than the 0.053 that its images leave (cpu::aliasing).
  v.volume_slices = {trilinear("trilinear, 2x", 0.067, 2)};
  v.pose_score = {plain<PoseScore>("naive", score_tolerance(Precision::fp32), cuda::pose_score_naive)};
  for (const auto& [precision, name] : {std::pair{Precision::bf16, "tensor cores, bf16"},
                                        {Precision::fp16, "tensor cores, fp16"},
                                        {Precision::fp32, "tiled"}})
    v.pose_score.push_back({name, score_tolerance(precision),
                            [p = precision](Device& device, const PoseScore& args) -> Done {
                              PoseScore a = args;
                              a.precision = p;
                              return [&device, a] { pose_score(device, a); };
                            },
                            precision});
  v.hartley = {plain<Hartley2d>("cuFFT", 1e-5, hartley)};
  v.adam = {plain<Adam>("one pass", 1e-5, adam)};
  v.adam_product = {product_then_adam(), plain<AdamProduct>("one pass", 1e-5, adam_product)};
  v.loss = {plain<SquaredError>("one pass", 1e-5, squared_error)};
  return v;
}

Ceilings cuda_ceilings(Device& device) {
  cuda::Queue& queue = cuda::queue_of(device);
  // As large as fills the device, and small where it is emulated.
  const int64_t n = queue.multiprocessors() >= 16 ? 8192 : 32;
  const Buffer<float> from(device, 1, 4 * n * n), to(device, 1, 4 * n * n);
  from.zero(), to.zero();
  Ceilings c;
  const size_t bytes = size_t(from.size()) * 4;
  c.bytes_per_s = best_rate(device, 2.0 * double(bytes), [&] { queue.copy(to.view().data, from.view().data, bytes); });
  for (const Precision p : {Precision::fp32, Precision::tf32, Precision::bf16, Precision::fp16})
    c.flops_per_s[static_cast<int>(p)] = best_rate(device, 2.0 * double(n * n * n), [&] {
      queue.gemm(cuda::Gemm{.m = n,
                            .n = n,
                            .k = n,
                            .operands = p,
                            .results = sixteen_bits(p) ? p : Precision::fp32,
                            .a = from.view().data,
                            .lda = n,
                            .b = from.view().data,
                            .ldb = n,
                            .c = to.view().data,
                            .ldc = n});
    });
  return c;
}

}  // namespace recon::bench
