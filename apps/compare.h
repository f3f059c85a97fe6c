#pragma once
#include <string>
#include <vector>

#include "apps/options.h"
#include "engine/analyze/align.h"

// What the comparisons share: compare.cpp, compare_structures.cpp.
namespace recon::apps {

Json alignment_result(const Alignment& alignment);

/// Weights [side³] of a soft sphere or a mask file; empty where no mask is wanted.
std::vector<float> read_mask(const MaskOptions& options, int side);

/// Poses of the same images out of two files.
struct PosePairs {
  std::vector<Matrix3> rotations, truth;
  std::vector<double> shifts, true_shifts;
  std::vector<int64_t> true_rows;  ///< of the images, in the file of the truth
};
/// `passthrough`: joined to the ones that are .cs files.
PosePairs read_poses(const std::string& found, const std::string& truth,
                     const std::vector<std::string>& passthrough = {});

}  // namespace recon::apps
