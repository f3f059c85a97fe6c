#include "engine/geometry/lattice.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace recon {
namespace {

int squared_radius(Pixel p) { return int(p.x) * p.x + int(p.y) * p.y; }

}  // namespace

std::vector<Pixel> circular_pixels(int side, double radius) {
  expect(side > 0 && side % 2 == 0 && side <= 32766, "lattice: the side must be even and positive");
  expect(radius > 0 && radius <= side, "lattice: the radius must be in (0, side]");
  const int limit = std::min(static_cast<int>(std::floor(radius)), side / 2);
  std::vector<Pixel> half;
  for (int y = 0; y <= limit; ++y)
    for (int x = y == 0 ? 1 : -limit; x <= limit; ++x)
      if (double(x) * x + double(y) * y <= radius * radius)
        half.push_back({static_cast<int16_t>(x), static_cast<int16_t>(y)});
  std::sort(half.begin(), half.end(), [](Pixel a, Pixel b) {
    return std::tuple(squared_radius(a), a.y, a.x) < std::tuple(squared_radius(b), b.y, b.x);
  });
  std::vector<Pixel> pixels;
  pixels.reserve(2 * half.size());
  for (const Pixel p : half) {
    pixels.push_back(p);
    pixels.push_back({static_cast<int16_t>(-p.x), static_cast<int16_t>(-p.y)});
  }
  return pixels;
}

int64_t pixels_within(const std::vector<Pixel>& pixels, double radius) {
  const double limit = radius < 0 ? -1 : radius * radius;
  const auto end = std::partition_point(pixels.begin(), pixels.end(),
                                        [limit](Pixel p) { return double(squared_radius(p)) <= limit; });
  return end - pixels.begin();
}

}  // namespace recon
