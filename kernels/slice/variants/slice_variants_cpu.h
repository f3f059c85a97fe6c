#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/slice/variants/slice_variants.h"

namespace recon {

namespace cpu {

/// sample_slices sample by sample.
void sample_slices_scalar(Device& device, const SampleSlices& args);

/// A copy of a lattice as IEEE halves, for processors with AVX-512.
std::vector<uint16_t> half_lattice(const LatticeVolume& volume);
bool has_half_gathers();
/// sample_slices out of such a copy.
void sample_slices_half(Device& device, const SampleSlices& args, const std::vector<uint16_t>& lattice);

/// An interpolation of the lattice by `width` points an axis: a weight as a function of the distance in units of the
/// lattice's spacing. What it does to the density, its own transform, is divided out before (gridding correction).
struct Interpolation {
  int width = 0;                         ///< 2 or 4
  std::function<double(double)> weight;  ///< of distances up to width/2
};
Interpolation linear_interpolation();  ///< 2 points
Interpolation cubic_spline();          ///< 4 points: the B-spline
/// 4 points: the Kaiser-Bessel window at the shape that suits the oversampling (Beatty et al. 2005, eq. 5).
Interpolation kaiser_bessel(double oversampling);

/// The relative error (L2) that its images make of slices of a density without order in the ball of D/2: of all places
/// between lattice points, the mean of Σ (ŵ(x/M + j)/ŵ(x/M))² over all images j ≠ 0.
double aliasing(const Interpolation& interpolation, double oversampling);

/// What slices are taken out of: a lattice of M = oversampling · D points an axis, of floats or of bf16.
class GriddedVolume {
 public:
  GriddedVolume(Device& device, const VolumeSlices& args, const Interpolation& interpolation, double oversampling,
                bool sixteen_bits = false);
  ~GriddedVolume();
  void sample(Device& device, const VolumeSlices& args) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cpu
}  // namespace recon
