#include <doctest/doctest.h>

#include "engine/geometry/lattice.h"
#include "engine/geometry/rotation.h"
#include "engine/pose/search.h"
#include "engine/simulate/simulate.h"
#include "tests/engine/density_source.h"
#include "tests/reference/compare.h"
#include "tests/reference/shapes.h"

using namespace recon;
using namespace recon::reference;

namespace {

constexpr int side = 32, count = 60;

/// Slices at random rotations, and noise.
std::vector<float> noisy_images(Device& device, SliceSource& source, View<const Pixel> pixels, double snr) {
  std::vector<float> rotations;
  for (uint64_t i = 0; i < count; ++i)
    for (const double v : random_rotation({3, Purpose::test}, i)) rotations.push_back(static_cast<float>(v));
  const Buffer<float> matrices = on_device(device, rotations, count, 9), images(device, count, pixels.size());
  source.slices(pixels, matrices.view(), {}, {}, images.view());
  auto noisy = images.download();
  double power = 0;
  for (const float v : noisy) power += double(v) * v / double(noisy.size());
  Draws draws(4);
  for (float& v : noisy) v += static_cast<float>(std::sqrt(power / snr)) * draws.normal();
  return noisy;
}

struct Found {
  std::vector<float> matrices;
  double left = 0;  ///< part of the rotations below the bound after the base level
};

}  // namespace

TEST_CASE("PoseSearch: on noise the paper's bound drops little, the noise bound most rotations and next to no pose") {
  const auto device = Device::cpu(2);
  const auto host = circular_pixels(side, side / 2);
  const Buffer<Pixel> pixels = on_device(*device, host);
  DensitySource source(*device, model_volume(*device, one_bond_complex(side), 0.5), side);
  const Buffer<float> images =
      on_device(*device, noisy_images(*device, source, pixels.view(), 0.3), count, pixels.size());
  const auto found = [&](Bound bound) {
    PoseSearch search(*device,
                      {.base_level = 1,
                       .subdivisions = 2,
                       .shift_extent_px = 1,
                       .shift_grid = 3,
                       .band_min = 8,
                       .band_steps = 3,
                       .max_kept = 64,
                       .bound = bound,
                       .chunk_images = 8},
                      side, host, pixels.view());
    const Buffer<float> matrices(*device, count, 9), shifts(*device, count, 2);
    search.run(source, nullptr, images.view(), {}, matrices.view(), shifts.view());
    const auto base = search.statistics().levels.at(0);
    return Found{matrices.download(), double(base.below_bound) / double(base.competing)};
  };
  const Found open = found(Bound::none), paper = found(Bound::paper), noise = found(Bound::noise);
  int same = 0;
  for (int64_t i = 0; i < count; ++i) {
    Matrix3 a, b;
    std::copy_n(open.matrices.begin() + 9 * i, 9, a.begin());
    std::copy_n(noise.matrices.begin() + 9 * i, 9, b.begin());
    same += rotation_angle_degrees(a, b) < 0.1;
  }
  MESSAGE("left after the base level: paper " << paper.left << ", noise " << noise.left << "; the same pose for "
                                              << same << " of " << count);
  CHECK(paper.left > 0.9);
  CHECK(noise.left < 0.3);
  CHECK(same >= count - 4);
}

TEST_CASE("PoseSearch: the noise bound is refused where images have slices of their own") {
  class Own : public SliceSource {
   public:
    void slices(View<const Pixel>, View<const float>, View<const int32_t>, View<const int32_t>, View<float>) override {}
    bool shared() const override { return false; }
  } source;
  const auto device = Device::cpu(1);
  const auto host = circular_pixels(16, 8);
  const Buffer<Pixel> pixels = on_device(*device, host);
  PoseSearch search(*device, {.band_min = 4, .bound = Bound::noise, .chunk_images = 2}, 16, host, pixels.view());
  const Buffer<float> images(*device, 1, pixels.size()), matrices(*device, 1, 9), shifts(*device, 1, 2);
  images.zero();
  CHECK_THROWS_AS(search.run(source, nullptr, images.view(), {}, matrices.view(), shifts.view()), ContractError);
}
