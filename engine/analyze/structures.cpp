#include "engine/analyze/structures.h"

#include <algorithm>
#include <numeric>

#include "engine/analyze/fsc.h"
#include "engine/analyze/transform.h"
#include "kernels/runtime/check.h"

namespace recon {
namespace {

std::vector<double> aligned_fsc(Device& device, const StructurePair& pair, int side, const Alignment& alignment,
                                std::span<const float> mask) {
  std::vector<float> found = transform_volume(device, pair.found, side, alignment), truth = pair.truth;
  apply_mask(found, mask);
  apply_mask(truth, mask);
  return fourier_shell_correlation(device, found, truth, side);
}

/// The curves of all pairs, each under its own alignment.
StructureErrors judged(Device& device, std::span<const StructurePair> pairs, int side, std::span<const float> mask,
                       const std::vector<Alignment>& alignments) {
  StructureErrors errors;
  errors.mean_curve.assign(static_cast<size_t>(side / 2), 0);
  for (size_t i = 0; i < pairs.size(); ++i) {
    errors.curves.push_back(aligned_fsc(device, pairs[i], side, alignments[i], mask));
    for (size_t k = 0; k < errors.mean_curve.size(); ++k)
      errors.mean_curve[k] += errors.curves[i][k] / static_cast<double>(pairs.size());
  }
  return errors;
}

}  // namespace

StructureErrors compare_structures(Device& device, std::span<const StructurePair> pairs, int side,
                                   const Alignment& start, std::span<const float> mask, bool align_each) {
  expect(!pairs.empty(), "compare_structures: at least one pair is wanted");
  const auto refined = [&](const StructurePair& pair, const Alignment& from) {
    return refine_alignment(device, pair.found, pair.truth, side, from).alignment;
  };
  const auto under = [&](const Alignment& alignment) {
    StructureErrors errors = judged(device, pairs, side, mask, std::vector(pairs.size(), alignment));
    errors.alignment = alignment;
    return errors;
  };
  StructureErrors errors = under(start);
  const auto best = std::max_element(errors.curves.begin(), errors.curves.end(), [](const auto& a, const auto& b) {
    return mean_correlation(a) < mean_correlation(b);
  });
  StructureErrors moved = under(refined(pairs[static_cast<size_t>(best - errors.curves.begin())], start));
  if (mean_correlation(moved.mean_curve) > mean_correlation(errors.mean_curve)) errors = std::move(moved);
  if (!align_each) return errors;
  std::vector<Alignment> own;
  for (const StructurePair& pair : pairs) own.push_back(refined(pair, errors.alignment));
  StructureErrors each = judged(device, pairs, side, mask, own);
  each.alignment = errors.alignment;
  return each;
}

std::vector<size_t> spread_over(std::span<const double> values, size_t count) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  if (count >= order.size()) return order;
  std::vector<size_t> picked;
  for (size_t i = 0; i < count; ++i) picked.push_back(order[(2 * i + 1) * order.size() / (2 * count)]);
  return picked;
}

}  // namespace recon
