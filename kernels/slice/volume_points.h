#pragma once
#include "kernels/runtime/device.h"

namespace recon {

/// Scatters decoder values at lattice points into a Hartley volume and zeroes the rest.
/// values: [n, outputs]; index[i]: where point i stands in the volume, and with two outputs mirror[i] where its
/// opposite stands (−1 in either: outside the array, as the opposite of frequency −D/2 is).
struct ScatterVolume {
  View<const float> values;
  View<const int32_t> index, mirror;
  View<float> volume;  ///< [D·D, D]
};

/// From the Hartley volume at D³ to the oversampled one at (2D)³ by way of real space (reference/performance.md §5):
/// each step is one pass over the arrays, the transforms in between are hartley() of kernels/fourier. out[r] = scale ·
/// density[r] / (sinc²(x/M) sinc²(y/M) sinc²(z/M)), zero-padded from D to M: undoes what trilinear interpolation at
/// spacing 1/M will do to the density.
struct PadVolume {
  View<const float> density;  ///< [D·D, D], real space
  View<float> out;            ///< [M·M, M]
  int side = 0, padded_side = 0;
  float scale = 1;
};

void scatter_volume(Device& device, const ScatterVolume& args);
void pad_volume(Device& device, const PadVolume& args);

}  // namespace recon
