#include "io/rotation.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>

namespace recon::io {
namespace {

constexpr double degree = std::numbers::pi / 180;

}  // namespace

RotationMatrix matrix_of_euler(const std::array<double, 3>& euler_deg) {
  const double sa = std::sin(euler_deg[0] * degree), ca = std::cos(euler_deg[0] * degree);
  const double sb = std::sin(euler_deg[1] * degree), cb = std::cos(euler_deg[1] * degree);
  const double sg = std::sin(euler_deg[2] * degree), cg = std::cos(euler_deg[2] * degree);
  return {cg * cb * ca - sg * sa,
          cg * cb * sa + sg * ca,
          -cg * sb,
          -sg * cb * ca - cg * sa,
          -sg * cb * sa + cg * ca,
          sg * sb,
          sb * ca,
          sb * sa,
          cb};
}

std::array<double, 3> euler_of_matrix(const RotationMatrix& m) {
  const double sine = std::hypot(m[2], m[5]);
  if (sine > 16 * double(std::numeric_limits<float>::epsilon()))
    return {std::atan2(m[7], m[6]) / degree, std::atan2(sine, m[8]) / degree, std::atan2(m[5], -m[2]) / degree};
  if (m[8] > 0) return {0, 0, std::atan2(-m[3], m[0]) / degree};
  return {0, 180, std::atan2(m[3], -m[0]) / degree};
}

RotationMatrix matrix_of_quaternion(const std::array<double, 4>& q) {
  const auto [w, x, y, z] = q;
  return {1 - 2 * (y * y + z * z), 2 * (x * y - w * z),     2 * (x * z + w * y),
          2 * (x * y + w * z),     1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
          2 * (x * z - w * y),     2 * (y * z + w * x),     1 - 2 * (x * x + y * y)};
}

std::array<double, 4> quaternion_of_matrix(const RotationMatrix& m) {
  // The largest of w, x, y, z is divided by, so no cancellation.
  const std::array<double, 4> squares = {1 + m[0] + m[4] + m[8], 1 + m[0] - m[4] - m[8], 1 - m[0] + m[4] - m[8],
                                         1 - m[0] - m[4] + m[8]};
  const auto largest = std::max_element(squares.begin(), squares.end()) - squares.begin();
  const double twice = std::sqrt(std::max(squares[static_cast<size_t>(largest)], 0.0)), d = 0.5 / twice;
  const double wx = (m[7] - m[5]) * d, wy = (m[2] - m[6]) * d, wz = (m[3] - m[1]) * d;
  const double xy = (m[3] + m[1]) * d, xz = (m[2] + m[6]) * d, yz = (m[7] + m[5]) * d, own = 0.5 * twice;
  std::array<double, 4> q = largest == 0   ? std::array{own, wx, wy, wz}
                            : largest == 1 ? std::array{wx, own, xy, xz}
                            : largest == 2 ? std::array{wy, xy, own, yz}
                                           : std::array{wz, xz, yz, own};
  if (q[0] < 0)
    for (double& component : q) component = -component;
  return q;
}

RotationMatrix matrix_of_cryosparc_pose(const std::array<double, 3>& pose) {
  const double angle = std::hypot(pose[0], pose[1], pose[2]), half = angle / 2;
  // sin(angle/2)/angle; its series where the quotient would be 0/0.
  const double s = angle < 1e-6 ? 0.5 - angle * angle / 48 : std::sin(half) / angle;
  return matrix_of_quaternion({std::cos(half), -s * pose[0], -s * pose[1], -s * pose[2]});  // transposed
}

std::array<double, 3> cryosparc_pose_of_matrix(const RotationMatrix& matrix) {
  const auto [w, x, y, z] = quaternion_of_matrix(matrix);
  const double sine = std::hypot(x, y, z);
  const double factor = sine < 1e-9 ? 2 : 2 * std::atan2(sine, w) / sine;
  return {0 - factor * x, 0 - factor * y, 0 - factor * z};
}

double distance_from_rotation(const RotationMatrix& m) {
  double worst = 0;
  for (size_t i = 0; i < 3; ++i)
    for (size_t j = 0; j < 3; ++j) {
      const double dot = m[3 * i] * m[3 * j] + m[3 * i + 1] * m[3 * j + 1] + m[3 * i + 2] * m[3 * j + 2];
      if (!std::isfinite(dot)) return 2;
      worst = std::max(worst, std::abs(dot - (i == j ? 1 : 0)));
    }
  const double determinant =
      m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6]);
  return determinant > 0 ? worst : 2;
}

}  // namespace recon::io
