#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace recon {

/// An RGB picture, pixels [height, width, 3].
struct Picture {
  int width = 0, height = 0;
  std::vector<uint8_t> rgb;
};

/// Shaded isosurface of a map [z][y][x], seen along −z, `size` pixels a side: orthographic rays, trilinear density,
/// light from the upper left. The surface lies at mean + `sigmas` standard deviations.
Picture render_surface(std::span<const float> volume, int side, int size, double sigmas = 2.5);

/// The same surface without colours: [size, size] how many of a pixel's four rays meet it, and its mean brightness.
struct Shading {
  std::vector<uint8_t> hits;
  std::vector<float> light;  ///< 0 to 1; 0 where no ray meets it
};
Shading shade_surface(std::span<const float> volume, int side, int size, double sigmas = 2.5);

/// Where the surface lies: mean + `sigmas` standard deviations.
double surface_level(std::span<const float> volume, double sigmas = 2.5);

/// Pictures of the same size beside one another, at most `columns` a row.
Picture montage(const std::vector<Picture>& pictures, int columns);

}  // namespace recon
