// Products with operands below fp32: the CUDA backend's fused path (16 bits), and at the end its layered one, which
// takes all other widths and tf32; the CPU's tiles, where the processor has such products, take both parts. Tolerances
// follow from the unit roundoff u of these, 2⁻⁹ for bf16, 2⁻¹² for fp16, and 2⁻¹¹ for tf32, whose 10 bits tensor cores
// may cut off instead of rounding:
//
//   values     A layer rounds its weights and what it multiplies them with; with the last activations that makes
//              2 L + 3 roundings on the way to a value, independent, so in quadrature, of the norm of the terms that
//              the value is the sum of. A factor of 2 for what the layers before add. Together 2 u √(2 L + 3).
//   gradients  meet the same roundings, and those of the way back: 2 u √(4 L + 6), as long as every relu is on the side
//              it is on in doubles.
//   relus      A pre-activation is wrong by δ ≈ u √(2 L + 2) of its spread, so of normal ones 0.3 δ change sides in a
//              layer, and where half of them pass, that is 0.6 δ of the gradient's squared norm. With a factor of 2
//              for few rows: √(1.2 u (L + 1) √(2 L + 2)) more.
//
// So one test keeps all relus far from their kinks and holds gradients to a few u; the other lets them be.
#include <doctest/doctest.h>

#include <cstring>

#include "kernels/ops.h"
#include "tests/reference/decoder_case.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

/// Those below fp32 that the device has.
std::vector<Precision> precisions_of(const Device& device) {
  std::vector<Precision> out;
  for (const Precision precision : {Precision::bf16, Precision::fp16, Precision::tf32})
    if (decodes_in(device, precision)) out.push_back(precision);
  if (out.empty()) MESSAGE("skipped: this processor has no products with operands below fp32");
  return out;
}

double roundoff(Precision precision) {
  return precision == Precision::bf16 ? 0x1p-9 : precision == Precision::fp16 ? 0x1p-12 : 0x1p-11;
}
double value_tolerance(const DecoderCase& c) {
  return 2 * roundoff(c.precision) * std::sqrt(2.0 * c.problem.shape.layers + 3);
}
double gradient_tolerance(const DecoderCase& c) {
  return 2 * roundoff(c.precision) * std::sqrt(4.0 * c.problem.shape.layers + 6);
}
double kink_tolerance(const DecoderCase& c) {
  const double layers = c.problem.shape.layers;
  return std::sqrt(1.2 * roundoff(c.precision) * (layers + 1) * std::sqrt(2 * layers + 2));
}

/// Moves every relu's bias 8 of its standard deviations to one side. A residual keeps a unit on its side through all
/// layers.
void leave_kinks(Draws& draws, SliceProblem& p) {
  const DecoderShape& s = p.shape;
  Values side(static_cast<size_t>(s.width));
  for (int layer = 0; layer <= s.layers; ++layer) {
    if (layer == 0 || !s.residual)
      for (double& v : side) v = draws.coin() ? 8 : -8;
    for (int64_t at = s.weight_offset(layer); at < s.bias_offset(layer) && layer > 0; ++at)
      p.parameters[static_cast<size_t>(at)] = double(static_cast<float>(0.3 * p.parameters[static_cast<size_t>(at)]));
    for (int j = 0; j < s.width; ++j)
      p.parameters[static_cast<size_t>(s.bias_offset(layer) + j)] += side[static_cast<size_t>(j)];
  }
}

/// Mostly the narrowest network, as emulated products are slow. `seed` walks through widths, tiles of 64 and of 128
/// rows (the latter from three tiles on), and both ways to give a gradient.
DecoderCase fused_case(uint64_t seed, Precision precision, bool kinks) {
  Draws draws(9000 + seed);
  DecoderCase c;
  c.precision = precision;
  DecoderShape& s = c.problem.shape;
  s = {.features = draws.integer(1, 80), .latent = draws.integer(0, 3), .width = 64, .layers = draws.integer(0, 3)};
  s.outputs = draws.integer(1, 2);
  s.residual = draws.coin();
  int slices = draws.integer(1, 3), pairs = draws.integer(1, 64);
  if (seed % 6 == 1) s.width = 128, s.layers = draws.integer(0, 2);
  if (seed % 6 == 2) s.width = 256, s.layers = 1, slices = 1, pairs = draws.integer(1, 30);
  if (seed % 6 == 3) slices = 3, pairs = draws.integer(30, 60);
  fill(draws, c, slices, pairs);
  c.from_loss = seed / 6 % 2 == 0;
  if (!kinks) leave_kinks(draws, c.problem);
  return c;
}

