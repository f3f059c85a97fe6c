#include "kernels/decoder/decoder.h"

#include <doctest/doctest.h>

#include <string_view>

#include "kernels/ops.h"
#include "tests/reference/decoder_case.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

/// One long axis a case, so that the plain loops stay quick: wide, tall, deep, with a long z, or plain.
DecoderCase random_case(uint64_t seed) {
  Draws draws(seed);
  DecoderCase c;
  DecoderShape& s = c.problem.shape;
  s = {.features = draws.integer(1, 9),
       .latent = draws.integer(0, 3),
       .width = draws.integer(1, 21),
       .layers = draws.integer(0, 3)};
  s.outputs = draws.integer(1, 2);
  s.residual = draws.coin();
  int slices = draws.integer(1, 4), pairs = draws.integer(1, 9);
  switch (seed % 8) {
    case 0:
      s.width = draws.integer(30, 70), s.features = draws.integer(10, 50), slices = 1;
      break;
    case 1:
      pairs = draws.integer(60, 210), s.width = draws.integer(1, 9), s.layers = draws.integer(0, 1), slices = 2;
      break;
    case 2:
      s.layers = draws.integer(4, 12);
      break;
    case 3:
      s.latent = draws.integer(4, 16);
      break;
    case 4:
      pairs = 1, slices = 1;
      break;
    case 5:
      slices = draws.integer(20, 40), pairs = draws.integer(1, 3), s.layers = draws.integer(0, 1);
      break;
    default:
      break;
  }
  fill(draws, c, slices, pairs);
  return c;
}

}  // namespace

TEST_CASE("Decoder reference: its gradients match central differences to 1e-6") {
  int64_t skipped = 0, checked = 0;
  double worst = 0;
  for (uint64_t seed = 0; seed < 32; ++seed) {
    Draws draws(1000 + seed);
    DecoderCase c;
    c.problem.shape = {.features = 2,
                       .latent = int(seed / 2 % 4),
                       .width = 5,
                       .layers = 2,
                       .outputs = 1 + int(seed % 2),
                       .residual = seed / 8 % 2 == 0};
    fill(draws, c, 2, 2);
    c.problem.active.clear();
    c.ctf = seed < 16 ? Values{} : draws.wide_normals(8, 0.7);
    c.from_loss = true;
    const ExpectedGradients expected = reference_gradients(c);
    SliceProblem p = c.problem;
    const auto loss = [&](Pattern& pattern) {
      double sum = 0;
      for (const double v : squared_error(p.slices(), decode(p, pattern), c.target, c.ctf)) sum += c.scale * v;
      return sum;
    };
    const GradientCheck by_parameters =
        check_gradient([&](const Values& at, Pattern& pattern) { return p.parameters = at, loss(pattern); },
                       p.parameters, expected.gradients.parameters);
    p.parameters = c.problem.parameters;
    Values by_row(p.latents.size());
    for (size_t s = 0; s < p.slices() && p.shape.latent > 0; ++s)
      for (size_t j = 0; j < size_t(p.shape.latent); ++j)
        by_row[static_cast<size_t>(p.latent(s) - p.latents.data()) + j] +=
            expected.gradients.latents[s * size_t(p.shape.latent) + j];
    const GradientCheck by_latents = check_gradient(
        [&](const Values& at, Pattern& pattern) { return p.latents = at, loss(pattern); }, p.latents, by_row);
    worst = std::max({worst, by_parameters.error, by_latents.error});
    skipped += by_parameters.skipped + by_latents.skipped;
    checked += by_parameters.checked + by_latents.checked;
  }
  MESSAGE("worst " << worst << " over " << checked << " derivatives, " << skipped << " at a kink");
  CHECK(worst < 1e-6);
  CHECK(skipped < checked / 100);
}

// An encoding entry is wrong by 2π·turns·2⁻²⁴ for a few roundings: about 1e-6 for the 2 turns of these frequencies; a
// layer of K inputs adds 2⁻²⁴√K of its norm, and 13 layers in quadrature stay below that. So 1e-5 leaves a factor of
// ten for small cases, where nothing averages. A gradient meets each error twice. Cases with a relu nearer to its kink
// than 1e-5 are redrawn: there the floats may take the other side.
TEST_CASE("Decoder: values, losses and gradients match the double reference over 400 random shapes") {
  const auto device = test_device(2);
  double worst_values = 0, worst_loss = 0, worst_parameters = 0, worst_latents = 0;
  int redrawn = 0;
  for (uint64_t number = 0; number < shapes(400); ++number) {
    DecoderCase c = random_case(number);
    for (uint64_t again = 1; nearest_kink(c.problem) < 1e-5 && again < 40; ++again, ++redrawn)
      c = random_case(number + 8000 * again);
    const ExpectedGradients expected = reference_gradients(c);
    const float start = number % 3 == 0 ? 0.5f : 0.0f;
    const DecoderGradients got = kernel_gradients(*device, c, start, true);
    DecoderOnDevice forward(*device, c.problem);
    decode(*device, forward.args);
    INFO("case " << number);
    CHECK(forward.values.download() == got.values);
    worst_values =
        std::max(worst_values, relative_error(got.values, expected.values, floor_of(expected.values.size())));
    worst_loss = std::max(worst_loss, relative_error(got.loss, expected.loss, floor_of(expected.loss.size())));
    worst_parameters =
        std::max(worst_parameters, relative_error(added(got.parameters, start), expected.gradients.parameters,
                                                  floor_of(expected.gradients.parameters.size())));
    worst_latents = std::max(worst_latents, relative_error(added(got.latents, start), expected.gradients.latents,
                                                           floor_of(expected.gradients.latents.size())));
  }
  MESSAGE("worst values " << worst_values << ", loss " << worst_loss << ", dparameters " << worst_parameters
                          << ", dlatents " << worst_latents << "; redrawn " << redrawn);
  CHECK(worst_values < 1e-5);
  CHECK(worst_loss < 1e-5);
  CHECK(worst_parameters < 2e-5);
  CHECK(worst_latents < 2e-5);
}

