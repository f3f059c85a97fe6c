#include "engine/geometry/band_limited.h"

#include <cmath>
#include <numbers>

#include "kernels/fourier/fourier.h"
#include "kernels/runtime/host_access.h"

namespace recon {
namespace {

/// Beatty's shape parameter for 6 taps and 2× oversampling: π·sqrt((6/2)²·(2 − ½)² − 0.8).
const double shape = std::numbers::pi * std::sqrt(9 * 2.25 - 0.8);

/// Transform of I0(shape·sqrt(1 − (2u/6)²)) at x/M (in cycles a grid unit).
double window_transform(double cycles, int taps) {
  const double argument = shape * shape - std::pow(std::numbers::pi * taps * cycles, 2);
  const double root = std::sqrt(std::abs(argument));
  if (root < 1e-9) return taps;
  return taps * (argument > 0 ? std::sinh(root) : std::sin(root)) / root;
}

/// Σ over a 6×6 bundle of rows of 8 values: one vector multiply-add a row.
RECON_SIMD float weigh(const float* corner, int64_t stride, const float* x, const float* y, const float* z) {
  float sum[8] = {};
  for (int k = 0; k < 6; ++k)
    for (int j = 0; j < 6; ++j) {
      const float* row = corner + (k * stride + j) * stride;
      const float weight = z[k] * y[j];
      for (int i = 0; i < 8; ++i) sum[i] += weight * row[i];
    }
  float total = 0;
  for (int i = 0; i < 8; ++i) total += sum[i] * x[i];
  return total;
}

}  // namespace

BandLimitedVolume::BandLimitedVolume(Device& device, std::span<const float> volume, int side)
    : side_(side), padded_(2 * side), stride_(2 * side + lanes) {
  const size_t voxels = static_cast<size_t>(side) * static_cast<size_t>(side) * static_cast<size_t>(side);
  expect(side > 0 && side % 2 == 0 && volume.size() == voxels, "volume: it must be side³, even");
  const int m = padded_, offset = side / 2;
  std::vector<double> inverse(static_cast<size_t>(side));
  for (int i = 0; i < side; ++i) inverse[static_cast<size_t>(i)] = 1 / window_transform(double(i - side / 2) / m, taps);
  Buffer<float> grid(device, int64_t(m) * m, m);
  grid.zero();
  {
    const auto values = host_update(device, grid.view());
    size_t from = 0;
    for (int z = 0; z < side; ++z)
      for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x, ++from)
          values[((int64_t(z) + offset) * m + y + offset) * m + x + offset] =
              static_cast<float>(volume[from] * inverse[static_cast<size_t>(z)] * inverse[static_cast<size_t>(y)] *
                                 inverse[static_cast<size_t>(x)]);
  }
  hartley(device, Hartley3d{.volume = grid.view(), .hartley = grid.view(), .side = m});
  const auto values = host_read(device, grid.view());
  lattice_.resize(static_cast<size_t>(stride_ * stride_ * stride_));
  device.threads().run(stride_, [&](int64_t z, int) {
    for (int64_t y = 0; y < stride_; ++y)
      for (int64_t x = 0; x < stride_; ++x)
        lattice_[static_cast<size_t>((z * stride_ + y) * stride_ + x)] = values[((z % m) * m + y % m) * m + x % m];
  });
  table_.resize(static_cast<size_t>(taps / 2 * table_step + 2));
  for (size_t i = 0; i < table_.size(); ++i) {
    const double u = static_cast<double>(i) / table_step * 2 / taps;
    table_[i] = u <= 1 ? static_cast<float>(std::cyl_bessel_i(0, shape * std::sqrt(1 - u * u))) : 0;
  }
}

BandLimitedVolume::Axis BandLimitedVolume::axis(double frequency) const {
  Axis axis;
  const double grid = 2 * frequency, first = std::floor(grid) - (taps / 2 - 1);
  const auto wrapped = [this](int64_t index) { return (index % padded_ + padded_) % padded_; };
  axis.first = wrapped(static_cast<int64_t>(first) + padded_ / 2);
  axis.mirrored = wrapped(-static_cast<int64_t>(first) - (taps - 1) + padded_ / 2);
  for (int i = 0; i < taps; ++i) {
    const double u = std::abs(grid - (first + i)) * table_step;
    const auto entry = static_cast<size_t>(u);
    const auto part = static_cast<float>(u - static_cast<double>(entry));
    const float weight = entry + 1 < table_.size() ? table_[entry] + part * (table_[entry + 1] - table_[entry]) : 0;
    axis.weight[static_cast<size_t>(i)] = weight;
    axis.reversed[static_cast<size_t>(taps - 1 - i)] = weight;
  }
  return axis;
}

std::array<float, 2> BandLimitedVolume::sample(double kx, double ky, double kz) const {
  const Axis x = axis(kx), y = axis(ky), z = axis(kz);
  const auto corner = [this](int64_t cx, int64_t cy, int64_t cz) {
    return &lattice_[static_cast<size_t>((cz * stride_ + cy) * stride_ + cx)];
  };
  return {weigh(corner(x.first, y.first, z.first), stride_, x.weight.data(), y.weight.data(), z.weight.data()),
          weigh(corner(x.mirrored, y.mirrored, z.mirrored), stride_, x.reversed.data(), y.reversed.data(),
                z.reversed.data())};
}

}  // namespace recon
