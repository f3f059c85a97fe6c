#pragma once
#include "kernels/image/image.h"
#include "kernels/runtime/device.h"

namespace recon {

/// A Hartley volume on an oversampled lattice: the value at frequency k (in units of 1/D) stands at index M/2 +
/// oversampling·k of each axis, [z][y][x], M = oversampling·D. Made by the gridding correction of
/// engine/pose/slice_source.h, so that trilinear interpolation in it approximates the band-limited volume.
struct LatticeVolume {
  View<const float> values;  ///< [M·M, M]
  int side = 0;              ///< M
  int oversampling = 2;
};

/// values[s, p] = trilinear sample of the volume at Rₛᵀ(x_p, y_p, 0). Reads 8 neighbours a sample: bound by cache
/// latency.
struct SampleSlices {
  LatticeVolume volume;
  View<const Pixel> pixels;     ///< [1, P], in pairs
  View<const float> rotations;  ///< [S, 9]
  View<const int32_t> active;   ///< [1, S]; empty: all
  View<float> values;           ///< [S, P]
};

void sample_slices(Device& device, const SampleSlices& args);

}  // namespace recon
