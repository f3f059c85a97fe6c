#pragma once
#include <cmath>

#include "kernels/runtime/hd.h"

namespace recon {

/// Contrast transfer function of one image. Angles in radians, defocus positive for underfocus.
struct CtfParameters {
  float defocus_u_angstrom = 0;
  float defocus_v_angstrom = 0;
  float defocus_angle_rad = 0;
  float voltage_kv = 300;
  float spherical_aberration_mm = 2.7f;
  float amplitude_contrast = 0.1f;
  float phase_shift_rad = 0;
  float b_factor_angstrom2 = 0;
  float scale = 1;
};

/// Relativistic electron wavelength, Å: h c / sqrt(eV (eV + 2 m c²)) in CODATA 2018 units.
RECON_HD inline double electron_wavelength_angstrom(double voltage_kv) {
  const double energy = voltage_kv * 1e3;
  return 12398.419843320026 / std::sqrt(energy * (energy + 2 * 510998.95));
}

/// CTF at spatial frequency (sx, sy) in 1/Å:  √(1−w²) sin γ − w cos γ,  γ = 2π(−½ df λ s² + ¼ Cs λ³ s⁴) − phase,
/// df = ½(dfU + dfV + (dfU − dfV) cos 2(α − angle)); times scale·exp(−B s²/4).  Negative at low s.
RECON_HD inline float ctf_value(const CtfParameters& p, double sx, double sy) {
  const double pi = 3.14159265358979323846;
  const double lambda = electron_wavelength_angstrom(p.voltage_kv);
  const double s2 = sx * sx + sy * sy;
  const double angle = s2 > 0 ? std::atan2(sy, sx) : 0.0;
  const double defocus =
      0.5 * (double(p.defocus_u_angstrom) + p.defocus_v_angstrom +
             (double(p.defocus_u_angstrom) - p.defocus_v_angstrom) * std::cos(2 * (angle - p.defocus_angle_rad)));
  const double cs = p.spherical_aberration_mm * 1e7;
  const double gamma =
      2 * pi * (-0.5 * defocus * lambda * s2 + 0.25 * cs * lambda * lambda * lambda * s2 * s2) - p.phase_shift_rad;
  const double w = p.amplitude_contrast;
  const double ctf = std::sqrt(1 - w * w) * std::sin(gamma) - w * std::cos(gamma);
  return static_cast<float>(ctf * p.scale * std::exp(-0.25 * p.b_factor_angstrom2 * s2));
}

}  // namespace recon
