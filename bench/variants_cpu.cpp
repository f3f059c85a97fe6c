#include <cblas.h>

#include <cstring>

#include "bench/variants.h"
#include "kernels/decoder/decoder_tile.h"
#include "kernels/decoder/variants/decoder_variants_cpu.h"
#include "kernels/linear/linear_paths_cpu.h"
#include "kernels/linear/variants/linear_variants_cpu.h"
#include "kernels/ops.h"
#include "kernels/pose/variants/pose_variants_cpu.h"
#include "kernels/slice/variants/slice_variants_cpu.h"

namespace recon::bench {
namespace {

/// `takes` (of a forward call): what the variant was made for.
template <class Args, class Takes, class Function>
Variant<Args> with(std::string name, Precision precision, double tolerance, Takes takes, Function function) {
  return {std::move(name), tolerance,
          [takes, function](Device& device, const Args& args) -> std::function<void()> {
            if constexpr (std::is_same_v<Args, DecodeSlices>) {
              if (!takes(args)) return nullptr;
            } else {
              if (!takes(args.forward)) return nullptr;
            }
            return [&device, args, function] { function(device, args); };
          },
          precision};
}

/// Both directions of the decoder with these functions (device, args).
template <class Takes, class Forward, class Backward>
void add_decoder(Variants& v, const std::string& name, Precision precision, Takes takes, Forward forward,
                 Backward backward) {
  v.decode.push_back(with<DecodeSlices>(name, precision, value_tolerance(precision), takes, forward));
  v.decode_backward.push_back(
      with<DecodeSlicesBackward>(name, precision, gradient_tolerance(precision), takes, backward));
}

std::string text_of(double oversampling) {
  char out[16];
  std::snprintf(out, sizeof out, "%gx", oversampling);
  return out;
}

/// Those that cannot do what they are asked for are left out.
void add_pose_score(Variants& v) {
  const double tolerance = score_tolerance(Precision::fp32);
  const auto add = [&](const char* name, bool (*takes)(const PoseScore&), void (*score)(Device&, const PoseScore&)) {
    v.pose_score.push_back({name, tolerance, [=](Device& device, const PoseScore& a) -> std::function<void()> {
                              if (!takes(a)) return nullptr;
                              return [&device, a, score] { score(device, a); };
                            }});
  };
  const auto any = [](const PoseScore&) { return true; };
  add("direct", any, cpu::pose_score_direct);
  add("separable shifts", any, cpu::pose_score_separable);
  add(
      "FFT over shifts", [](const PoseScore& a) { return cpu::pose_fft_period(a) > 0; }, cpu::pose_score_fft);
  add(
      "one product for all images", [](const PoseScore& a) { return a.nodes.shared && a.slices_shared; },
      cpu::pose_score_together);
  add("a product an image", any, pose_score);
}

void add_slices(Variants& v) {
  v.slices = {plain<SampleSlices>("one by one", 1e-5, cpu::sample_slices_scalar)};
  // A value between neighbours of 2^e is rounded by 2^(e-11)/sqrt(12) on average, 1.5e-4 to 3e-4 of it, and a sample is
  // a mean of eight.
  if (cpu::has_half_gathers())
    v.slices.push_back({"fp16 lattice", 3e-4, [](Device& device, const SampleSlices& a) -> std::function<void()> {
                          const auto lattice = std::make_shared<std::vector<uint16_t>>(cpu::half_lattice(a.volume));
                          return [&device, a, lattice] { cpu::sample_slices_half(device, a, *lattice); };
                        }});
  v.slices.push_back(plain<SampleSlices>("gathers", 1e-5, sample_slices));

  // What the interpolation's images leave, a quarter more for a sum over few places, and the storage's rounding.
  const auto tolerance = [](const cpu::Interpolation& w, double oversampling, bool bf16) {
    return 1e-5 + 1.25 * cpu::aliasing(w, oversampling) + (bf16 ? 0x1p-9 : 0);
  };
  const auto add = [&](const std::string& name, const cpu::Interpolation& w, double oversampling, bool bf16) {
    v.volume_slices.push_back({name + text_of(oversampling) + (bf16 ? ", bf16" : ""), tolerance(w, oversampling, bf16),
                               [=](Device& device, const VolumeSlices& a) -> std::function<void()> {
                                 const auto volume =
                                     std::make_shared<cpu::GriddedVolume>(device, a, w, oversampling, bf16);
                                 return [&device, a, volume] { volume->sample(device, a); };
                               }});
  };
  for (const double oversampling : {1.0, 1.5, 2.0}) add("cubic B-spline, ", cpu::cubic_spline(), oversampling, false);
  add("cubic B-spline, ", cpu::cubic_spline(), 2, true);
  for (const double oversampling : {1.5, 2.0})
    add("Kaiser-Bessel, ", cpu::kaiser_bessel(oversampling), oversampling, false);
  for (const int oversampling : {1, 3, 2})
    v.volume_slices.push_back(trilinear("trilinear, " + text_of(oversampling),
                                        tolerance(cpu::linear_interpolation(), oversampling, false), oversampling));
}

}  // namespace

Variants cpu_variants() {
  Variants v;
  for (const auto& [name, products] : {std::pair{"naive", &cpu::naive_products}, {"BLAS a layer", &cpu::blas_products}})
    add_decoder(
        v, name, Precision::fp32, cpu::decodes_by_layers,
        [p = products](Device& d, const DecodeSlices& a) { cpu::decode_by_layers(d, a, *p); },
        [p = products](Device& d, const DecodeSlicesBackward& a) { cpu::decode_backward_by_layers(d, a, *p); });
  const auto sets = cpu::all_tile_products();
  for (auto set = sets.rbegin(); set != sets.rend(); ++set)
    add_decoder(
        v, std::string("fused tiles, ") + (*set)->name, (*set)->operands, [](const DecodeSlices&) { return true; },
        [s = *set](Device& d, const DecodeSlices& a) { cpu::decode_slices(d, a, *s); },
        [s = *set](Device& d, const DecodeSlicesBackward& a) { cpu::decode_slices_backward(d, a, *s); });
  v.steps = {plain<DecoderSteps>("one by one", gradient_tolerance(Precision::fp32), decoder_steps)};
  v.encoding = {plain<EncodingSum>("library", 1e-5, cpu::encoding_sum_libm),
                plain<EncodingSum>("separable", 1e-5, cpu::encoding_sum_separable),
                plain<EncodingSum>("vectors", 1e-5, cpu::encoding_sum_turns)};
  v.linear = {plain<LinearForward>("naive", 1e-5, cpu::linear_naive),
              plain<LinearForward>("BLAS", 1e-5, cpu::linear_blas)};
  if (cpu::has_one_pass()) v.linear.push_back(plain<LinearForward>("one pass", 1e-5, cpu::linear_one_pass));
  v.linear_backward = {plain<LinearBackward>("naive", 1e-5, cpu::linear_backward_naive),
                       plain<LinearBackward>("BLAS", 1e-5, linear_backward)};
  add_slices(v);
  add_pose_score(v);
  v.hartley = {plain<Hartley2d>("real FFT", 1e-5, hartley)};
  v.adam = {plain<Adam>("one pass", 1e-5, adam)};
  v.adam_product = {product_then_adam(), plain<AdamProduct>("one pass", 1e-5, adam_product)};
  v.loss = {plain<SquaredError>("one pass", 1e-5, squared_error)};
  return v;
}

Ceilings cpu_ceilings(Device& device) {
  constexpr int64_t n = 1024, floats = int64_t{1} << 26;
  const Buffer<float> from(device, 1, floats), to(device, 1, floats);
  from.zero(), to.zero();
  Ceilings c;
  c.bytes_per_s = best_rate(device, 2.0 * 4 * floats, [&] {
    device.threads().for_range(floats, floats / 64, [&](int64_t first, int64_t last) {
      std::memcpy(to.view().data + first, from.view().data + first, size_t(last - first) * 4);
    });
  });
  openblas_set_num_threads(device.threads().size());
  const float* a = from.view().data;
  c.flops_per_s[0] = best_rate(device, 2.0 * n * n * n, [&] {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a, n, a + n * n, n, 0, to.view().data, n);
  });
  openblas_set_num_threads(1);
  // The library has no products of bf16: they too are held to fp32's.
  c.flops_per_s[static_cast<int>(Precision::bf16)] = c.flops_per_s[0];
  return c;
}

Variants variants_of(const Device& device) {
  return std::strcmp(device.ops().name, "cpu") == 0 ? cpu_variants() : cuda_variants();
}

Ceilings ceilings_of(Device& device) {
  return std::strcmp(device.ops().name, "cpu") == 0 ? cpu_ceilings(device) : cuda_ceilings(device);
}

}  // namespace recon::bench
