#include "engine/simulate/model.h"

#include <cmath>
#include <complex>
#include <numbers>

#include "kernels/fourier/fourier.h"

namespace recon {
namespace {

using Complex = std::complex<double>;

/// exp(−2πi k x/D − 2π²σ²k²/D²) at k = −D/2 .. D/2 − 1: a Gaussian's transform is a product over the axes.
void axis_factors(double position_px, double sigma_px, int side, Complex* factors) {
  for (int i = 0; i < side; ++i) {
    const double k = static_cast<double>(i - side / 2) / side;
    const double decay = std::exp(-2 * std::numbers::pi * std::numbers::pi * sigma_px * sigma_px * k * k);
    factors[i] = std::polar(decay, -2 * std::numbers::pi * k * position_px);
  }
}

}  // namespace

std::vector<Vector3> positions_px(const GaussianModel& model, double state) {
  const double angle = model.angle_deg * (state - 0.5) * std::numbers::pi / 180;
  const Matrix3 turn = axis_angle_to_matrix(model.axis, angle);
  std::vector<Vector3> positions(model.blobs.size());
  for (size_t i = 0; i < positions.size(); ++i) {
    Vector3 p = model.blobs[i].position_angstrom;
    if (!model.moving.empty() && model.moving[i]) {
      const Vector3& h = model.hinge_angstrom;
      const Vector3 arm = multiply(turn, Vector3{p[0] - h[0], p[1] - h[1], p[2] - h[2]});
      p = {h[0] + arm[0], h[1] + arm[1], h[2] + arm[2]};
    }
    for (size_t j = 0; j < 3; ++j) positions[i][j] = p[j] / model.pixel_size_angstrom;
  }
  return positions;
}

std::vector<float> model_volume(Device& device, const GaussianModel& model, double state) {
  const int side = model.box, half = side / 2;
  const auto width = static_cast<size_t>(side);
  const auto positions = positions_px(model, state);
  std::vector<Complex> factors(positions.size() * 3 * width);  // [blob][axis][k]
  for (size_t b = 0; b < positions.size(); ++b)
    for (size_t axis = 0; axis < 3; ++axis)
      axis_factors(positions[b][axis], model.blobs[b].sigma_angstrom / model.pixel_size_angstrom, side,
                   &factors[(3 * b + axis) * width]);
  Buffer<float> volume(device, int64_t(side) * side, side);
  const double scale = 1.0 / (double(side) * side * side);
  std::vector<float> values(static_cast<size_t>(volume.size()));
  device.threads().run(side, [&](int64_t z, int) {
    std::vector<double> row(width);
    for (int64_t y = 0; y < side; ++y) {
      std::fill(row.begin(), row.end(), 0.0);
      for (size_t b = 0; b < positions.size(); ++b) {
        const Complex* f = &factors[3 * b * width];
        const Complex yz = model.blobs[b].weight * f[width + size_t(y)] * f[2 * width + size_t(z)];
        const double re = yz.real(), im = yz.imag();
        for (size_t x = 0; x < width; ++x)  // Re − Im of the product
          row[x] += re * (f[x].real() - f[x].imag()) - im * (f[x].imag() + f[x].real());
      }
      for (int64_t x = 0; x < side; ++x) {
        const int64_t squared = (x - half) * (x - half) + (y - half) * (y - half) + (z - half) * (z - half);
        values[static_cast<size_t>((z * side + y) * side + x)] =
            squared < int64_t(half) * half ? static_cast<float>(scale * row[size_t(x)]) : 0;
      }
    }
  });
  volume.upload(values);
  hartley(device, Hartley3d{.volume = volume.view(), .hartley = volume.view(), .side = side});
  return volume.download();
}

GaussianModel one_bond_complex(int box, double pixel_size_angstrom, uint64_t seed) {
  expect(box > 0 && box % 2 == 0, "model: the box must be even");
  const double unit = pixel_size_angstrom * box / 32;  // lengths below are pixels of a box of 32
  const Philox philox{seed, Purpose::model};
  const Vector3 hinge = {5 * unit, 1 * unit, 0};
  GaussianModel model{.pixel_size_angstrom = pixel_size_angstrom,
                      .box = box,
                      .blobs = {},
                      .moving = {},
                      .hinge_angstrom = hinge,
                      .axis = {0.2, 0.3, 1},
                      .angle_deg = 90};
  const double sigma = 1.15 * unit;
  for (uint64_t i = 0; i < 40; ++i) {
    const u32x4 direction = philox.draw(i), rest = philox.draw(i, 1);
    const Vector3 v = {normal_from(direction.v[0]), normal_from(direction.v[1]), normal_from(direction.v[2])};
    const double radius = unit * (1 + 7 * uniform01(rest.v[0])) / std::hypot(v[0], v[1], v[2]);
    model.blobs.push_back({.position_angstrom = {radius * v[0], radius * v[1], radius * v[2]},
                           .weight = 0.5 + uniform01(rest.v[1]),
                           .sigma_angstrom = sigma,
                           .group = 0});
    model.moving.push_back(0);
  }
  for (int i = 1; i <= 7; ++i) {
    const Vector3 p = {hinge[0] + 1.1 * i * unit, hinge[1] + 0.045 * i * i * unit, hinge[2] + 0.4 * std::sin(i) * unit};
    model.blobs.push_back({.position_angstrom = p, .weight = 1.2, .sigma_angstrom = sigma, .group = 1});
    model.moving.push_back(1);
  }
  return model;
}

}  // namespace recon
