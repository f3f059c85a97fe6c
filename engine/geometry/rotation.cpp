#include "engine/geometry/rotation.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "io/rotation.h"

namespace recon {
namespace {

/// Largest eigenvector of a symmetric 4×4 matrix by cyclic Jacobi rotations.
Quaternion largest_eigenvector(std::array<std::array<double, 4>, 4> a) {
  std::array<std::array<double, 4>, 4> vectors{};
  for (size_t i = 0; i < 4; ++i) vectors[i][i] = 1;
  for (int sweep = 0; sweep < 24; ++sweep) {
    for (size_t p = 0; p < 4; ++p)
      for (size_t q = p + 1; q < 4; ++q) {
        if (a[p][q] == 0) continue;
        const double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const double t = (theta >= 0 ? 1 : -1) / (std::abs(theta) + std::hypot(theta, 1.0));
        const double c = 1 / std::hypot(t, 1.0), s = t * c;
        for (size_t k = 0; k < 4; ++k) {
          const double akp = a[k][p], akq = a[k][q];
          a[k][p] = c * akp - s * akq;
          a[k][q] = s * akp + c * akq;
        }
        for (size_t k = 0; k < 4; ++k) {
          const double apk = a[p][k], aqk = a[q][k];
          a[p][k] = c * apk - s * aqk;
          a[q][k] = s * apk + c * aqk;
          const double vkp = vectors[k][p], vkq = vectors[k][q];
          vectors[k][p] = c * vkp - s * vkq;
          vectors[k][q] = s * vkp + c * vkq;
        }
      }
  }
  size_t best = 0;
  for (size_t i = 1; i < 4; ++i)
    if (a[i][i] > a[best][best]) best = i;
  const double sign = vectors[0][best] < 0 ? -1 : 1;
  return {sign * vectors[0][best], sign * vectors[1][best], sign * vectors[2][best], sign * vectors[3][best]};
}

}  // namespace

Matrix3 multiply(const Matrix3& a, const Matrix3& b) {
  Matrix3 c{};
  for (size_t i = 0; i < 3; ++i)
    for (size_t j = 0; j < 3; ++j) c[3 * i + j] = a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j];
  return c;
}

Vector3 multiply(const Matrix3& a, const Vector3& v) {
  return {a[0] * v[0] + a[1] * v[1] + a[2] * v[2], a[3] * v[0] + a[4] * v[1] + a[5] * v[2],
          a[6] * v[0] + a[7] * v[1] + a[8] * v[2]};
}

Matrix3 transpose(const Matrix3& a) { return {a[0], a[3], a[6], a[1], a[4], a[7], a[2], a[5], a[8]}; }

double determinant(const Matrix3& a) {
  return a[0] * (a[4] * a[8] - a[5] * a[7]) - a[1] * (a[3] * a[8] - a[5] * a[6]) + a[2] * (a[3] * a[7] - a[4] * a[6]);
}

Matrix3 euler_to_matrix(const EulerDegrees& angles) {
  return io::matrix_of_euler(std::array{angles.rot, angles.tilt, angles.psi});
}

EulerDegrees matrix_to_euler(const Matrix3& m) {
  const auto [rot, tilt, psi] = io::euler_of_matrix(m);
  return {rot, tilt, psi};
}

Matrix3 quaternion_to_matrix(const Quaternion& q) { return io::matrix_of_quaternion(q); }

Quaternion matrix_to_quaternion(const Matrix3& m) { return io::quaternion_of_matrix(m); }

Matrix3 axis_angle_to_matrix(const Vector3& axis, double angle_rad) {
  const double length = std::hypot(axis[0], axis[1], axis[2]), s = std::sin(angle_rad / 2) / length;
  return quaternion_to_matrix({std::cos(angle_rad / 2), s * axis[0], s * axis[1], s * axis[2]});
}

Matrix3 random_rotation(const Philox& generator, uint64_t index, uint32_t sub) {
  const u32x4 random = generator.draw(index, sub);
  // 42 bits for each of three numbers: 32 of a word, 10 of the fourth.
  const auto uniform = [&](size_t i) {
    const uint32_t low = random.v[3] >> (10 * i);
    return uniform01_double(random.v[i], low << 22);
  };
  const double u = uniform(0), a = 2 * std::numbers::pi * uniform(1), b = 2 * std::numbers::pi * uniform(2);
  const double s = std::sqrt(1 - u), c = std::sqrt(u);
  return quaternion_to_matrix({s * std::sin(a), s * std::cos(a), c * std::sin(b), c * std::cos(b)});
}

double squared_frobenius(const Matrix3& a, const Matrix3& b) {
  double sum = 0;
  for (size_t i = 0; i < 9; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

double degrees_of_squared_frobenius(double distance) {
  return 2 * std::asin(std::min(1.0, std::sqrt(std::max(distance, 0.0) / 8))) / degree;
}

double rotation_angle_degrees(const Matrix3& a, const Matrix3& b) {
  return degrees_of_squared_frobenius(squared_frobenius(a, b));
}

Matrix3 nearest_rotation(const Matrix3& m) {
  // Maximises trace(RᵀM): the largest eigenvector of Davenport's matrix is the quaternion of R.
  const double trace = m[0] + m[4] + m[8];
  return quaternion_to_matrix(largest_eigenvector({{{trace, m[7] - m[5], m[2] - m[6], m[3] - m[1]},
                                                    {m[7] - m[5], 2 * m[0] - trace, m[1] + m[3], m[2] + m[6]},
                                                    {m[2] - m[6], m[1] + m[3], 2 * m[4] - trace, m[5] + m[7]},
                                                    {m[3] - m[1], m[2] + m[6], m[5] + m[7], 2 * m[8] - trace}}}));
}

}  // namespace recon
