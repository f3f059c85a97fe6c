#pragma once
#include <span>
#include <vector>

#include "kernels/runtime/device.h"

namespace recon {

/// Images [n, D·D] with all frequencies from -`smaller`/2 to below `smaller`/2 kept and the others dropped: [n,
/// smaller·smaller] of the same grey values and the same field of view, so that pixels grow by D/smaller. Throws
/// ContractError unless both sides are even and smaller <= side.
std::vector<float> crop_images(Device& device, std::span<const float> images, int side, int smaller);

/// The same of a map [D·D, D].
std::vector<float> crop_map(Device& device, std::span<const float> map, int side, int smaller);

/// The mirror image of a map through the plane z = D/2: the other hand. The centre voxel stays.
std::vector<float> mirrored(std::span<const float> map, int side);

}  // namespace recon