TEST_CASE("Decoder: points match the double reference, with one output and with two") {
  const auto device = test_device(2);
  double worst = 0;
  for (uint64_t number = 0; number < shapes(100); ++number) {
    const DecoderCase c = random_case(5000 + number);
    Draws draws(number);
    const SliceProblem& p = c.problem;
    const int count = draws.integer(1, number % 9 == 0 ? 300 : 20);
    std::vector<float> points(static_cast<size_t>(3 * count));
    for (float& v : points) v = static_cast<float>(draws.uniform(-0.5, 0.5));
    const auto z = draws.normals(p.shape.latent);
    const auto layers = mlp_layers(p.mlp(), p.parameters);
    Values expected;
    Pattern ignored;
    const Values wide_z = widen(z);
    for (int i = 0; i < count; ++i) {
      const double k[3] = {double(points[size_t(3 * i)]), double(points[size_t(3 * i + 1)]),
                           double(points[size_t(3 * i + 2)])};
      const Values out = mlp(p.mlp(), layers, decoder_input(p.shape, p.frequencies, k, wide_z.data()), ignored).back();
      expected.insert(expected.end(), out.begin(), out.end());
    }
    const DecoderOnDevice at(*device, p);
    const Buffer<float> k = on_device(*device, points, count, 3), latent = on_device(*device, z),
                        values(*device, count, p.shape.outputs);
    decode(*device,
           DecodePoints{.net = at.args.net, .points = k.view(), .latent = latent.view(), .values = values.view()});
    worst = std::max(worst, relative_error(values.download(), expected, floor_of(expected.size())));
  }
  MESSAGE("worst " << worst);
  CHECK(worst < 1e-5);  // as for slices
}

// More rows than the CUDA backend takes at once, a slice across the seam. Sums of so many rows in fp32: as above.
TEST_CASE("Decoder: a call of 36,000 rows matches the double reference") {
  const auto device = test_device(2);
  Draws draws(12);
  DecoderCase c;
  c.problem.shape = {.features = 1, .latent = 1, .width = 3, .layers = 1};
  fill(draws, c, 3, 6000);
  c.problem.active = {1, 1, 1};
  c.from_loss = true;
  const ExpectedGradients expected = reference_gradients(c);
  const DecoderGradients got = kernel_gradients(*device, c, 0, true);
  CHECK(relative_error(got.values, expected.values) < 1e-5);
  CHECK(relative_error(got.loss, expected.loss) < 1e-5);
  CHECK(relative_error(got.parameters, expected.gradients.parameters) < 2e-5);
  CHECK(relative_error(got.latents, expected.gradients.latents) < 2e-5);
}

TEST_CASE("Decoder: slices, losses and gradients have the same bits for 1, 2 and 3 threads") {
  const auto one = test_device(1), two = test_device(2), three = test_device(3);
  const bool threads_count = one->ops().name == std::string_view("cpu");  // else it is three runs of the same
  for (const int outputs : {1, 2})
    for (const bool from_loss : {false, true}) {
      Draws draws(77);
      DecoderCase c;
      c.problem.shape = {.features = 12, .latent = 2, .width = 48, .layers = 3, .outputs = outputs};
      fill(draws, c, threads_count ? 37 : 4, 200);
      c.from_loss = from_loss;
      const DecoderGradients expected = kernel_gradients(*one, c, 0, true);
      CHECK(kernel_gradients(*two, c, 0, true) == expected);
      CHECK(kernel_gradients(*three, c, 0, true) == expected);
      DecoderGradients dropped = kernel_gradients(*three, c, 0, false);
      dropped.values = expected.values;
      CHECK(dropped == expected);
    }
}

TEST_CASE(
    "Decoder: a half-space pair is the two values of one network, whichever side of the plane its pixel falls on") {
  const auto device = test_device(1);
  Draws draws(3);
  SliceProblem p;
  p.shape = {.features = 4, .latent = 0, .width = 8, .layers = 1, .outputs = 2};
  p.side = 16;
  p.pixels = random_pixels(draws, p.side, 20);
  p.frequencies = draws.wide_normals(12, 2);
  p.parameters = random_parameters(draws, p.shape);
  // In the plane z = 0 ties are broken by y, then x; a half turn about x maps the plane on itself.
  p.rotations = {1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, -1, 0, 0, 0, -1};
  Pattern ignored;
  const DecoderOnDevice at(*device, p);
  decode(*device, at.args);
  CHECK(relative_error(at.values.download(), decode(p, ignored)) < 1e-5);
}

TEST_CASE("Decoder: arguments that break the contract are refused at the seam") {
  const auto device = test_device(1);
  const DecoderCase c = random_case(6);
  const auto broken = [&](auto change) {
    DecoderOnDevice at(*device, c.problem);
    change(at.args);
    CHECK_THROWS_AS(decode(*device, at.args), ContractError);
  };
  broken([](DecodeSlices& a) { a.side = 0; });
  broken([](DecodeSlices& a) { a.net.shape.outputs = 3; });
  broken([](DecodeSlices& a) { a.net.shape.width += 1; });
  broken([](DecodeSlices& a) { a.rotations.cols = 8; });
  broken([](DecodeSlices& a) { a.pixels.cols -= 1; });
  broken([](DecodeSlices& a) { a.values = {}; });
  DecoderOnDevice at(*device, c.problem);
  CHECK_THROWS_AS(decode_backward(*device, {.forward = at.args, .dparameters = at.parameters.view()}), ContractError);
}
