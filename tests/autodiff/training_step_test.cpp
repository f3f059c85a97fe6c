// One training step of the paper authors' code of January 2020 (shared/data/SOURCES.md), reproduced through the
// kernels.
#include <doctest/doctest.h>

#include "autodiff/ops.h"
#include "kernels/image/image.h"
#include "tests/reference/authors_step.h"
#include "tests/reference/decoder_reference.h"
#include "tests/reference/loss_reference.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

constexpr int side = AuthorsStep::side, per_axis = AuthorsStep::per_axis, layers = AuthorsStep::layers;
constexpr DecoderShape shape = AuthorsStep::shape;

/// Eq. 7–8 as the authors take them, in cycles; F = 3E, the x family first.
std::vector<float> geometric_frequencies() {
  std::vector<float> out(9 * per_axis, 0.0f);
  for (int axis = 0; axis < 3; ++axis)
    for (int i = 0; i < per_axis; ++i)
      out[static_cast<size_t>(axis * 4 * per_axis + i)] =
          static_cast<float>(side / 2.0 * std::pow(2.0 / side, i / double(per_axis - 1)));
  return out;
}

/// The encoding of points [n, 3] out of the decoder itself: a decoder of no layers and width 2, whose two units are
/// relu(e) and relu(−e), gives any one entry e exactly.
std::vector<float> encoding(Device& device, const std::vector<float>& points, View<const float> frequencies) {
  const DecoderShape probe{.features = shape.features, .latent = 0, .width = 2, .layers = 0, .outputs = 1};
  const auto count = static_cast<int64_t>(points.size() / 3), inputs = int64_t{probe.inputs()};
  const Buffer<float> k = on_device(device, points, count, 3), values(device, count, 1);
  std::vector<float> out(static_cast<size_t>(count * inputs));
  for (int64_t i = 0; i < inputs; ++i) {
    std::vector<float> parameters(static_cast<size_t>(probe.parameter_count()), 0.0f);
    parameters[static_cast<size_t>(i)] = 1;
    parameters[static_cast<size_t>(inputs + i)] = -1;
    parameters[static_cast<size_t>(probe.weight_offset(1))] = 1;
    parameters[static_cast<size_t>(probe.weight_offset(1) + 1)] = -1;
    const Buffer<float> weights = on_device(device, parameters);
    decode(device,
           DecodePoints{.net = {probe, frequencies, weights.view()}, .points = k.view(), .values = values.view()});
    const auto column = values.download();
    for (int64_t p = 0; p < count; ++p) out[static_cast<size_t>(p * inputs + i)] = column[static_cast<size_t>(p)];
  }
  return out;
}

void load_decoder(Parameters& parameters, const std::vector<float>& values) {
  parameters.begin_module("decoder");
  add_mlp(parameters, shape.inputs(), shape.width, shape.layers, shape.outputs);
  parameters.initialize(0);
  auto state = parameters.state();
  REQUIRE(state.values.size() == values.size());
  state.values = values;
  parameters.restore(state);
}

/// A relu whose double pre-activation is within the floats' error of 0: their code may have taken its other side.
struct Kink {
  size_t image, pixel;
  int layer;
  size_t unit;
};

struct Kinks {
  SliceProblem problem;  // of one image and one pixel after another
  Values dvalues;
  std::vector<MlpLayer> tensors;
  std::vector<Kink> near;

  Values input(size_t image, size_t pixel) const {
    return decoder_input(shape, problem.frequencies, evaluation(problem, image, pixel).k, nullptr);
  }
  /// Values of all layers with the relu of `kink` on the other side when `flipped`.
  std::vector<Values> forward(const Kink& kink, bool flipped) const {
    std::vector<Values> values{input(kink.image, kink.pixel)};
    Pattern ignored;
    for (int l = 0; l <= layers + 1; ++l) {
      const auto n = static_cast<size_t>(l);
      values.push_back(linear(problem.mlp().layer(l), values[n], tensors[n].w, tensors[n].b, ignored));
      if (!flipped || l != kink.layer) continue;
      double& value = values.back()[kink.unit];  // 0 to 1e-6 on either side: what counts is whether the gradient passes
      value = value > 0 ? 0 : 1e-30;
    }
    return values;
  }
  /// What the other side of a kink adds to the gradient of the parameters.
  Values change(const Kink& kink) const {
    const Values dy{dvalues[kink.image * problem.pixels.size() + kink.pixel]};
    Values with = mlp_backward(problem.mlp(), tensors, forward(kink, true), dy).parameters;
    const Values without = mlp_backward(problem.mlp(), tensors, forward(kink, false), dy).parameters;
    for (size_t i = 0; i < with.size(); ++i) with[i] -= without[i];
    return with;
  }
};

