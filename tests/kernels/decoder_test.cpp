#include "kernels/decoder/decoder.h"

#include <doctest/doctest.h>

#include "tests/reference/decoder_reference.h"
#include "tests/reference/loss_reference.h"
#include "tests/reference/shapes.h"

using namespace recon;
using namespace recon::reference;

namespace {

struct Case {
  SliceProblem problem;
  Values dvalues, target, ctf;
  double scale = 1;
  bool from_loss = false;
};

/// Weights normal with variance 1/fan-in, so that activations keep order one whatever the shape.
Values random_parameters(Draws& draws, const DecoderShape& s) {
  Values out;
  for (int layer = 0; layer <= s.layers + 1; ++layer) {
    const int inner = layer == 0 ? s.inputs() : s.width, outer = layer > s.layers ? s.outputs : s.width;
    const double sigma = (s.residual && layer > 0 ? 0.5 : 1.2) / std::sqrt(double(inner));
    const Values some = draws.wide_normals(int64_t{outer} * inner, sigma), bias = draws.wide_normals(outer, 0.3);
    out.insert(out.end(), some.begin(), some.end());
    out.insert(out.end(), bias.begin(), bias.end());
  }
  return out;
}

void fill(Draws& draws, Case& c, int slices, int pairs) {
  SliceProblem& p = c.problem;
  p.side = 2 * draws.integer(1, 16);
  p.pixels = random_pixels(draws, p.side, pairs);
  p.frequencies = draws.wide_normals(3 * p.shape.features, 2);
  p.parameters = random_parameters(draws, p.shape);
  p.rotations = widen(random_rotations(draws, slices));
  const int rows = draws.coin() ? slices : draws.integer(1, 5);
  p.latents = draws.wide_normals(int64_t{rows} * p.shape.latent);
  for (int s = 0; s < slices && (rows != slices || draws.coin()); ++s)
    p.latent_of.push_back(draws.integer(0, rows - 1));
  if (static_cast<int>(p.latent_of.size()) != slices) p.latent_of.clear();
  if (rows != slices && p.latent_of.empty()) p.latents = draws.wide_normals(int64_t{slices} * p.shape.latent);
  for (int s = 0; s < slices && slices > 1 && draws.integer(0, 3) > 0; ++s) p.active.push_back(draws.integer(0, 2) > 0);
  if (static_cast<int>(p.active.size()) != slices) p.active.clear();
  const int64_t count = int64_t{slices} * static_cast<int64_t>(p.pixels.size());
  c.from_loss = draws.coin();
  c.dvalues = draws.wide_normals(count);
  c.target = draws.wide_normals(count);
  if (draws.coin()) c.ctf = draws.wide_normals(count, 0.7);
  c.scale = double(static_cast<float>(draws.uniform(0.2, 2)));
}

/// One long axis a case, so that the plain loops stay quick: wide, tall, deep, with a long z, or plain.
Case random_case(uint64_t seed) {
  Draws draws(seed);
  Case c;
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

/// The case on a device.
struct OnDevice {
  Buffer<float> frequencies, parameters, rotations, latents, values;
  Buffer<int32_t> latent_of, active;
  Buffer<Pixel> pixels;
  DecodeSlices args;

  OnDevice(Device& d, const SliceProblem& p) {
    const auto slices = static_cast<int64_t>(p.slices()), count = static_cast<int64_t>(p.pixels.size());
    frequencies = on_device(d, narrow(p.frequencies), 3, p.shape.features);
    parameters = on_device(d, narrow(p.parameters));
    rotations = on_device(d, narrow(p.rotations), slices, 9);
    const int64_t latent = p.shape.latent;
    if (latent > 0) latents = on_device(d, narrow(p.latents), static_cast<int64_t>(p.latents.size()) / latent, latent);
    if (!p.latent_of.empty()) latent_of = on_device(d, p.latent_of);
    if (!p.active.empty()) active = on_device(d, p.active);
    pixels = on_device(d, p.pixels);
    values = on_device(d, std::vector<float>(static_cast<size_t>(slices * count)), slices, count);
    args = {.net = {p.shape, frequencies.view(), parameters.view()},
            .pixels = pixels.view(),
            .rotations = rotations.view(),
            .latents = latents.view(),
            .latent_of = latent_of.view(),
            .active = active.view(),
            .values = values.view(),
            .side = p.side};
  }
};

struct Gradients {
  std::vector<float> values, loss, parameters, latents;
  bool operator==(const Gradients&) const = default;
};

/// decode_backward of the case; its accumulators start at `start`.
Gradients kernel_gradients(Device& d, const Case& c, float start, bool keep_values) {
  OnDevice at(d, c.problem);
  const auto slices = static_cast<int64_t>(c.problem.slices()), count = static_cast<int64_t>(c.problem.pixels.size());
  const int64_t latent = c.problem.shape.latent;
  Buffer<float> target, ctf, loss, dvalues, dlatents;
  const Buffer<float> dparameters = on_device(d, std::vector<float>(c.problem.parameters.size(), start));
  if (latent > 0)
    dlatents = on_device(d, std::vector<float>(static_cast<size_t>(slices * latent), start), slices, latent);
  DecodeSlicesBackward a{.forward = at.args,
                         .scale = static_cast<float>(c.scale),
                         .dparameters = dparameters.view(),
                         .dlatents = dlatents.view()};
  if (!keep_values) a.forward.values = {};
  if (c.from_loss) {
    target = on_device(d, narrow(c.target), slices, count);
    loss = Buffer<float>(d, 1, slices);
    if (!c.ctf.empty()) ctf = on_device(d, narrow(c.ctf), slices, count);
    a.target = target.view(), a.ctf = ctf.view(), a.loss = loss.view();
  } else {
    dvalues = on_device(d, narrow(c.dvalues), slices, count);
    a.dvalues = dvalues.view();
  }
  decode_backward(d, a);
  return {at.values.download(), c.from_loss ? loss.download() : std::vector<float>{}, dparameters.download(),
          latent > 0 ? dlatents.download() : std::vector<float>{}};
}

struct Expected {
  Values values, loss;
  SliceGradients gradients;
};

Expected reference_gradients(const Case& c) {
  Pattern ignored;
  Expected e;
  e.values = decode(c.problem, ignored);
  Values dvalues = c.dvalues;
  if (c.from_loss) {
    e.loss = squared_error(c.problem.slices(), e.values, c.target, c.ctf);
    for (size_t s = 0; s < e.loss.size(); ++s)
      if (!c.problem.is_active(s)) e.loss[s] = 0;
    dvalues = squared_error_backward(e.values, c.target, c.ctf, c.scale);
  }
  e.gradients = decode_backward(c.problem, dvalues);
  return e;
}

/// What the floats' gradients add to accumulators that started at `start`.
Values added(const std::vector<float>& after, float start) {
  Values out = widen(after);
  for (double& v : out) v -= double(start);
  return out;
}

/// Norm of as many values of 0.1: below it, cancellation has left less than the terms were.
double floor_of(size_t count) { return 0.1 * std::sqrt(double(count)); }

}  // namespace

TEST_CASE("Decoder reference: its gradients match central differences to 1e-6") {
  int64_t skipped = 0, checked = 0;
  double worst = 0;
  for (uint64_t seed = 0; seed < 32; ++seed) {
    Draws draws(1000 + seed);
    Case c;
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
    const Expected expected = reference_gradients(c);
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
  const auto device = Device::cpu(2);
  double worst_values = 0, worst_loss = 0, worst_parameters = 0, worst_latents = 0;
  int redrawn = 0;
  for (uint64_t number = 0; number < 400; ++number) {
    Case c = random_case(number);
    for (uint64_t again = 1; nearest_kink(c.problem) < 1e-5 && again < 40; ++again, ++redrawn)
      c = random_case(number + 8000 * again);
    const Expected expected = reference_gradients(c);
    const float start = number % 3 == 0 ? 0.5f : 0.0f;
    const Gradients got = kernel_gradients(*device, c, start, true);
    OnDevice forward(*device, c.problem);
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
  const auto device = Device::cpu(2);
  double worst = 0;
  for (uint64_t number = 0; number < 100; ++number) {
    const Case c = random_case(5000 + number);
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
    const OnDevice at(*device, p);
    const Buffer<float> k = on_device(*device, points, count, 3), latent = on_device(*device, z),
                        values(*device, count, p.shape.outputs);
    decode(*device,
           DecodePoints{.net = at.args.net, .points = k.view(), .latent = latent.view(), .values = values.view()});
    worst = std::max(worst, relative_error(values.download(), expected, floor_of(expected.size())));
  }
  MESSAGE("worst " << worst);
  CHECK(worst < 1e-5);  // as for slices
}

TEST_CASE("Decoder: slices, losses and gradients have the same bits for 1, 2 and 3 threads") {
  const auto one = Device::cpu(1), two = Device::cpu(2), three = Device::cpu(3);
  for (const int outputs : {1, 2})
    for (const bool from_loss : {false, true}) {
      Draws draws(77);
      Case c;
      c.problem.shape = {.features = 12, .latent = 2, .width = 48, .layers = 3, .outputs = outputs};
      fill(draws, c, 37, 200);
      c.from_loss = from_loss;
      const Gradients expected = kernel_gradients(*one, c, 0, true);
      CHECK(kernel_gradients(*two, c, 0, true) == expected);
      CHECK(kernel_gradients(*three, c, 0, true) == expected);
      Gradients dropped = kernel_gradients(*three, c, 0, false);
      dropped.values = expected.values;
      CHECK(dropped == expected);
    }
}

TEST_CASE(
    "Decoder: a half-space pair is the two values of one network, whichever side of the plane its pixel falls on") {
  const auto device = Device::cpu(1);
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
  const OnDevice at(*device, p);
  decode(*device, at.args);
  CHECK(relative_error(at.values.download(), decode(p, ignored)) < 1e-5);
}

TEST_CASE("Decoder: arguments that break the contract are refused at the seam") {
  const auto device = Device::cpu(1);
  const Case c = random_case(6);
  const auto broken = [&](auto change) {
    OnDevice at(*device, c.problem);
    change(at.args);
    CHECK_THROWS_AS(decode(*device, at.args), ContractError);
  };
  broken([](DecodeSlices& a) { a.side = 0; });
  broken([](DecodeSlices& a) { a.net.shape.outputs = 3; });
  broken([](DecodeSlices& a) { a.net.shape.width += 1; });
  broken([](DecodeSlices& a) { a.rotations.cols = 8; });
  broken([](DecodeSlices& a) { a.pixels.cols -= 1; });
  broken([](DecodeSlices& a) { a.values = {}; });
  OnDevice at(*device, c.problem);
  CHECK_THROWS_AS(decode_backward(*device, {.forward = at.args, .dparameters = at.parameters.view()}), ContractError);
}
