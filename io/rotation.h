#pragma once
#include <array>

// Rotations as files write them. All matrices are row-major and RELION's A(rot, tilt, psi): x_image = R x_reference.
namespace recon::io {

using RotationMatrix = std::array<double, 9>;

/// RELION's angles rot, tilt, psi in degrees, intrinsic ZYZ.
RotationMatrix matrix_of_euler(const std::array<double, 3>& euler_deg);
inline RotationMatrix matrix_of_euler(const std::array<float, 3>& euler_deg) {
  return matrix_of_euler(std::array<double, 3>{euler_deg[0], euler_deg[1], euler_deg[2]});
}
/// rot and psi in (-180, 180], tilt in [0, 180]; rot = 0 where tilt is 0 or 180, as RELION writes.
std::array<double, 3> euler_of_matrix(const RotationMatrix& matrix);

/// Unit quaternion (w, x, y, z), v' = M v.
RotationMatrix matrix_of_quaternion(const std::array<double, 4>& quaternion);
/// The quaternion with w >= 0.
std::array<double, 4> quaternion_of_matrix(const RotationMatrix& matrix);

/// cryoSPARC's pose: a rotation vector v (axis times angle in radians) whose Rodrigues matrix is the transpose of R.
/// The zero vector is the identity.
RotationMatrix matrix_of_cryosparc_pose(const std::array<double, 3>& pose);
std::array<double, 3> cryosparc_pose_of_matrix(const RotationMatrix& matrix);

/// Largest entry of |R Rᵀ - 1|, and 2 for a reflection or a number that is not finite: how far from a rotation.
double distance_from_rotation(const RotationMatrix& matrix);

}  // namespace recon::io