/// For each value the norm of the terms w h whose sum it is.
Values terms_of_values(const SliceProblem& p) {
  const auto layers = mlp_layers(p.mlp(), p.parameters);
  const auto width = static_cast<size_t>(p.shape.width);
  Values out;
  Pattern ignored;
  for (size_t s = 0; s < p.slices(); ++s)
    for (size_t i = 0; i < p.pixels.size() && p.is_active(s); ++i) {
      const Evaluation e = evaluation(p, s, i);
      const Values in = decoder_input(p.shape, p.frequencies, e.k, p.latent(s));
      const auto values = mlp(p.mlp(), layers, in, ignored);
      Values terms = values[values.size() - 2];
      for (size_t j = 0; j < width; ++j) terms[j] *= layers.back().w[e.output * width + j];
      out.push_back(norm(terms));
    }
  return out;
}

/// Errors in units of their tolerances.
struct Errors {
  double values = 0, loss = 0, parameters = 0, latents = 0;
};

Errors errors_of(Device& device, const DecoderCase& c, float start, double gradients) {
  const ExpectedGradients expected = reference_gradients(c);
  const DecoderGradients got = kernel_gradients(device, c, start, true);
  const DecoderOnDevice forward(device, c.problem, c.precision);
  decode(device, forward.args);
  CHECK(forward.values.download() == got.values);
  const auto error = [](const auto& a, const Values& b, double floor) {
    const double e = b.empty() ? 0.0 : relative_error(a, b, std::max(floor, 1e-30));
    return std::isnan(e) ? INFINITY : e;  // std::max would pass over what is no number
  };
  // A z's gradient is a sum over rows, of either sign: what it is wrong by is compared with their norm at least.
  const SliceGradients& want = expected.gradients;
  return {error(got.values, expected.values, norm(terms_of_values(c.problem))) / value_tolerance(c),
          error(got.loss, expected.loss, floor_of(expected.loss.size())) / (2 * value_tolerance(c)),
          error(added(got.parameters, start), want.parameters, floor_of(got.parameters.size())) / gradients,
          error(added(got.latents, start), want.latents, want.latent_terms) / gradients};
}

void worsen(Errors& worst, const Errors& e) {
  worst.values = std::max(worst.values, e.values);
  worst.loss = std::max(worst.loss, e.loss);
  worst.parameters = std::max(worst.parameters, e.parameters);
  worst.latents = std::max(worst.latents, e.latents);
}

void check(const Errors& worst) {
  MESSAGE("worst, in tolerances: values " << worst.values << ", loss " << worst.loss << ", dparameters "
                                          << worst.parameters << ", dlatents " << worst.latents);
  CHECK(worst.values < 1);
  CHECK(worst.loss < 1);
  CHECK(worst.parameters < 1);
  CHECK(worst.latents < 1);
}

/// A call of many tiles: more than a chunk of the emulator's three multiprocessors, and than its blocks at once.
DecoderCase long_case(Precision precision, int layers) {
  Draws draws(31);
  DecoderCase c;
  c.precision = precision;
  c.problem.shape = {.features = 9, .latent = 2, .width = 64, .layers = layers, .outputs = 2};
  fill(draws, c, 4, 270);
  c.problem.active = {1, 1, 0, 1};
  c.from_loss = true;
  leave_kinks(draws, c.problem);
  return c;
}

}  // namespace

TEST_CASE(
    "Fused decoder: values, losses and gradients are within the rounding of operands below fp32, relus on one side") {
  const auto device = test_device();
  for (const Precision precision : precisions_of(*device)) {
    Errors worst;
    for (uint64_t number = 0; number < shapes(18); ++number) {
      const DecoderCase c = fused_case(number, precision, false);
      INFO("case " << number);
      CHECK(nearest_kink(c.problem) > 4 * roundoff(precision));
      worsen(worst, errors_of(*device, c, number % 3 == 0 ? 0.5f : 0.0f, gradient_tolerance(c)));
    }
    check(worst);
  }
}

