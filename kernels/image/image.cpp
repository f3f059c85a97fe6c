#include "kernels/image/image.h"

#include "kernels/ops.h"

namespace recon {
namespace {

void expect_side(int side) { expect(side > 0 && side % 2 == 0, "images: the side must be even and positive"); }

/// The rows that `source` (or its absence) selects must be as many as there are in `out`.
void expect_source(View<const int32_t> source, int64_t available, int64_t rows) {
  expect(source.empty() ? rows <= available : source.size() == rows, "images: source must name one image a row of out");
}

}  // namespace

void window_images(Device& device, const WindowImages& a) {
  expect_side(a.side);
  expect(a.images.cols == int64_t(a.side) * a.side, "window: images must be [count, side*side]");
  expect(a.inner >= 0 && a.inner < a.outer, "window: inner must be below outer");
  device.ops().window_images(device, a);
}

void gather_pixels(Device& device, const GatherPixels& a) {
  expect_side(a.side);
  expect(a.hartley.cols == int64_t(a.side) * a.side, "gather: images must be [count, side*side]");
  expect(a.out.rows == a.hartley.rows && a.out.cols == a.pixels.size(), "gather: out must be [count, pixels]");
  device.ops().gather_pixels(device, a);
}

void shift_images(Device& device, const ShiftImages& a) {
  expect_side(a.side);
  expect(a.pixels.size() % 2 == 0, "shift: pixels must come in pairs");
  expect(a.out.cols == a.pixels.size() && a.images.cols >= a.out.cols, "shift: images must hold every pixel of out");
  expect(a.shifts.empty() || (a.shifts.rows == a.out.rows && a.shifts.cols == 2), "shift: shifts must be [rows, 2]");
  expect_source(a.source, a.images.rows, a.out.rows);
  device.ops().shift_images(device, a);
}

void evaluate_ctf(Device& device, const EvaluateCtf& a) {
  expect_side(a.side);
  expect(a.pixels.size() % 2 == 0, "ctf: pixels must come in pairs");
  expect(a.out.cols == a.pixels.size(), "ctf: out must be [rows, pixels]");
  expect(a.pixel_size_angstrom > 0, "ctf: the pixel size must be positive");
  expect_source(a.source, a.parameters.size(), a.out.rows);
  device.ops().evaluate_ctf(device, a);
}

void phase_flip(Device& device, const PhaseFlip& a) {
  expect(a.in.rows == a.out.rows && a.in.cols == a.out.cols && a.in.rows == a.ctf.rows && a.in.cols == a.ctf.cols,
         "phase flip: in, ctf and out differ in shape");
  device.ops().phase_flip(device, a);
}

void scale_pixels(Device& device, const ScalePixels& a) {
  expect(a.factors.size() >= a.out.cols, "scale_pixels: a factor a pixel is needed");
  expect(a.in.empty() || (a.in.rows == a.out.rows && a.in.cols == a.out.cols),
         "scale_pixels: in and out differ in shape");
  device.ops().scale_pixels(device, a);
}

void residual_power(Device& device, const ResidualPower& a) {
  const auto shaped = [&](View<const float> v) { return v.rows == a.target.rows && v.cols == a.target.cols; };
  expect(shaped(a.prediction) && (a.ctf.empty() || shaped(a.ctf)), "residual_power: shapes differ");
  expect(a.sums.size() == a.target.cols, "residual_power: one sum a pixel");
  device.ops().residual_power(device, a);
}

}  // namespace recon
