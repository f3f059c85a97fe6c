#pragma once
#include "kernels/pose/pose.h"

namespace recon::cuda {

/// pose_score, a thread a candidate.
void pose_score_naive(Device& device, const PoseScore& args);

}  // namespace recon::cuda