TEST_CASE(
    "Fused decoder: values, losses and gradients are within the rounding of operands below fp32, relus on any side") {
  const auto device = test_device();
  for (const Precision precision : precisions_of(*device)) {
    Errors worst;
    for (uint64_t number = 100; number < 100 + shapes(18); ++number) {
      const DecoderCase c = fused_case(number, precision, true);
      INFO("case " << number);
      worsen(worst, errors_of(*device, c, 0, gradient_tolerance(c) + kink_tolerance(c)));
    }
    check(worst);
  }
}

TEST_CASE("Fused decoder: a call of several chunks of tiles is within the rounding, and the same bits twice") {
  const auto device = test_device();
  Errors worst;
  for (const Precision precision : precisions_of(*device))
    for (const int layers : {0, 2}) {  // one slab a pass, and an odd number of them
      const DecoderCase c = long_case(precision, layers);
      worsen(worst, errors_of(*device, c, 0, gradient_tolerance(c)));
      const DecoderGradients first = kernel_gradients(*device, c, 0, true);
      CHECK(kernel_gradients(*device, c, 0, true) == first);
      DecoderGradients dropped = kernel_gradients(*device, c, 0, false);
      dropped.values = first.values;
      CHECK(dropped == first);
    }
  check(worst);
}

TEST_CASE("Fused decoder: points are within the rounding of operands below fp32") {
  const auto device = test_device();
  for (const Precision precision : precisions_of(*device))
    for (uint64_t number = 200; number < 200 + shapes(12); ++number) {
      const DecoderCase c = fused_case(number, precision, true);
      const SliceProblem& p = c.problem;
      Draws draws(number);
      const int count = draws.integer(1, 200);
      std::vector<float> points(static_cast<size_t>(3 * count));
      for (float& v : points) v = static_cast<float>(draws.uniform(-0.5, 0.5));
      const auto z = draws.normals(p.shape.latent);
      const Values wide_z = widen(z);
      const auto layers = mlp_layers(p.mlp(), p.parameters);
      Values expected;
      Pattern ignored;
      for (size_t i = 0; i < points.size(); i += 3) {
        const double k[3] = {double(points[i]), double(points[i + 1]), double(points[i + 2])};
        const Values in = decoder_input(p.shape, p.frequencies, k, wide_z.data());
        const Values out = mlp(p.mlp(), layers, in, ignored).back();
        expected.insert(expected.end(), out.begin(), out.end());
      }
      const DecoderOnDevice at(*device, p, precision);
      const Buffer<float> k = on_device(*device, points, count, 3), latent = on_device(*device, z),
                          values(*device, count, p.shape.outputs);
      decode(*device,
             DecodePoints{.net = at.args.net, .points = k.view(), .latent = latent.view(), .values = values.view()});
      INFO("case " << number);
      CHECK(relative_error(values.download(), expected, floor_of(expected.size())) < value_tolerance(c));
    }
}

namespace {

/// Gradients of 2⁻⁶⁰ are far below the smallest number of fp16: they live through it as multiples of a unit.
void check_scaled(Device& device, DecoderCase c, bool from_loss) {
  constexpr float small = 0x1p-60f;
  c.from_loss = from_loss;
  DecoderCase scaled = c;
  scaled.scale *= double(small);
  for (double& v : scaled.dvalues) v *= double(small);
  DecoderGradients expected = kernel_gradients(device, c, 0, true);
  for (float& v : expected.parameters) v *= small;
  for (float& v : expected.latents) v *= small;
  INFO((from_loss ? "from the loss" : "from given gradients"));
  CHECK(norm(expected.parameters) > 0);
  CHECK(kernel_gradients(device, scaled, 0, true) == expected);
}

}  // namespace

TEST_CASE(
    "Fused decoder: a power of two in the loss scale, or in the given gradients, changes the gradients by itself") {
  const auto device = test_device();
  for (const Precision precision : precisions_of(*device))
    for (const uint64_t number : {4, 10, 16})
      for (const bool from_loss : {false, true}) {
        INFO("case " << number);
        check_scaled(*device, fused_case(number, precision, true), from_loss);
      }
}

