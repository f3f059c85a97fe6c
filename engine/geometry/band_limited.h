#pragma once
#include <array>
#include <span>
#include <vector>

#include "kernels/runtime/device.h"

namespace recon {

/// The Fourier transform of a map at any frequency: a 2× oversampled Hartley lattice, interpolated with a Kaiser–Bessel
/// window of 6³ taps whose own transform is divided out of the map (Fessler & Sutton 2003; Beatty et al. 2005). The
/// error is 1e-7 of the largest coefficient for a ribosome, 3e-5 of a coefficient's deviation for white noise that
/// fills the box. It is as periodic in frequency as the sampled map's is. Memory: 4 bytes × (2D)³.
class BandLimitedVolume {
 public:
  /// `volume`: [D·D, D] = [z][y][x], origin at voxel D/2. Throws ContractError unless it is side³ and side even.
  BandLimitedVolume(Device& device, std::span<const float> volume, int side);

  /// {H(k), H(−k)} for k in units of 1/D, any real numbers within ±2D.
  std::array<float, 2> sample(double kx, double ky, double kz) const;
  int side() const { return side_; }

 private:
  static constexpr int taps = 6;
  static constexpr int lanes = 8;          ///< taps and two zeros: whole vectors
  static constexpr int table_step = 1024;  ///< entries of the window's table a grid unit
  struct Axis {
    int64_t first = 0, mirrored = 0;  ///< first grid index of the taps of k and of the taps of −k, in [0, M)
    std::array<float, lanes> weight{}, reversed{};
  };
  Axis axis(double frequency) const;

  int side_, padded_;
  int64_t stride_;              ///< M + lanes: the lattice is repeated past its end, so that taps never wrap
  std::vector<float> lattice_;  ///< [stride³]
  std::vector<float> table_;
};

}  // namespace recon
