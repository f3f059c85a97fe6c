#pragma once
#include <array>
#include <cstdint>
#include <numbers>

#include "kernels/runtime/philox.h"

namespace recon {

/// A rotation matrix, row-major. R maps the reference to the image frame: x_image = R x_reference; slice coordinates
/// are Rᵀ(x, y, 0)ᵀ. R equals RELION's A(rot, tilt, psi) and the paper authors' R.
using Matrix3 = std::array<double, 9>;
using Vector3 = std::array<double, 3>;
/// Unit quaternion (w, x, y, z).
using Quaternion = std::array<double, 4>;

/// RELION's angles: intrinsic ZYZ.
struct EulerDegrees {
  double rot = 0, tilt = 0, psi = 0;
};

inline constexpr double degree = std::numbers::pi / 180;  ///< in radians
inline constexpr Matrix3 identity_matrix = {1, 0, 0, 0, 1, 0, 0, 0, 1};

Matrix3 multiply(const Matrix3& a, const Matrix3& b);
Vector3 multiply(const Matrix3& a, const Vector3& v);
Matrix3 transpose(const Matrix3& a);
double determinant(const Matrix3& a);

Matrix3 euler_to_matrix(const EulerDegrees& angles);
/// rot and psi in (−180, 180], tilt in [0, 180]; rot = 0 where tilt is 0 or 180, as RELION writes.
EulerDegrees matrix_to_euler(const Matrix3& matrix);

/// v' = M v with the usual right-handed matrix of a unit quaternion.
Matrix3 quaternion_to_matrix(const Quaternion& q);
/// The quaternion with w >= 0.
Quaternion matrix_to_quaternion(const Matrix3& matrix);
/// Rotation by `angle_rad` about `axis` (any length but zero), right-handed (Rodrigues).
Matrix3 axis_angle_to_matrix(const Vector3& axis, double angle_rad);

/// Uniform on SO(3) (Shoemake 1992), a function of (generator, index).
Matrix3 random_rotation(const Philox& generator, uint64_t index, uint32_t sub = 0);

/// Σ (a − b)²: the squared Frobenius distance of the paper's Table 1; 8 sin²(angle/2).
double squared_frobenius(const Matrix3& a, const Matrix3& b);
/// The angle in degrees that a squared Frobenius distance between rotations stands for.
double degrees_of_squared_frobenius(double distance);
/// Angle of the rotation from a to b, degrees in [0, 180].
double rotation_angle_degrees(const Matrix3& a, const Matrix3& b);

/// The rotation nearest to any matrix in the Frobenius sense (for a singular one: a nearest one).
Matrix3 nearest_rotation(const Matrix3& matrix);

}  // namespace recon