// The layered path rounds its biases and z as well: L + 1 more roundings on the way to a value, and as many on the way
// back, where in return the weights of the outputs are not rounded. Of narrow networks and few rows only a few relus
// change sides, n expected, and their number is n + 4 √n + 4 at most.
namespace {

double layered_value_tolerance(const DecoderCase& c) {
  return 2 * roundoff(c.precision) * std::sqrt(3.0 * c.problem.shape.layers + 4);
}

double layered_kink_tolerance(const DecoderCase& c) {
  const SliceProblem& p = c.problem;
  const double rows = double(p.slices() * p.pixels.size()) / p.shape.outputs, layers = p.shape.layers;
  const double n = 0.3 * roundoff(c.precision) * std::sqrt(2 * layers + 2) * (layers + 1) * p.shape.width * rows;
  return kink_tolerance(c) * std::sqrt(1 + 4 / std::sqrt(n) + 4 / n);
}

/// Widths between, below and above those of the fused kernels, with and without padding.
DecoderCase layered_case(uint64_t seed, Precision precision, bool kinks) {
  Draws draws(7000 + seed);
  DecoderCase c;
  c.precision = precision;
  DecoderShape& s = c.problem.shape;
  s = {.features = draws.integer(1, 40),
       .latent = draws.integer(0, 3),
       .width = draws.integer(1, 40),
       .layers = draws.integer(0, 4)};
  s.outputs = draws.integer(1, 2);
  s.residual = draws.coin();
  int slices = draws.integer(1, 4), pairs = draws.integer(1, 60);
  if (seed % 6 == 0) s.width = 20;
  if (seed % 6 == 1) s.width = 100, s.latent = draws.integer(4, 20);
  if (seed % 6 == 2) s.width = 500, s.layers = 1, slices = 1, pairs = draws.integer(5, 12);
  if (seed % 6 == 3) s.width = draws.coin() ? 48 : 112;
  fill(draws, c, slices, pairs);
  c.from_loss = seed / 6 % 2 == 0;
  if (!kinks) leave_kinks(draws, c.problem);
  return c;
}

}  // namespace

TEST_CASE(
    "Layered decoder: values, losses and gradients are within the rounding of operands below fp32, of any width") {
  const auto device = test_device();
  for (const Precision precision : precisions_of(*device))
    for (const bool kinks : {false, true}) {
      Errors worst;
      for (uint64_t number = 0; number < shapes(18); ++number) {
        const DecoderCase c = layered_case(number + (kinks ? 100 : 0), precision, kinks);
        INFO("case " << number);
        Errors e = errors_of(*device, c, number % 3 == 0 ? 0.5f : 0.0f,
                             gradient_tolerance(c) + (kinks ? layered_kink_tolerance(c) : 0));
        e.values *= value_tolerance(c) / layered_value_tolerance(c);
        e.loss *= value_tolerance(c) / layered_value_tolerance(c);
        worsen(worst, e);
      }
      check(worst);
    }
}

TEST_CASE(
    "Layered decoder: a power of two in the loss scale, or in the given gradients, changes the gradients by itself") {
  const auto device = test_device();
  for (const Precision precision : precisions_of(*device))
    for (const uint64_t number : {4, 7, 10}) {
      INFO("case " << number);
      check_scaled(*device, layered_case(number, precision, true), number != 7);
    }
}

TEST_CASE("Layered decoder: a call of several chunks is within the rounding of operands below fp32") {
  const auto device = test_device();
  Draws draws(12);
  DecoderCase c;
  c.precision = Precision::bf16;
  if (!decodes_in(*device, c.precision)) return;
  c.problem.shape = {.features = 1, .latent = 1, .width = 3, .layers = 1};
  fill(draws, c, 3, 6000);  // a slice across the seam
  c.problem.active = {1, 1, 1};
  c.from_loss = true;
  leave_kinks(draws, c.problem);
  const Errors e = errors_of(*device, c, 0, gradient_tolerance(c));
  check(e);
}

TEST_CASE("Decoder: on the CPU 16 bits are used where the processor has such products, and change nothing elsewhere") {
  const auto device = Device::cpu(2), one = Device::cpu(1);
  DecoderCase c;
  c.problem.shape = {.features = 5, .latent = 1, .width = 96, .layers = 1};
  Draws draws(5);
  fill(draws, c, 2, 10);
  const DecoderGradients fp32 = kernel_gradients(*device, c, 0, true);
  CHECK(!decodes_in(*device, Precision::fp16));
  for (const Precision precision : {Precision::bf16, Precision::fp16}) {
    c.precision = precision;
    const DecoderGradients found = kernel_gradients(*device, c, 0, true);
    CHECK((found == fp32) != decodes_in(*device, precision));
    CHECK(kernel_gradients(*one, c, 0, true) == found);
  }
}