/// All relus of the step that are within 1e-6 of their kink.
Kinks kinks_of(const AuthorsStep& step) {
  Kinks k;
  k.problem = {.shape = shape, .side = side, .pixels = step.pixels};
  k.problem.frequencies = widen(geometric_frequencies());
  k.problem.parameters = widen(step.parameters("w0"));
  k.problem.rotations = step.file.at("rot").values;
  k.tensors = mlp_layers(k.problem.mlp(), k.problem.parameters);
  const Values target = widen(step.images("y_translated"));
  for (size_t b = 0; b < 10; ++b)
    for (size_t p = 0; p < step.pixels.size(); ++p) {
      Values x = k.input(b, p);
      Pattern ignored;
      for (int l = 0; l <= layers + 1; ++l) {
        const auto n = static_cast<size_t>(l);
        LinearShape linear_shape = k.problem.mlp().layer(l);
        linear_shape.relu = false;
        x = linear(linear_shape, x, k.tensors[n].w, k.tensors[n].b, ignored);
        for (size_t j = 0; j < x.size() && l <= layers; ++j) {
          if (std::abs(x[j]) < 1e-6) k.near.push_back({b, p, l, j});
          x[j] = std::max(x[j], 0.0);
        }
      }
      k.dvalues.push_back(2 * (x[0] - target[k.dvalues.size()]) / double(target.size()));
    }
  return k;
}

/// Adds to `gradient` those whole changes of kinks that bring it nearer to `theirs`; returns how many.
int take_their_sides(const Kinks& kinks, const std::vector<float>& theirs, Values& gradient) {
  int taken = 0;
  for (const Kink& kink : kinks.near) {
    const Values change = kinks.change(kink);
    Values difference(gradient.size());
    for (size_t i = 0; i < gradient.size(); ++i) difference[i] = double(theirs[i]) - gradient[i];
    const double part = dot(difference, change) / std::max(dot(change, change), 1e-30);
    const double whole = std::rint(part);
    if (std::abs(whole) != 1 || std::abs(part - whole) > 0.1) continue;
    for (size_t i = 0; i < gradient.size(); ++i) gradient[i] += whole * change[i];
    ++taken;
  }
  return taken;
}

struct Outcome {
  std::vector<float> output, loss, gradient, weights;
};

Outcome run_step(Device& device, const AuthorsStep& step) {
  Parameters parameters(device);
  load_decoder(parameters, step.parameters("w0"));
  const Buffer<float> frequencies = on_device(device, geometric_frequencies(), 3, shape.features);
  const Buffer<float> rotations = on_device(device, AuthorsStep::narrow(step.file.at("rot")), 10, 9);
  const Buffer<Pixel> pixels = on_device(device, step.pixels);
  const Buffer<float> target = on_device(device, step.images("y_translated"), 10, 796), loss(device, 1, 10);
  const DecoderVars decoder{shape, frequencies.view(), parameters.module_ref(0)};
  const StepScalars scalars{.loss_scale = 1.0f / 7960};
  Tape tape(device);
  const Var slices = decode(tape, decoder, pixels.view(), side, rotations.view(), {});
  squared_error(tape, slices, target.view(), {}, scalars, loss.view());
  tape.forward();
  tape.backward();
  Outcome out{
      std::vector<float>(7960), loss.download(), std::vector<float>(static_cast<size_t>(parameters.size())), {}};
  device.download(out.output.data(), slices.value.data, out.output.size() * sizeof(float));
  device.download(out.gradient.data(), parameters.module_ref(0).gradient.data, out.gradient.size() * sizeof(float));
  parameters.adam_step({1e-4f}, int64_t{1}, 0.0f, false);
  out.weights = parameters.state().values;
  return out;
}

}  // namespace

