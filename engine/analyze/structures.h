#pragma once
#include <span>
#include <vector>

#include "engine/analyze/align.h"
#include "kernels/runtime/device.h"

namespace recon {

/// What a run makes of an image (its volume at the image's z) and what the image shows: maps [z][y][x] of one box.
struct StructurePair {
  std::vector<float> found, truth;
};

/// How well a run's structures are the true ones, image by image.
struct StructureErrors {
  Alignment alignment;                      ///< of the run's frame to the truth's
  std::vector<std::vector<double>> curves;  ///< FSC of each pair, engine/analyze/fsc.h
  std::vector<double> mean_curve;
};

/// `start` takes the run's frame to the truth's (align_poses). It is refined by the pair that agrees best under it, and
/// the refined one holds for all pairs where their mean FSC is the higher for it. With `align_each` it is then refined
/// for each pair: where poses are unknown, nothing ties the frame of one conformation to that of another. Maps are
/// multiplied by `mask` [side³] before their FSC; empty: no mask. Throws ContractError for no pair or for maps that are
/// not side³.
StructureErrors compare_structures(Device& device, std::span<const StructurePair> pairs, int side,
                                   const Alignment& start, std::span<const float> mask = {}, bool align_each = false);

/// `count` of `values`, evenly spread over them in ascending order: the middles of as many equal parts (all of them
/// where there are fewer). Gives their indices.
std::vector<size_t> spread_over(std::span<const double> values, size_t count);

}  // namespace recon
