#pragma once
#include <span>
#include <vector>

#include "kernels/runtime/device.h"

namespace recon {

/// Where a map's density is: a soft mask [D·D, D] of 0 to 1, 1 up to about D/20 beyond the surface at 0.15 of the
/// strongest density after a blur of D/32, and 0 from D/8 beyond it on. All 1 for a map without positive density.
std::vector<float> density_mask(Device& device, std::span<const float> volume, int side);

/// A soft mask [D·D, D]: 1 up to `dilation` voxels (Euclidean) from a voxel above `threshold`, and from there to 0
/// along half a cosine over `edge` voxels. Throws ContractError unless the map is side³ and the lengths are not
/// negative.
std::vector<float> soft_mask(std::span<const float> volume, int side, double threshold, double dilation, double edge);

/// Half of the 99.99th percentile of a map: a threshold that is within the density of most.
double usual_threshold(std::span<const float> volume);

}  // namespace recon
