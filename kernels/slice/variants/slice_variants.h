#pragma once
#include "kernels/slice/slice.h"

namespace recon {

/// Slices of a volume that is given in real space, at any frequency within the box: values[s, p] = Σ_r density(r) ·
/// cas 2π k·r/D with k = Rₛᵀ(x_p, y_p, 0).
struct VolumeSlices {
  View<const float> density;    ///< [D·D, D]
  View<const Pixel> pixels;     ///< [1, P], in pairs
  View<const float> rotations;  ///< [S, 9]
  View<float> values;           ///< [S, P]
  int side = 0;                 ///< D
};

}  // namespace recon
