#include <cblas.h>

#include <cstring>

#include "bench/variants.h"
#include "kernels/decoder/decoder_tile.h"
#include "kernels/decoder/variants/decoder_variants_cpu.h"
#include "kernels/linear/linear_paths_cpu.h"
#include "kernels/linear/variants/linear_variants_cpu.h"
#include "kernels/ops.h"

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
  v.slices = {plain<SampleSlices>("trilinear", 1e-5, sample_slices)};
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
