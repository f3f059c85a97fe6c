// What candidates of a level are dropped by: Algorithm 1's bound, and the one for noise (engine/README.md).
#include <algorithm>
#include <cmath>

#include "engine/geometry/lattice.h"
#include "engine/geometry/rotation.h"
#include "engine/pose/search.h"

namespace recon {

/// Rotations that stand for all, and at each level that selects the same ones half a step of the grid away.
void PoseSearch::start_reserve() {
  const int64_t levels = config_.subdivisions;
  std::vector<float> rotations, shifts;
  for (int64_t level = -1; level < levels; ++level)
    for (uint64_t i = 0; i < reserve_rotations; ++i) {
      const Matrix3 axis = random_rotation({1, Purpose::random_pose}, i);
      const double turn = level < 0 ? 0 : 30.0 / double(int64_t{1} << (config_.base_level + level)) * degree;
      const Matrix3 moved = multiply(axis_angle_to_matrix({axis[0], axis[1], axis[2]}, turn),
                                     random_rotation({0, Purpose::random_pose}, i));
      for (const double v : moved) rotations.push_back(static_cast<float>(v));
      if (level < 0) continue;
      const double half_cell = config_.shift_extent_px / double(int64_t{config_.shift_grid} << level),
                   length = std::hypot(axis[3], axis[4]);
      for (const size_t j : {3u, 4u})
        shifts.push_back(static_cast<float>(half_cell * axis[j] / std::max(length, 1e-3)));
    }
  const int64_t all = pixels_.size(), moved = levels * reserve_rotations;
  reserve_matrices_ = Buffer<float>(*device_, reserve_rotations + moved, 9);
  reserve_shifts_ = Buffer<float>(*device_, moved, 2);
  reserve_slices_ = Buffer<float>(*device_, 2 * reserve_rotations, all);  // the second half before they are shifted
  reserve_moved_ = Buffer<float>(*device_, moved, all);
  reserve_matrices_.upload(rotations);
  reserve_shifts_.upload(shifts);
}

View<float> PoseSearch::moved_slices(int level) const {
  return {reserve_moved_.rows(level * reserve_rotations, 0).data, reserve_rotations, level_pixels(level)};
}

void PoseSearch::refresh_reserve(SliceSource& source) {
  expect(source.shared(), "search: the noise bound needs slices that all images share");
  const View<const Pixel> full{pixels_.data, 1, pixels_within(host_pixels_, config_.band_max)};
  source.slices(full, reserve_matrices_.rows(0, reserve_rotations), {}, {},
                reserve_slices_.shaped(reserve_rotations, full.cols));
  for (int level = 0; level < config_.subdivisions; ++level) {
    const View<const Pixel> band{pixels_.data, 1, level_pixels(level)};
    const int64_t first = level * reserve_rotations;
    const View<float> straight{reserve_slices_.rows(reserve_rotations, 0).data, reserve_rotations, band.cols};
    source.slices(band, reserve_matrices_.rows(reserve_rotations + first, reserve_rotations), {}, {}, straight);
    shift_images(*device_, ShiftImages{.images = straight,
                                       .source = {},
                                       .shifts = reserve_shifts_.rows(first, reserve_rotations),
                                       .pixels = band,
                                       .out = moved_slices(level),
                                       .side = side_});
  }
}

void PoseSearch::make_bound(SliceSource& source, const PoseNodes& nodes, View<float> scores, View<const float> images,
                            View<const float> ctf, int level) {
  const int64_t count = images.rows;
  const View<const Pixel> full{pixels_.data, 1, pixels_within(host_pixels_, config_.band_max)};
  const View<float> matrices = best_matrices_.rows(0, count), shifts = best_shifts_.rows(0, count);
  pose_best(*device_, PoseBest{.nodes = nodes,
                               .scores = scores,
                               .matrices = matrices,
                               .shifts = shifts,
                               .best = best_scores_.shaped(1, count),
                               .shift_unit_px = shift_unit_px()});
  const View<float> slices = bound_slices_.shaped(count, full.cols), bound = bounds_.shaped(1, count);
  source.slices(full, matrices, {}, image_of(count, 1), slices);
  pose_bound(*device_, PoseBound{.slices = slices,
                                 .images = images,
                                 .ctf = ctf,
                                 .shifts = shifts,
                                 .pixels = full,
                                 .bound = bound,
                                 .side = side_});
  if (config_.bound == Bound::noise)
    pose_reserve(*device_, PoseReserve{.slices = reserve_slices_.shaped(reserve_rotations, full.cols),
                                       .moved = moved_slices(level),
                                       .images = images,
                                       .ctf = ctf,
                                       .bound = bound,
                                       .first = level_pixels(level)});
}

}  // namespace recon
