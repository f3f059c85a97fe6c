#pragma once
#include "kernels/runtime/device.h"

namespace recon {

/// Centred, unnormalised Hartley transform H = Re F − Im F of real arrays of even side D, origin at D/2 in both
/// domains (paper §3.3):  F(k) = Σ_r f(r) exp(−2πi k·r / D) with r, k in [−D/2, D/2) counted from the centre element.
/// It is its own inverse up to the factor 1/D² (1/D³).
///
/// images, hartley: [count, D·D], row-major [y][x]; may be the same memory.
struct Hartley2d {
  View<const float> images;
  View<float> hartley;
  int side = 0;
};

/// volume, hartley: [D·D, D] = [z][y][x]; may be the same memory.
struct Hartley3d {
  View<const float> volume;
  View<float> hartley;
  int side = 0;
};

void hartley(Device& device, const Hartley2d& args);
void hartley(Device& device, const Hartley3d& args);

}  // namespace recon
