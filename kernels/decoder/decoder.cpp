#include "kernels/decoder/decoder.h"

#include "kernels/ops.h"

namespace recon {
namespace {

void check(const DecoderNet& net) {
  const DecoderShape& s = net.shape;
  expect(s.features > 0 && s.width > 0 && s.layers >= 0 && s.latent >= 0, "decoder: shape out of range");
  expect(s.outputs == 1 || s.outputs == 2, "decoder: outputs must be 1 or 2");
  expect(net.frequencies.rows == 3 && net.frequencies.cols == s.features, "decoder: frequencies must be [3, F]");
  expect(net.parameters.size() == s.parameter_count(), "decoder: wrong number of parameters");
}

void check(const DecodeSlices& a) {
  check(a.net);
  const int64_t slices = a.rotations.rows;
  expect(a.side > 0, "decoder: the side must be positive");
  expect(a.rotations.cols == 9, "decoder: rotations must be [slices, 9]");
  expect(a.pixels.size() % 2 == 0, "decoder: pixels must stand in pairs");
  expect(a.values.empty() || (a.values.rows == slices && a.values.cols == a.pixels.size()),
         "decoder: values must be [slices, pixels]");
  expect(a.active.empty() || a.active.size() >= slices, "decoder: active must name every slice");
  expect(a.latent_of.empty() || a.latent_of.size() >= slices, "decoder: latent_of must name every slice");
  if (a.net.shape.latent > 0) {
    expect(a.latents.cols == a.net.shape.latent, "decoder: latents must be [N, Z]");
    expect(!a.latent_of.empty() || a.latents.rows >= slices, "decoder: one latent a slice is needed");
  }
}

}  // namespace

bool decodes_in(const Device& device, Precision precision) { return device.ops().decodes_in(precision); }

void decode(Device& device, const DecodeSlices& a) {
  check(a);
  expect(!a.values.empty() || a.rotations.rows == 0, "decoder: nowhere to put the values");
  device.ops().decode_slices(device, a);
}

void decode(Device& device, const DecodePoints& a) {
  check(a.net);
  expect(a.points.cols == 3, "decoder: points must be [n, 3]");
  expect(a.values.rows == a.points.rows && a.values.cols == a.net.shape.outputs,
         "decoder: values must be [n, outputs]");
  expect(a.net.shape.latent == 0 || a.latent.size() == a.net.shape.latent, "decoder: latent must be [1, Z]");
  device.ops().decode_points(device, a);
}

void decode_backward(Device& device, const DecodeSlicesBackward& a) {
  check(a.forward);
  const int64_t slices = a.forward.rotations.rows, pixels = a.forward.pixels.size();
  const auto shaped = [&](View<const float> v) { return v.rows == slices && v.cols == pixels; };
  expect(a.dvalues.empty() != a.target.empty(), "decoder: give either dvalues or target");
  expect(a.dvalues.empty() || shaped(a.dvalues), "decoder: dvalues must be [slices, pixels]");
  expect(a.target.empty() || (shaped(a.target) && a.loss.size() == slices), "decoder: target and loss must match");
  expect(a.ctf.empty() || shaped(a.ctf), "decoder: ctf must be [slices, pixels]");
  expect(a.dparameters.size() == a.forward.net.shape.parameter_count(), "decoder: dparameters has the wrong size");
  expect(a.forward.net.shape.latent == 0 || a.dlatents.empty() ||
             (a.dlatents.rows == slices && a.dlatents.cols == a.forward.net.shape.latent),
         "decoder: dlatents must be [slices, Z]");
  device.ops().decode_slices_backward(device, a);
}

}  // namespace recon
