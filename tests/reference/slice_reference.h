#pragma once
// Slices out of an oversampled Hartley lattice as they are defined, in doubles: never optimised.
#include "kernels/slice/slice.h"
#include "tests/reference/compare.h"

namespace recon::reference {

struct LatticeProblem {
  int side = 0, oversampling = 0;  ///< M of the lattice
  std::vector<Pixel> pixels;
  Values rotations;  ///< [S, 9]
  size_t slices() const { return rotations.size() / 9; }
};

/// One of the 8 lattice points of a sample, and its weight.
struct Corner {
  size_t index;
  double weight;
};

/// The sample of slice s at pixel p: trilinear at M/2 + oversampling · Rᵀ(x, y, 0).
inline std::vector<Corner> corners(const LatticeProblem& q, size_t s, size_t p) {
  const double* r = &q.rotations[9 * s];
  const double x = q.pixels[p].x, y = q.pixels[p].y;
  size_t base[3];
  double part[3];
  for (int axis = 0; axis < 3; ++axis) {
    const double at = q.side / 2 + q.oversampling * (r[axis] * x + r[3 + axis] * y);
    base[axis] = static_cast<size_t>(std::floor(at));
    part[axis] = at - std::floor(at);
  }
  std::vector<Corner> out;
  const auto m = static_cast<size_t>(q.side);
  for (const size_t z : {0, 1})
    for (const size_t v : {0, 1})
      for (const size_t u : {0, 1})
        out.push_back({((base[2] + z) * m + base[1] + v) * m + base[0] + u,
                       (u ? part[0] : 1 - part[0]) * (v ? part[1] : 1 - part[1]) * (z ? part[2] : 1 - part[2])});
  return out;
}

/// values[s, p].
inline Values sample_slices(const LatticeProblem& q, const Values& volume) {
  Values out;
  for (size_t s = 0; s < q.slices(); ++s)
    for (size_t p = 0; p < q.pixels.size(); ++p) {
      double sum = 0;
      for (const Corner& c : corners(q, s, p)) sum += c.weight * volume[c.index];
      out.push_back(sum);
    }
  return out;
}

/// The transpose: [M·M, M] from values [S, P].
inline Values insert_slices(const LatticeProblem& q, const Values& values) {
  const auto m = static_cast<size_t>(q.side);
  Values out(m * m * m);
  for (size_t s = 0; s < q.slices(); ++s)
    for (size_t p = 0; p < q.pixels.size(); ++p)
      for (const Corner& c : corners(q, s, p)) out[c.index] += c.weight * values[s * q.pixels.size() + p];
  return out;
}

}  // namespace recon::reference
