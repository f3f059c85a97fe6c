#pragma once
#include <span>
#include <vector>

#include "engine/analyze/align.h"
#include "kernels/runtime/device.h"

namespace recon {

/// v'(x) = v(M Q (x + o)) of a map [D·D, D] = [z][y][x], in Fourier space (engine/geometry/band_limited.h), within 1e-5
/// up to Nyquist; the result is band-limited to |k| < D/2. Throws ContractError unless the map is side³ and side even.
std::vector<float> transform_volume(Device& device, std::span<const float> volume, int side,
                                    const Alignment& alignment);

/// An alignment of one map to another and the mean of their FSC over all shells (of a sample of the Fourier voxels).
struct VolumeAlignment {
  Alignment alignment;
  double mean_fsc = 0;
};

/// Refines `start` (from align_poses, say) by a local search over rotation and offset for the highest mean FSC to
/// `fixed`; the hand stays. Finds what lies within about 10° and 3 px. Deterministic.
VolumeAlignment refine_alignment(Device& device, std::span<const float> moving, std::span<const float> fixed, int side,
                                 const Alignment& start);

/// Aligns without a start: every rotation of the 15° grid, both hands, origins as they are, at low resolution; the best
/// of each hand are refined. For maps whose particles are centred within a few pixels of one another.
VolumeAlignment align_volumes(Device& device, std::span<const float> moving, std::span<const float> fixed, int side);

}  // namespace recon
