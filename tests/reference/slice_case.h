#pragma once
// Random lattices and slices of them, on a device: what the tests of the kernel and of its variants share.
#include "tests/reference/shapes.h"
#include "tests/reference/slice_reference.h"

namespace recon::reference {

struct LatticeCase {
  LatticeProblem problem;
  std::vector<float> volume;
  std::vector<int32_t> active;
};

inline LatticeCase random_lattice_case(uint64_t number) {
  Draws draws(number);
  LatticeCase c;
  const int box = 2 * draws.integer(2, number % 10 == 0 ? 12 : 6);
  c.problem.oversampling = draws.integer(1, 3);
  c.problem.side = c.problem.oversampling * box;
  c.problem.pixels = random_pixels(draws, box - 2, draws.integer(1, 20));  // slices are wanted a little inside the box
  c.problem.rotations = widen(random_rotations(draws, draws.integer(1, 6)));
  c.volume = draws.normals(int64_t{c.problem.side} * c.problem.side * c.problem.side);
  if (draws.coin())
    for (size_t s = 0; s < c.problem.slices(); ++s) c.active.push_back(draws.integer(0, 1));
  return c;
}

/// What stands in slices that are skipped.
constexpr float untouched_value = -77;

struct LatticeOnDevice {
  Buffer<float> volume, rotations, values;
  Buffer<Pixel> pixels;
  Buffer<int32_t> active;
  SampleSlices args;

  LatticeOnDevice(Device& d, const LatticeCase& c) {
    const int64_t side = c.problem.side, slices = int64_t(c.problem.slices()), count = int64_t(c.problem.pixels.size());
    volume = on_device(d, c.volume, side * side, side);
    rotations = on_device(d, narrow(c.problem.rotations), slices, 9);
    values = on_device(d, std::vector<float>(size_t(slices * count), untouched_value), slices, count);
    pixels = on_device(d, c.problem.pixels);
    if (!c.active.empty()) active = on_device(d, c.active);
    args = {.volume = {volume.view(), c.problem.side, c.problem.oversampling},
            .pixels = pixels.view(),
            .rotations = rotations.view(),
            .active = active.view(),
            .values = values.view()};
  }
};

/// The samples, and untouched values in skipped slices.
inline Values expected_samples(const LatticeCase& c) {
  Values out = sample_slices(c.problem, widen(c.volume));
  for (size_t s = 0; s < c.active.size(); ++s)
    if (c.active[s] == 0)
      std::fill_n(out.begin() + int64_t(s * c.problem.pixels.size()), c.problem.pixels.size(), double(untouched_value));
  return out;
}

}  // namespace recon::reference
