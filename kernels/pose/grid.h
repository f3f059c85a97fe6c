#pragma once
#include <cmath>
#include <cstdint>

#include "kernels/runtime/hd.h"

namespace recon {

/// The grids of the pose search (paper appendix A): scalar, host-device, no containers. Level r of the rotation grid is
/// HEALPix (Górski et al. 2005, NESTED, nside 2^r) for the direction × 6·2^r in-plane angles, lifted by the Hopf
/// fibration (Yershova et al. 2010). Level 1 is the base grid of 576 rotations, 30° apart; a level halves the step.
struct GridRotation {
  int32_t pixel = 0;  ///< HEALPix pixel, [0, 12·4^r)
  int32_t psi = 0;    ///< in-plane index j, [0, 6·2^r): the angle is (j + ½)·2π/(6·2^r)
  bool operator==(const GridRotation&) const = default;
};

RECON_HD constexpr int64_t so3_pixels(int level) { return int64_t{12} << (2 * level); }
RECON_HD constexpr int64_t so3_angles(int level) { return int64_t{6} << level; }
RECON_HD constexpr int64_t so3_size(int level) { return so3_pixels(level) * so3_angles(level); }

/// A direction by half its colatitude, which keeps floats accurate near the poles, and its longitude in (−π, 2π).
template <class T>
struct GridDirection {
  T cos_half_theta, sin_half_theta, phi;
};

namespace detail {
/// The even bits of a word, packed.
RECON_HD inline int32_t even_bits(int32_t word) {
  uint32_t v = static_cast<uint32_t>(word) & 0x55555555u;
  v = (v | (v >> 1)) & 0x33333333u;
  v = (v | (v >> 2)) & 0x0f0f0f0fu;
  v = (v | (v >> 4)) & 0x00ff00ffu;
  return static_cast<int32_t>((v | (v >> 8)) & 0x0000ffffu);
}

/// A GPU takes the angle in half turns: its own reduction of large angles would need local memory.
template <class T>
RECON_HD inline void sine_cosine(T angle, T& sine, T& cosine) {
#if defined(__CUDA_ARCH__)
  ::sincospi(angle * static_cast<T>(0.31830988618379067154), &sine, &cosine);
#else
  sine = std::sin(angle), cosine = std::cos(angle);
#endif
}
}  // namespace detail

/// Centre of a NESTED pixel of nside 2^level, level in [0, 12].
template <class T>
RECON_HD inline GridDirection<T> healpix_direction(int32_t pixel, int level) {
  const int32_t nside = int32_t{1} << level, face = pixel >> (2 * level), within = pixel & (nside * nside - 1);
  const int32_t x = detail::even_bits(within), y = detail::even_bits(within >> 1);
  const int32_t band = face / 4;                                 // 0 north, 1 equator, 2 south
  const int32_t eighths = 2 * (face % 4) + (band == 1 ? 0 : 1);  // longitude of the face, in eighths of a turn
  const int32_t ring = (2 + band) * nside - x - y - 1;           // 1 .. 4·nside − 1 from the north pole
  const int32_t to_south = 4 * nside - ring;
  const int32_t in_quadrant = ring < nside ? ring : (to_south < nside ? to_south : nside);
  const T n = static_cast<T>(nside), q = static_cast<T>(in_quadrant);
  const T quarter_pi = static_cast<T>(0.78539816339744830962);
  const T phi = quarter_pi * static_cast<T>(eighths * in_quadrant + x - y) / q;
  // 1 − cos θ on the cap and between; on the south cap the small number is 1 + cos θ.
  const bool cap = in_quadrant < nside;
  const T versine = cap ? q * q / (3 * n * n) : 1 - static_cast<T>(2 * (2 * nside - ring)) / (3 * n);
  const T large = std::sqrt(1 - versine / 2), small = std::sqrt(versine / 2);
  return cap && to_south < nside ? GridDirection<T>{small, large, phi} : GridDirection<T>{large, small, phi};
}

/// Hopf quaternion of a grid rotation, components in the authors' order:
/// (cos θ/2 cos ψ/2, cos θ/2 sin ψ/2, sin θ/2 cos(φ + ψ/2), sin θ/2 sin(φ + ψ/2)). psi may leave its range: ψ + 2π only
/// turns the sign.
template <class T>
RECON_HD inline void so3_quaternion(GridRotation node, int level, T q[4]) {
  const GridDirection<T> d = healpix_direction<T>(node.pixel, level);
  const T half_psi = (static_cast<T>(node.psi) + T(0.5)) * static_cast<T>(3.14159265358979323846) /
                     static_cast<T>(int32_t{6} << level);
  T sine, cosine;
  detail::sine_cosine(half_psi, sine, cosine);
  q[0] = d.cos_half_theta * cosine;
  q[1] = d.cos_half_theta * sine;
  detail::sine_cosine(d.phi + half_psi, sine, cosine);
  q[2] = d.sin_half_theta * cosine;
  q[3] = d.sin_half_theta * sine;
}

/// Matrix of a Hopf quaternion as the authors make it: components read as (x, y, z, w), usual matrix transposed.
/// Row-major; slice coordinates are Rᵀ(x, y, 0)ᵀ.
template <class T>
RECON_HD inline void hopf_matrix(const T q[4], T matrix[9]) {
  const T x = q[0], y = q[1], z = q[2], w = q[3];
  matrix[0] = 1 - 2 * (y * y + z * z);
  matrix[1] = 2 * (x * y + w * z);
  matrix[2] = 2 * (x * z - w * y);
  matrix[3] = 2 * (x * y - w * z);
  matrix[4] = 1 - 2 * (x * x + z * z);
  matrix[5] = 2 * (y * z + w * x);
  matrix[6] = 2 * (x * z + w * y);
  matrix[7] = 2 * (y * z - w * x);
  matrix[8] = 1 - 2 * (x * x + y * y);
}

/// Rotation matrix of a grid node, row-major.
template <class T>
RECON_HD inline void so3_matrix(GridRotation node, int level, T matrix[9]) {
  T q[4];
  so3_quaternion(node, level, q);
  hopf_matrix(q, matrix);
}

/// Of the 16 candidates for the children of a node, which are its 4 sub-pixels × the in-plane indices 2j−1 .. 2j+2, the
/// one in place `i`. Its index may be out of range by one.
RECON_HD constexpr GridRotation so3_candidate(GridRotation node, int i) {
  return {4 * node.pixel + i / 4, 2 * node.psi - 1 + i % 4};
}

/// min |q ± q₀|² between a rotation at `level` and the quaternion q₀.
RECON_HD inline double so3_distance(GridRotation node, int level, const double other[4]) {
  double q[4], plus = 0, minus = 0;
  so3_quaternion(node, level, q);
  for (int c = 0; c < 4; ++c) {
    minus += (q[c] - other[c]) * (q[c] - other[c]);
    plus += (q[c] + other[c]) * (q[c] + other[c]);
  }
  return plus < minus ? plus : minus;
}

/// Whether candidate j is chosen before candidate i by their distances: symmetric candidates, which tie to the last bit
/// or two, are told by a tolerance and go to the lower position, so that every backend chooses alike.
RECON_HD constexpr bool so3_precedes(double distance_j, int j, double distance_i, int i) {
  const double tolerance = 1e-9 * distance_i;
  return distance_j < distance_i - tolerance || (j < i && distance_j <= distance_i + tolerance);
}

/// An in-plane index that is out of range by less than a turn, wrapped into it.
RECON_HD constexpr GridRotation so3_wrapped(GridRotation node, int level) {
  const int32_t angles = int32_t{6} << level;
  return {node.pixel, node.psi < 0 ? node.psi + angles : (node.psi >= angles ? node.psi - angles : node.psi)};
}

/// The 8 children, at level + 1, of a node at `level`: the nearest candidates, listed in their order, with indices
/// wrapped into range. Always in doubles: the step is resolved on every level.
RECON_HD inline void so3_children(GridRotation node, int level, GridRotation children[8]) {
  double parent[4], distance[16];
  so3_quaternion(node, level, parent);
  for (int i = 0; i < 16; ++i) distance[i] = so3_distance(so3_candidate(node, i), level + 1, parent);
  int kept = 0;
  for (int i = 0; i < 16; ++i) {
    int nearer = 0;
    for (int j = 0; j < 16; ++j) nearer += so3_precedes(distance[j], j, distance[i], i) ? 1 : 0;
    if (nearer < 8 && kept < 8) children[kept++] = so3_wrapped(so3_candidate(node, i), level + 1);
  }
}

/// Centre of cell `index` of `cells` equal cells that divide [−extent, extent], in the unit of `extent`. Level r of the
/// shift grid has n·2^r cells an axis; the children of cell (x, y) are (2x + i, 2y + j), i, j in {0, 1}.
template <class T>
RECON_HD inline T shift_centre(int32_t index, int32_t cells, T extent) {
  return extent * (static_cast<T>(2 * index + 1) / static_cast<T>(cells) - 1);
}

}  // namespace recon
