#pragma once
#include "kernels/pose/pose.h"

namespace recon {

/// Image b's share of the sums of PoseCount.
RECON_HD inline void pose_tally(const PoseCount& a, int64_t b, int64_t sums[6]) {
  const int64_t list = a.nodes.shared ? 0 : b, rotations = a.nodes.rotation_count[list];
  const int64_t scored = rotations * a.nodes.shift_count[list];
  sums[0] += 1;
  sums[1] += scored;
  sums[2] += a.per_rotation ? rotations : scored;
  if (a.below.empty()) return;
  sums[3] += a.below[b];
  sums[4] += a.count[b];
  sums[5] += a.below[b] > a.cap ? 1 : 0;
}

}  // namespace recon
