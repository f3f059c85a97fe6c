#pragma once
// Slices of a density at frequencies between those of its lattice as they are defined, in doubles: never optimised.
#include <complex>
#include <numbers>

#include "kernels/image/image.h"
#include "tests/reference/compare.h"

namespace recon::reference {

struct VolumeCase {
  int side = 0;
  std::vector<float> density;  ///< [z][y][x], origin at side/2
  std::vector<Pixel> pixels;
  std::vector<float> rotations;  ///< [S, 9]
};

/// Normal numbers in the ball of side/2.
inline std::vector<float> ball(Draws& draws, int side) {
  std::vector<float> out;
  for (int z = -side / 2; z < side / 2; ++z)
    for (int y = -side / 2; y < side / 2; ++y)
      for (int x = -side / 2; x < side / 2; ++x)
        out.push_back(4 * (x * x + y * y + z * z) < side * side ? draws.normal() : 0.0f);
  return out;
}

/// Forty Gaussians of 4 % of the box, centred within 30 % of it.
inline std::vector<float> blobs(Draws& draws, int side) {
  Values centres;
  while (centres.size() < 120) {
    const double at[3] = {draws.uniform(-0.3, 0.3), draws.uniform(-0.3, 0.3), draws.uniform(-0.3, 0.3)};
    if (at[0] * at[0] + at[1] * at[1] + at[2] * at[2] < 0.09)
      for (const double c : at) centres.push_back(c * side);
  }
  const double spread = 2 * std::pow(0.04 * side, 2);
  Values sum(static_cast<size_t>(side) * side * side);
  for (size_t blob = 0; blob < centres.size(); blob += 3) {
    Values axis[3];
    for (size_t c = 0; c < 3; ++c)
      for (int i = 0; i < side; ++i)
        axis[c].push_back(std::exp(-std::pow(i - side / 2 - centres[blob + c], 2) / spread));
    size_t at = 0;
    for (const double z : axis[2])
      for (const double y : axis[1])
        for (const double x : axis[0]) sum[at++] += z * y * x;
  }
  return narrow(sum);
}

/// values[s, p] = Σ density(r) cas 2π k·r/D at k = Rᵀ(x, y, 0): Re + Im of the sum of exp(+i…), axis by axis.
inline Values exact_slices(const VolumeCase& c) {
  Values out;
  const auto side = static_cast<size_t>(c.side);
  for (size_t s = 0; s < c.rotations.size() / 9; ++s)
    for (const Pixel& pixel : c.pixels) {
      std::vector<std::complex<double>> phase[3];
      for (size_t axis = 0; axis < 3; ++axis) {
        const double k = double(c.rotations[9 * s + axis]) * pixel.x + double(c.rotations[9 * s + 3 + axis]) * pixel.y;
        for (int r = -c.side / 2; r < c.side / 2; ++r)
          phase[axis].push_back(std::polar(1.0, 2 * std::numbers::pi * k * r / c.side));
      }
      std::complex<double> sum;
      for (size_t z = 0; z < side; ++z) {
        std::complex<double> plane;
        for (size_t y = 0; y < side; ++y) {
          const float* row = &c.density[(z * side + y) * side];
          double real = 0, imaginary = 0;
          for (size_t x = 0; x < side; ++x)
            real += double(row[x]) * phase[0][x].real(), imaginary += double(row[x]) * phase[0][x].imag();
          plane += std::complex<double>(real, imaginary) * phase[1][y];
        }
        sum += plane * phase[2][z];
      }
      out.push_back(sum.real() + sum.imag());
    }
  return out;
}

}  // namespace recon::reference