// Their arguments of sine reach 50 rad in floats: 2⁻²⁵·50 = 1.5e-6 an operation, a few operations deep.
TEST_CASE("the authors' step: encoding and shifted images are theirs to 1e-5") {
  const auto folder = data_folder();
  if (folder.empty()) {
    MESSAGE("reference data not found: skipped");
    return;
  }
  const AuthorsStep step(folder / "reference/step_hartley_geom_ft.npz", AuthorsStep::all_pixels());
  REQUIRE(step.pixels.size() == 796);
  const auto device = test_device(2);
  const Buffer<float> frequencies = on_device(*device, geometric_frequencies(), 3, shape.features);
  std::vector<float> points;
  const Array &k = step.file.at("coords0"), &r = step.file.at("rot");
  for (int64_t i = 0; i < 5; ++i)
    for (int64_t axis = 0; axis < 3; ++axis)
      points.push_back(static_cast<float>(r(0, axis) * k(i, 0) + r(0, 3 + axis) * k(i, 1)));
  const auto ours = encoding(*device, points, frequencies.view());
  const Array& theirs = step.file.at("pe_first5");
  double worst = 0;
  for (size_t i = 0; i < 5; ++i)
    for (size_t j = 0; j < 96; ++j)
      worst = std::max(worst,
                       std::abs(double(ours[96 * i + j]) - theirs(int64_t(i), int64_t(AuthorsStep::their_column(j)))));
  MESSAGE("largest difference of an encoding: " << worst);
  CHECK(worst < 1e-5);

  const Buffer<float> images = on_device(*device, step.images("y"), 10, 796), out(*device, 10, 796);
  const Buffer<float> shifts = on_device(*device, AuthorsStep::narrow(step.file.at("trans_px")), 10, 2);
  const Buffer<Pixel> pixels = on_device(*device, step.pixels);
  shift_images(
      *device,
      {.images = images.view(), .shifts = shifts.view(), .pixels = pixels.view(), .out = out.view(), .side = side});
  const double shifted = largest_error(out.download(), step.images("y_translated"));
  MESSAGE("shifted images, of their maximum: " << shifted);
  CHECK(shifted < 1e-5);
}

// Errors are of a tensor's largest element: entries near 0 have no relative error. Of the step's 11 million relus some
// 20 lie within 1e-6 of their kink, and the authors' floats took 2 of them on the other side than exact arithmetic does
// (layer 8, image 1, by 7e-8, and layer 7, image 9, by 1e-7), which moves gradients by 7e-5 of their largest. So our
// gradient is held to theirs after such whole changes only; what is left must be rounding.
TEST_CASE("the authors' step: output, loss, gradients and weights after Adam are theirs to 1e-5") {
  const auto folder = data_folder();
  if (folder.empty()) {
    MESSAGE("reference data not found: skipped");
    return;
  }
  const AuthorsStep step(folder / "reference/step_hartley_geom_ft.npz", AuthorsStep::all_pixels());
  const auto device = test_device(2);
  const Outcome ours = run_step(*device, step);
  const double output = largest_error(ours.output, step.images("yhat"));
  double sum = 0;
  for (const float v : ours.loss) sum += double(v);
  const double loss = std::abs(sum / 7960 / step.file.at("loss").values[0] - 1);
  const double before = step.gradient_error(ours.gradient);
  Values gradient = widen(ours.gradient);
  const int taken = take_their_sides(kinks_of(step), step.parameters("g"), gradient);
  const double after = step.gradient_error(narrow(gradient));
  const auto weights = step.compare_weights(ours.weights);
  MESSAGE("output " << output << ", loss " << loss << ", gradients " << before << ", after " << taken
                    << " relus took their side " << after << ", weights " << weights.worst
                    << " (uncertain: " << weights.uncertain << ")");
  CHECK(output < 1e-5);
  CHECK(loss < 1e-5);
  CHECK(before < 2e-4);
  CHECK(after < 1e-5);
  CHECK(taken <= 6);
  CHECK(weights.worst < 1e-5);
  CHECK(weights.uncertain < 177665 / 50);
}
