#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/analyze/verdict.h"

namespace recon {

/// A volume as a report shows it. Pictures are PNG files in base64, without a ground where they can be, so that they
/// stand on a light page and on a dark one.
struct VolumeLook {
  std::string surface;  ///< shaded isosurface
  std::string slices;   ///< central slices across z, y and x, side by side
  VolumeFigures figures;
};
/// Volumes larger than 96 voxels a side are binned first. Throws ContractError unless the volume is side³.
VolumeLook look_at(std::span<const float> volume, int side);

/// How densely points [N, 2] lie in the plane.
struct DensityRaster {
  int cells = 200;                           ///< along each axis; fewer and larger ones for few points
  std::string png;                           ///< [cells, cells], logarithmic, from the top left
  double low[2] = {0, 0}, high[2] = {1, 1};  ///< ends of the axes
  std::vector<uint8_t> cell_of;              ///< [N, 2]: column, and row from the top, of each point
};
/// Points far outside (beyond the middle 99.6 % and a margin) are drawn at the rim.
DensityRaster density_raster(std::span<const float> plane);

/// Directions of view of rotation matrices [N, 9] in Mollweide's projection, where equal areas are equal: relative to
/// even views.
struct DirectionRaster {
  std::string png;  ///< [width / 2, width]
  int width = 0;
  double most = 0;  ///< the densest patch; even views: 1
};
DirectionRaster direction_raster(std::span<const float> matrices);

/// CSS gradient of the palette that both rasters use, from low to high.
std::string density_gradient();

}  // namespace recon
