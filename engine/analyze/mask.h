#pragma once
#include <span>
#include <vector>

#include "kernels/runtime/device.h"

namespace recon {

/// Where a map's density is: a soft mask [D·D, D] of 0 to 1, 1 up to about D/20 beyond the surface at 0.15 of the
/// strongest density after a blur of D/32, and 0 from D/8 beyond it on. All 1 for a map without positive density.
std::vector<float> density_mask(Device& device, std::span<const float> volume, int side);

}  // namespace recon
