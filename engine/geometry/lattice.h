#pragma once
#include <cstdint>
#include <vector>

#include "kernels/image/image.h"

namespace recon {

/// The Fourier pixels that losses and searches use: all integer (x, y) with 0 < x² + y² <= radius², origin left out
/// (paper §3.3; reference/cryodrgn.md §2a). Ordered by x² + y², then by (y, x) of the pair's first pixel; 2j is the
/// pixel with y > 0, or y = 0 and x > 0, and 2j+1 its negative. A `radius` (units of
/// 1/D) above side/2 takes in corners of the square |x|, |y| <= side/2, as back-projection does for the outermost
/// shell. Throws ContractError for an odd side or a radius out of (0, side].
std::vector<Pixel> circular_pixels(int side, double radius);

/// How many of `pixels` (in the order of circular_pixels) have |k| <= radius: the band is that prefix.
int64_t pixels_within(const std::vector<Pixel>& pixels, double radius);

}  // namespace recon
