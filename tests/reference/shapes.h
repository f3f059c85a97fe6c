#pragma once
// Random arguments of the numerical tests.
#include "kernels/image/image.h"
#include "tests/reference/compare.h"

namespace recon::reference {

/// `pairs` pairs (k, −k) of frequencies within the circle of a box of `side`, but its centre: repeats allowed, in any
/// order.
inline std::vector<Pixel> random_pixels(Draws& draws, int side, int pairs) {
  std::vector<Pixel> pixels;
  while (static_cast<int>(pixels.size()) < 2 * pairs) {
    const int x = draws.integer(-side / 2, side / 2), y = draws.integer(-side / 2, side / 2);
    if (x * x + y * y == 0 || 4 * (x * x + y * y) > side * side) continue;
    pixels.push_back({static_cast<int16_t>(x), static_cast<int16_t>(y)});
    pixels.push_back({static_cast<int16_t>(-x), static_cast<int16_t>(-y)});
  }
  return pixels;
}

/// Row-major rotation matrices [count, 9] from normal quaternions, rounded to floats.
inline std::vector<float> random_rotations(Draws& draws, int count) {
  std::vector<float> out;
  for (int i = 0; i < count; ++i) {
    double w = draws.normal(), x = draws.normal(), y = draws.normal(), z = draws.normal();
    const double n = std::sqrt(w * w + x * x + y * y + z * z);
    w /= n, x /= n, y /= n, z /= n;
    for (const double v : {1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y), 2 * (x * y + w * z),
                           1 - 2 * (x * x + z * z), 2 * (y * z - w * x), 2 * (x * z - w * y), 2 * (y * z + w * x),
                           1 - 2 * (x * x + y * y)})
      out.push_back(static_cast<float>(v));
  }
  return out;
}

}  // namespace recon::reference
