#include "engine/analyze/align.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "engine/analyze/statistics.h"
#include "kernels/runtime/check.h"

namespace recon {
namespace {

constexpr size_t anchors = 200, screened_images = 400, refined_candidates = 8, refinements = 6;

Matrix3 mirrored(const Matrix3& r) { return {r[0], r[1], -r[2], r[3], r[4], -r[5], -r[6], -r[7], r[8]}; }

std::vector<double> distances(std::span<const Matrix3> p, std::span<const Matrix3> truth, const Matrix3& q) {
  std::vector<double> all(p.size());
  for (size_t i = 0; i < p.size(); ++i) all[i] = squared_frobenius(multiply(p[i], q), truth[i]);
  return all;
}

/// Every item at an even stride, at most `most` of them.
std::vector<size_t> spread(size_t count, size_t most) {
  std::vector<size_t> picked(std::min(count, most));
  for (size_t i = 0; i < picked.size(); ++i) picked[i] = i * count / picked.size();
  return picked;
}

struct Candidate {
  double median = 9;
  Matrix3 rotation = identity_matrix;
};

/// Chordal mean of PᵀR over the images at or below the median, again and again.
Candidate refine(std::span<const Matrix3> p, std::span<const Matrix3> truth, Candidate best) {
  Matrix3 q = best.rotation;
  for (size_t iteration = 0; iteration < refinements; ++iteration) {
    const auto d = distances(p, truth, q);
    const double middle = median(d);
    if (middle < best.median) best = {middle, q};
    Matrix3 sum{};
    for (size_t i = 0; i < p.size(); ++i) {
      if (d[i] > middle) continue;
      const Matrix3 product = multiply(transpose(p[i]), truth[i]);
      for (size_t j = 0; j < 9; ++j) sum[j] += product[j];
    }
    q = nearest_rotation(sum);
  }
  const double last = median(distances(p, truth, q));
  return last < best.median ? Candidate{last, q} : best;
}

/// The best global rotation for one hand: anchors screened on a part of the images, the best of them refined there, and
/// the winner refined on all.
Candidate align_hand(std::span<const Matrix3> p, std::span<const Matrix3> truth) {
  std::vector<Matrix3> some_p, some_truth;
  for (const size_t i : spread(p.size(), screened_images)) {
    some_p.push_back(p[i]);
    some_truth.push_back(truth[i]);
  }
  std::vector<Candidate> candidates;
  for (const size_t i : spread(p.size(), anchors)) {
    const Matrix3 q = multiply(transpose(p[i]), truth[i]);
    candidates.push_back({median(distances(some_p, some_truth, q)), q});
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.median < b.median; });
  candidates.resize(std::min(candidates.size(), refined_candidates));
  Candidate best;
  for (const Candidate& candidate : candidates) {
    const Candidate refined = refine(some_p, some_truth, candidate);
    if (refined.median < best.median) best = refined;
  }
  return refine(p, truth, {median(distances(p, truth, best.rotation)), best.rotation});
}

/// Solves a symmetric positive 3×3 system; the zero vector where it is singular.
Vector3 solve3(const Matrix3& a, const Vector3& b) {
  const double d = determinant(a);
  if (std::abs(d) < 1e-12) return {0, 0, 0};
  Vector3 x;
  for (size_t column = 0; column < 3; ++column) {
    Matrix3 replaced = a;
    for (size_t row = 0; row < 3; ++row) replaced[3 * row + column] = b[row];
    x[column] = determinant(replaced) / d;
  }
  return x;
}

/// Least squares for shift − true shift = (R_true o) in the plane, over the images with use[i].
Vector3 fit_offset(std::span<const Matrix3> truth, std::span<const double> difference, const std::vector<bool>& use) {
  Matrix3 normal{};
  Vector3 right{};
  for (size_t i = 0; i < truth.size(); ++i) {
    if (!use[i]) continue;
    for (size_t row = 0; row < 2; ++row)
      for (size_t a = 0; a < 3; ++a) {
        right[a] += truth[i][3 * row + a] * difference[2 * i + row];
        for (size_t b = 0; b < 3; ++b) normal[3 * a + b] += truth[i][3 * row + a] * truth[i][3 * row + b];
      }
  }
  return solve3(normal, right);
}

std::vector<double> shift_errors(std::span<const Matrix3> truth, std::span<const double> difference, const Vector3& o) {
  std::vector<double> errors(truth.size());
  for (size_t i = 0; i < truth.size(); ++i) {
    const Vector3 moved = multiply(truth[i], o);
    errors[i] = std::hypot(difference[2 * i] - moved[0], difference[2 * i + 1] - moved[1]);
  }
  return errors;
}

}  // namespace

Matrix3 aligned_rotation(const Matrix3& rotation, const Alignment& alignment) {
  return multiply(alignment.flipped ? mirrored(rotation) : rotation, alignment.rotation);
}

PoseErrors align_poses(std::span<const Matrix3> rotations, std::span<const Matrix3> truth,
                       std::span<const double> shifts_px, std::span<const double> true_shifts_px) {
  const size_t count = rotations.size();
  expect(count > 0 && truth.size() == count, "pose alignment: as many poses as true poses, at least one");
  expect(shifts_px.size() == true_shifts_px.size() && (shifts_px.empty() || shifts_px.size() == 2 * count),
         "pose alignment: shifts must be [2 N], of both or of neither");
  std::vector<Matrix3> other_hand(count);
  std::transform(rotations.begin(), rotations.end(), other_hand.begin(), mirrored);
  const Candidate same = align_hand(rotations, truth), other = align_hand(other_hand, truth);
  const bool flipped = other.median < same.median;
  PoseErrors errors;
  errors.alignment = {.rotation = (flipped ? other : same).rotation, .flipped = flipped, .offset_px = {0, 0, 0}};
  const auto d =
      distances(flipped ? std::span<const Matrix3>(other_hand) : rotations, truth, errors.alignment.rotation);
  errors.squared_frobenius_median = median(d);
  errors.degrees_median = degrees_of_squared_frobenius(errors.squared_frobenius_median);
  int64_t within_5 = 0, within_10 = 0;
  for (const double value : d) {
    within_5 += degrees_of_squared_frobenius(value) <= 5;
    within_10 += degrees_of_squared_frobenius(value) <= 10;
  }
  errors.within_5_degrees = static_cast<double>(within_5) / static_cast<double>(count);
  errors.within_10_degrees = static_cast<double>(within_10) / static_cast<double>(count);
  if (shifts_px.empty()) return errors;
  std::vector<double> difference(shifts_px.size());
  for (size_t i = 0; i < difference.size(); ++i) difference[i] = shifts_px[i] - true_shifts_px[i];
  errors.shift_median_raw_px = median(shift_errors(truth, difference, {0, 0, 0}));
  std::vector<bool> use(count);
  for (size_t i = 0; i < count; ++i) use[i] = d[i] <= errors.squared_frobenius_median;
  Vector3 offset = fit_offset(truth, difference, use);
  for (int round = 0; round < 3; ++round) {  // once more without the images whose shift is wrong
    const auto residual = shift_errors(truth, difference, offset);
    const double middle = median(residual);
    for (size_t i = 0; i < count; ++i) use[i] = residual[i] <= 2 * middle && d[i] <= errors.squared_frobenius_median;
    offset = fit_offset(truth, difference, use);
  }
  errors.alignment.offset_px = offset;
  errors.shift_median_px = median(shift_errors(truth, difference, offset));
  return errors;
}

}  // namespace recon
