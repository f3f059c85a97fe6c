#pragma once
// Rows of pixels that the ways to score poses are made of.
#include "kernels/pose/pose.h"

namespace recon::cpu {

/// out(k) = g(k) · [S(t)X](k) over pairs: with a = X(k), b = X(−k) and φ = 2π k·t/D, (c a + s b, c b − s a).
/// kx, ky: of each pair's first pixel, in cycles a pixel; ctf may be null.
void shift_weighted(const float* image, const float* ctf, const float* kx, const float* ky, int64_t pairs, float tx,
                    float ty, float* out);

/// Σ (g S)²; ctf may be null. Summed in blocks of a few hundred floats: the scores it is added to are floats as well.
double weighted_norm(const float* slice, const float* ctf, int64_t count);

/// Frequencies of the pairs' first pixels in cycles a pixel: kx, ky [pairs].
void pair_frequencies(View<const Pixel> pixels, int side, float* kx, float* ky);

}  // namespace recon::cpu
