#pragma once
// The Hartley transform as it is defined, in doubles: never optimised.
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

namespace recon::reference {

/// H(k) = Σ_r f(r) [cos(2π k·r/D) + sin(2π k·r/D)], r and k counted from D/2. `dimensions` is 2 or 3; [.][y][x].
/// Separable cost is not sought: D^(2·dimensions) terms.
inline std::vector<double> hartley(const std::vector<float>& values, int side, int dimensions) {
  const int64_t count = dimensions == 2 ? int64_t(side) * side : int64_t(side) * side * side;
  std::vector<double> table(static_cast<size_t>(side));
  for (int i = 0; i < side; ++i) {
    const double angle = 2 * std::numbers::pi * i / side;
    table[static_cast<size_t>(i)] = std::cos(angle) + std::sin(angle);
  }
  const auto frequency = [side](int64_t index) { return static_cast<int64_t>(index % side) - side / 2; };
  std::vector<double> out(static_cast<size_t>(count));
  for (int64_t k = 0; k < count; ++k) {
    const int64_t kx = frequency(k), ky = frequency(k / side),
                  kz = frequency(k / side / side + (dimensions == 2 ? side / 2 : 0));
    double sum = 0;
    for (int64_t r = 0; r < count; ++r) {
      const int64_t rx = frequency(r), ry = frequency(r / side),
                    rz = frequency(r / side / side + (dimensions == 2 ? side / 2 : 0));
      const int64_t product = kx * rx + ky * ry + kz * rz;
      sum += values[static_cast<size_t>(r)] * table[static_cast<size_t>(((product % side) + side) % side)];
    }
    out[static_cast<size_t>(k)] = sum;
  }
  return out;
}

}  // namespace recon::reference
