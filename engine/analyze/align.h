#pragma once
#include <span>

#include "engine/geometry/rotation.h"

namespace recon {

/// What a reconstruction leaves free: a global rotation, the hand, and the place of the origin. The aligned volume is
/// v'(x) = v(M Q (x + o)), with M = diag(1, 1, −1) where flipped, identity else; aligned rotations are R' = M R M Q.
struct Alignment {
  Matrix3 rotation = identity_matrix;  ///< Q
  bool flipped = false;
  Vector3 offset_px = {0, 0, 0};  ///< o, in the truth's frame
};

/// Errors of poses after alignment, as Table 1 of the paper reports them, and in plainer units.
struct PoseErrors {
  Alignment alignment;
  double squared_frobenius_median = 0;  ///< the authors' "rotation error"
  double degrees_median = 0;
  double within_5_degrees = 0, within_10_degrees = 0;  ///< fractions of the images
  double shift_median_px = 0;                          ///< L2 after taking out the offset
  double shift_median_raw_px = 0;                      ///< L2 as it is: the authors' "translation error"
};

/// Finds the global rotation and hand that minimise the median squared Frobenius distance between M R M Q and the true
/// rotations (paper §5.1; reference/cryodrgn.md §2g), and the origin offset o that best explains shift − true shift =
/// R_true o (in the plane) among the better half of the images. Shifts are x, y pairs in pixels, [2 N], or empty.
/// Anchors are tried from images spread over the set; ties go to the unflipped hand. Throws ContractError when counts
/// differ.
PoseErrors align_poses(std::span<const Matrix3> rotations, std::span<const Matrix3> truth,
                       std::span<const double> shifts_px = {}, std::span<const double> true_shifts_px = {});

/// R' = M R M Q.
Matrix3 aligned_rotation(const Matrix3& rotation, const Alignment& alignment);

}  // namespace recon
