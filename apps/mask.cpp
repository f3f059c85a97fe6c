#include "engine/analyze/mask.h"

#include <numeric>

#include "apps/options.h"
#include "io/mrc.h"

namespace recon::apps {

int run_mask(const MaskCommand& options) {
  const io::Volume map = io::read_volume(options.map);
  double unit = 1;  // voxels a given length
  if (options.angstrom) {
    const double pixel_size = options.pixel_size_angstrom.value_or(map.pixel_size_angstrom);
    if (!(pixel_size > 0))
      throw io::InputError({.file = options.map,
                            .field = "CELLA",
                            .problem = "the map does not say its pixel size",
                            .repair = "give --apix, or lengths in voxels"});
    unit = 1 / pixel_size;
  }
  const double threshold = options.threshold.value_or(usual_threshold(map.data));
  const auto mask = soft_mask(map.data, map.side, threshold, options.dilation * unit, options.edge * unit);
  const double inside = std::accumulate(mask.begin(), mask.end(), 0.0) / static_cast<double>(mask.size());
  if (inside == 0)
    throw io::InputError({.file = options.map,
                          .field = "--threshold",
                          .value = std::to_string(threshold),
                          .problem = "no voxel lies above it",
                          .repair = "give a lower threshold; reconstruct validate tells the map's range"});
  io::write_volume(options.output, mask, map.side, options.pixel_size_angstrom.value_or(map.pixel_size_angstrom));
  if (inside > 0.5) print_warning("the mask keeps more than half of the box: is the threshold too low?", options.json);
  print_result({{"mask", options.output}, {"threshold", threshold}, {"part_of_box", inside}}, options.json);
  return io::ok;
}

}  // namespace recon::apps
