#pragma once
// Random decoder problems, on a device and in doubles: what the tests of both paths through the decoder share.
#include "tests/reference/decoder_reference.h"
#include "tests/reference/loss_reference.h"
#include "tests/reference/shapes.h"

namespace recon::reference {

/// A call of decode_backward.
struct DecoderCase {
  SliceProblem problem;
  Precision precision = Precision::fp32;
  Values dvalues, target, ctf;
  double scale = 1;
  bool from_loss = false;
};

/// Weights normal with variance 1/fan-in, so that activations keep order one whatever the shape.
inline Values random_parameters(Draws& draws, const DecoderShape& s) {
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

inline void fill(Draws& draws, DecoderCase& c, int slices, int pairs) {
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

/// The problem on a device.
struct DecoderOnDevice {
  Buffer<float> frequencies, parameters, rotations, latents, values;
  Buffer<int32_t> latent_of, active;
  Buffer<Pixel> pixels;
  DecodeSlices args;

  DecoderOnDevice(Device& d, const SliceProblem& p, Precision precision = Precision::fp32) {
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
    args = {.net = {p.shape, frequencies.view(), parameters.view(), precision},
            .pixels = pixels.view(),
            .rotations = rotations.view(),
            .latents = latents.view(),
            .latent_of = latent_of.view(),
            .active = active.view(),
            .values = values.view(),
            .side = p.side};
  }
};

struct DecoderGradients {
  std::vector<float> values, loss, parameters, latents;
  bool operator==(const DecoderGradients&) const = default;
};

/// decode_backward of the case; its accumulators start at `start`.
inline DecoderGradients kernel_gradients(Device& d, const DecoderCase& c, float start, bool keep_values) {
  const DecoderOnDevice at(d, c.problem, c.precision);
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

struct ExpectedGradients {
  Values values, loss;
  SliceGradients gradients;
};

inline ExpectedGradients reference_gradients(const DecoderCase& c) {
  Pattern ignored;
  ExpectedGradients e;
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
inline Values added(const std::vector<float>& after, float start) {
  Values out = widen(after);
  for (double& v : out) v -= double(start);
  return out;
}

/// Norm of as many values of 0.1: below it, cancellation has left less than the terms were.
inline double floor_of(size_t count) { return 0.1 * std::sqrt(double(count)); }

}  // namespace recon::reference
