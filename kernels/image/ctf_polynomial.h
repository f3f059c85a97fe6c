#pragma once
#include <cmath>

#include "kernels/image/ctf.h"
#include "kernels/runtime/hd.h"
#include "kernels/runtime/vector_math.h"

namespace recon {

/// γ − asin(w) in turns is a polynomial of the integer frequencies, xx·x² + yy·y² + xy·x·y + r4·(x² + y²)² + constant,
/// and √(1−w²) sin γ − w cos γ = sin(γ − asin w). Doubles: defocus phases reach hundreds of turns.
struct CtfPolynomial {
  double xx, yy, xy, r4, constant;
  float scale, decay;
};

/// On the device by way of turns: the general functions keep an array in memory for angles of any size.
RECON_HD inline void sine_and_cosine(double angle, double& sine, double& cosine) {
#if defined(__CUDA_ARCH__)
  sincospi(angle / 3.14159265358979323846, &sine, &cosine);
#else
  sine = std::sin(angle);
  cosine = std::cos(angle);
#endif
}

RECON_HD inline CtfPolynomial ctf_polynomial(const CtfParameters& p, double frequency_step) {
  const double pi = 3.14159265358979323846;
  const double lambda = electron_wavelength_angstrom(p.voltage_kv), step2 = frequency_step * frequency_step;
  const double mean = 0.5 * (double(p.defocus_u_angstrom) + p.defocus_v_angstrom);
  const double half_difference = 0.5 * (double(p.defocus_u_angstrom) - p.defocus_v_angstrom);
  const double factor = -0.5 * lambda * step2;
  double sine, cosine;
  sine_and_cosine(2.0 * p.defocus_angle_rad, sine, cosine);
  const double along = half_difference * cosine, across = half_difference * sine;
  const double cs_angstrom = p.spherical_aberration_mm * 1e7;
  return {.xx = factor * (mean + along),
          .yy = factor * (mean - along),
          .xy = factor * 2 * across,
          .r4 = 0.25 * cs_angstrom * lambda * lambda * lambda * step2 * step2,
          .constant = -(double(p.phase_shift_rad) + std::asin(double(p.amplitude_contrast))) / (2 * pi),
          .scale = p.scale,
          .decay = static_cast<float>(-0.25 * p.b_factor_angstrom2 * step2)};
}

/// The CTF at integer frequency (x, y), without the envelope exp(decay · (x² + y²)). No branches, so loops vectorise.
RECON_HD inline float ctf_at(const CtfPolynomial& p, float x, float y) {
  const double kx = x, ky = y, k2 = kx * kx + ky * ky;
  const double turns = p.xx * kx * kx + p.yy * ky * ky + p.xy * kx * ky + p.r4 * k2 * k2 + p.constant;
  const double rounder = 6755399441055744.0;  // 1.5·2^52: rounds to the nearest integer
  const float fraction = static_cast<float>(turns - ((turns + rounder) - rounder));
  float sine, cosine;
  sincos_turns(fraction, sine, cosine);
  return p.scale * sine;
}

}  // namespace recon
