#include <doctest/doctest.h>

#include <cstdlib>

#include "engine/data/dataset.h"
#include "engine/geometry/lattice.h"
#include "engine/geometry/rotation.h"
#include "engine/pose/search.h"
#include "io/mrc.h"
#include "tests/engine/density_source.h"
#include "tests/reference/files.h"

using namespace recon;
using namespace recon::reference;

namespace {

struct Poses {
  Buffer<float> matrices, shifts;
  Poses(Device& device, int64_t count) : matrices(device, count, 9), shifts(device, count, 2) {}
};

/// How many images have the same pose in both, to one step of the grid.
int64_t same_to_a_step(const Poses& a, const Poses& b, const PoseSearch& search) {
  const auto ra = a.matrices.download(), rb = b.matrices.download(), ta = a.shifts.download(), tb = b.shifts.download();
  const double step = search.final_shift_step_px() * 1.001;
  int64_t same = 0;
  for (size_t i = 0; i < ta.size() / 2; ++i) {
    Matrix3 x, y;
    std::copy_n(ra.begin() + static_cast<int64_t>(9 * i), 9, x.begin());
    std::copy_n(rb.begin() + static_cast<int64_t>(9 * i), 9, y.begin());
    // Neighbours in both of a rotation's parts, direction and angle, are the square root of two steps apart.
    same += rotation_angle_degrees(x, y) < 1.42 * search.final_angle_degrees() &&
            std::abs(double(ta[2 * i]) - tb[2 * i]) < step && std::abs(double(ta[2 * i + 1]) - tb[2 * i + 1]) < step;
  }
  return same;
}

}  // namespace

// RECON_TWIN_IMAGES=1000 for all of the set, minutes a core; RECON_TWIN_BAND for another band than what the images
// hold.
TEST_CASE("PoseSearch: noisy images of a real map, pruned by the noise bound, are given the exhaustive search's poses" *
          doctest::test_suite("slow")) {
  if (data_folder().empty()) {
    MESSAGE("reference data not found: skipped");
    return;
  }
  const auto number = [](const char* name, int otherwise) {
    const char* text = std::getenv(name);
    return text ? std::atoi(text) : otherwise;
  };
  const std::string folder = data_folder() / "ribo64";
  const auto device = Device::cpu(0);
  const Dataset data = prepare(*device, io::load_particles(folder + "/particles_snr0.1.star"), {.window = false});
  const int64_t count = std::min<int64_t>(data.count, number("RECON_TWIN_IMAGES", 16));
  DensitySource source(*device, io::read_volume(folder + "/gt_map64.mrc").data, data.side, data.scale);
  const View<const float> images = data.images.rows(0, count);
  const auto config = [&](Bound bound) {
    return SearchConfig{.base_level = 2,
                        .subdivisions = 1,
                        .shift_extent_px = 5,
                        .shift_grid = 7,
                        .band_max = double(number("RECON_TWIN_BAND", 20)),
                        .band_steps = 2,
                        .max_kept = 64,
                        .bound = bound,
                        .overlapping_shifts = false,
                        .chunk_images = 8};
  };
  const auto find = [&](Bound bound, SearchStatistics& did) {
    PoseSearch search(*device, config(bound), data.side, data.host_pixels, data.pixels.view());
    Poses found(*device, count);
    search.run(source, nullptr, images, {}, found.matrices.view(), found.shifts.view());
    did = search.statistics();
    return found;
  };
  SearchStatistics open_did, pruned_did;
  const Poses open = find(Bound::none, open_did), pruned = find(Bound::noise, pruned_did);
  PoseSearch search(*device, config(Bound::none), data.side, data.host_pixels, data.pixels.view());
  const Poses twin(*device, count);
  search.exhaustive(source, 3, 1, images, {}, twin.matrices.view(), twin.shifts.view());
  const auto& base = pruned_did.levels.at(0);
  const double left = double(base.below_bound) / double(base.competing);
  const int64_t as_open = same_to_a_step(pruned, open, search), as_twin = same_to_a_step(pruned, twin, search),
                open_as_twin = same_to_a_step(open, twin, search);
  MESSAGE("of " << count << ": pruned as open " << as_open << ", pruned as exhaustive " << as_twin
                << ", open as exhaustive " << open_as_twin << "; left after the base level " << 100 * left << " % of "
                << base.competing / count << " rotations; the cap bit for " << base.capped);
  CHECK(left < 0.1);
  CHECK(double(as_twin) >= 0.995 * double(count) - 1);
  CHECK(double(as_open) >= 0.995 * double(count) - 1);
}
