#pragma once
// Image operations as they are defined, in doubles: never optimised.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "kernels/image/image.h"

namespace recon::reference {

/// 1 within `inner`, linear to 0 at `outer`; r in units of half the side.
inline double window(int x, int y, int side, double inner, double outer) {
  const double r = std::hypot(x - side / 2, y - side / 2) / (side / 2);
  return r < inner ? 1 : (r > outer ? 0 : (outer - r) / (outer - inner));
}

/// cos(2π k·t/D) H(k) + sin(2π k·t/D) H(−k).
inline double shifted(double here, double opposite, Pixel k, double tx, double ty, int side) {
  const double phase = 2 * std::numbers::pi * (k.x * tx + k.y * ty) / side;
  return std::cos(phase) * here + std::sin(phase) * opposite;
}

/// The CTF of ctf.h from its own formula, written out once more in doubles.
inline double ctf(const CtfParameters& p, double sx, double sy) {
  const double pi = std::numbers::pi, v = p.voltage_kv * 1e3;
  const double lambda = 12.398419843320026e3 / std::sqrt(v * v + 2 * v * 510998.95);
  const double s = std::hypot(sx, sy), angle = std::atan2(sy, sx) - p.defocus_angle_rad;
  const double mean = (double(p.defocus_u_angstrom) + p.defocus_v_angstrom) / 2;
  const double defocus = mean + (double(p.defocus_u_angstrom) - p.defocus_v_angstrom) / 2 * std::cos(2 * angle);
  const double gamma = -pi * lambda * defocus * s * s +
                       pi / 2 * (p.spherical_aberration_mm * 1e7) * std::pow(lambda, 3) * std::pow(s, 4) -
                       p.phase_shift_rad;
  const double w = p.amplitude_contrast;
  return p.scale * std::exp(-p.b_factor_angstrom2 * s * s / 4) *
         (std::sqrt(1 - w * w) * std::sin(gamma) - w * std::cos(gamma));
}

}  // namespace recon::reference
