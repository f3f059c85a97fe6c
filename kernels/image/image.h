#pragma once
#include <cstdint>

#include "kernels/image/ctf.h"
#include "kernels/runtime/device.h"

namespace recon {

/// A Fourier pixel of the circular set: integer frequency (x, y) in units of 1/D. Pixels are ordered by radius and
/// stand in pairs: 2j is (x, y), 2j+1 is (−x, −y). So a band |k| ≤ L is a prefix, and the partner of i is i ^ 1.
struct Pixel {
  int16_t x = 0, y = 0;
};

/// Multiplies real images [count, D·D] by a soft circle: 1 within `inner`, linear to 0 at `outer` (fractions of D/2).
struct WindowImages {
  View<float> images;
  int side = 0;
  float inner = 0.85f, outer = 0.99f;
};

/// out[n, p] = scale · hartley[n, at(pixels[p])]; frequency +D/2 is read at −D/2, as in the symmetrised image.
struct GatherPixels {
  View<const float> hartley;  ///< [count, D·D]
  View<const Pixel> pixels;   ///< [1, P]
  View<float> out;            ///< [count, P]
  int side = 0;
  float scale = 1;
};

/// Image shift in Hartley space: out(k) = cos(2π k·t/D) H(k) + sin(2π k·t/D) H(−k) moves the image by +t pixels (x
/// right, y down). Row b of `out` is image source[b] (or b when `source` is empty) of `images`, moved by shifts[b] ·
/// D-pixels.
struct ShiftImages {
  View<const float> images;    ///< [N, stride ≥ P]
  View<const int32_t> source;  ///< [1, B] or empty
  View<const float> shifts;    ///< [B, 2], pixels; empty: no shift (a plain gather)
  View<const Pixel> pixels;    ///< [1, P]
  View<float> out;             ///< [B, P]
  int side = 0;
};

/// out[b, p] = ctf of parameters[source[b]] at pixels[p] / (D · pixel size).
struct EvaluateCtf {
  View<const CtfParameters> parameters;  ///< [1, N]
  View<const int32_t> source;            ///< [1, B] or empty
  View<const Pixel> pixels;              ///< [1, P]
  View<float> out;                       ///< [B, P]
  int side = 0;
  float pixel_size_angstrom = 1;
};

/// out = in · sign(ctf) (phase flipping); in and out may be the same memory.
struct PhaseFlip {
  View<const float> in;   ///< [B, P]
  View<const float> ctf;  ///< [B, P]
  View<float> out;        ///< [B, P]
};

/// out[b, p] = in[b, p] · factors[p]; `in` empty: out[b, p] = factors[p]. in and out may be the same memory.
struct ScalePixels {
  View<const float> in;       ///< [B, P] or empty
  View<const float> factors;  ///< [1, >= P]
  View<float> out;            ///< [B, P]
};

/// sums[p] += Σ_b (ctf[b,p] prediction[b,p] − target[b,p])²: the residual power of every pixel.
struct ResidualPower {
  View<const float> prediction, target;  ///< [B, P]
  View<const float> ctf;                 ///< [B, P] or empty for 1
  View<double> sums;                     ///< [1, P]
};

void window_images(Device& device, const WindowImages& args);
void gather_pixels(Device& device, const GatherPixels& args);
void shift_images(Device& device, const ShiftImages& args);
void evaluate_ctf(Device& device, const EvaluateCtf& args);
void phase_flip(Device& device, const PhaseFlip& args);
void scale_pixels(Device& device, const ScalePixels& args);
void residual_power(Device& device, const ResidualPower& args);

}  // namespace recon
