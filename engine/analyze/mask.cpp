#include "engine/analyze/mask.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/fourier/fourier.h"
#include "kernels/runtime/host_access.h"

namespace recon {
namespace {

/// Convolves with a Gaussian of standard deviation `sigma` voxels, around the edges of the box.
void blur(Device& device, View<float> volume, int side, double sigma) {
  hartley(device, Hartley3d{.volume = volume, .hartley = volume, .side = side});
  std::vector<double> factor;
  for (int i = -side / 2; i < side / 2; ++i) {
    const double turns = std::numbers::pi * sigma * i / side;
    factor.push_back(std::exp(-2 * turns * turns) / side);
  }
  {
    const auto values = host_update(device, volume);
    device.threads().run(side, [&](int64_t z, int) {
      int64_t at = z * side * side;
      for (int64_t y = 0; y < side; ++y)
        for (int64_t x = 0; x < side; ++x, ++at)
          values[at] *= static_cast<float>(factor[size_t(z)] * factor[size_t(y)] * factor[size_t(x)]);
    });
  }
  hartley(device, Hartley3d{.volume = volume, .hartley = volume, .side = side});
}

}  // namespace

std::vector<float> density_mask(Device& device, std::span<const float> volume, int side) {
  constexpr double strongest = 0.999, surface = 0.15, reach = 0.1;
  expect(static_cast<int64_t>(volume.size()) == int64_t{side} * side * side, "mask: the map must be side^3");
  Buffer<float> map(device, int64_t{side} * side, side);
  map.upload(volume);
  blur(device, map.view(), side, side / 32.0);
  std::vector<float> mask = map.download(), sorted = mask;
  const auto rank = sorted.begin() + static_cast<int64_t>(strongest * static_cast<double>(sorted.size() - 1));
  std::nth_element(sorted.begin(), rank, sorted.end());
  if (*rank <= 0) return std::vector<float>(mask.size(), 1.0f);
  const auto threshold = static_cast<float>(surface * *rank);
  for (float& v : mask) v = v > threshold ? 1.0f : 0.0f;
  // A blurred half space is 0.1 at 1.3 standard deviations from its face, and nothing at 3.
  map.upload(mask);
  blur(device, map.view(), side, side / 24.0);
  mask = map.download();
  for (float& v : mask) v = std::clamp(v / static_cast<float>(reach), 0.0f, 1.0f);
  return mask;
}

}  // namespace recon
