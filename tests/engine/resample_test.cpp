#include "engine/data/resample.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "engine/analyze/mask.h"
#include "engine/analyze/view_script.h"
#include "tests/reference/test_device.h"

using namespace recon;

namespace {

/// cos(2π (3x + 2y) / D + 0.4) + 5, origin at D/2, on a grid of `side` pixels over the same field of view.
std::vector<float> wave(int side, int depth) {
  std::vector<float> out;
  for (int z = 0; z < depth; ++z)
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x) {
        const double along = 3 * (x - side / 2) + 2 * (y - side / 2) + (depth > 1 ? z - depth / 2 : 0);
        out.push_back(static_cast<float>(5 + std::cos(2 * std::numbers::pi * along / side + 0.4)));
      }
  return out;
}

}  // namespace

TEST_CASE("a smaller box shows the same field of view: a wave within its band is the same wave") {
  const auto device = reference::test_device();
  for (const int smaller : {8, 10, 16}) {
    const auto image = crop_images(*device, wave(16, 1), 16, smaller), expected = wave(smaller, 1);
    const auto map = crop_map(*device, wave(16, 16), 16, smaller), expected_map = wave(smaller, smaller);
    REQUIRE(image.size() == expected.size());
    REQUIRE(map.size() == expected_map.size());
    for (size_t i = 0; i < image.size(); ++i) CHECK(image[i] == doctest::Approx(expected[i]).epsilon(1e-5));
    for (size_t i = 0; i < map.size(); ++i) CHECK(map[i] == doctest::Approx(expected_map[i]).epsilon(1e-5));
  }
}

TEST_CASE("the mirror image of a map keeps its centre and is its own inverse") {
  const auto map = wave(8, 8), flipped = mirrored(map, 8);
  CHECK(flipped != map);
  CHECK(mirrored(flipped, 8) == map);
  for (int i = 0; i < 64; ++i) CHECK(flipped[size_t(4 * 64 + i)] == map[size_t(4 * 64 + i)]);
}

TEST_CASE("a soft mask falls along a cosine of the distance to the nearest dense voxel") {
  constexpr int side = 9;
  std::vector<float> map(side * side * side, 0.0f);
  const std::array<std::array<int, 3>, 3> dense = {{{1, 2, 3}, {7, 7, 0}, {1, 3, 3}}};
  for (const auto& [z, y, x] : dense) map[size_t((z * side + y) * side + x)] = 2;
  const auto mask = soft_mask(map, side, 1, 1.5, 3);
  for (int z = 0; z < side; ++z)
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x) {
        double away = 1e9;
        for (const auto& d : dense) away = std::min(away, std::hypot(z - d[0], y - d[1], x - d[2]));
        const double part = std::clamp((away - 1.5) / 3, 0.0, 1.0);
        CHECK(mask[size_t((z * side + y) * side + x)] ==
              doctest::Approx(0.5 + 0.5 * std::cos(std::numbers::pi * part)).epsilon(1e-5));
      }
  for (const float v : soft_mask(map, side, 3, 2, 2)) CHECK(v == 0);
  CHECK(usual_threshold(std::vector<float>(100, 4.0f)) == 2);
}

TEST_CASE("the ChimeraX script opens several maps as a series and tells the pixel size where it is known") {
  const std::string many = chimerax_script({"a.mrc", "b.mrc"}, 0.5, 1.25), one = chimerax_script({"a.mrc"}, 0.5, 0);
  CHECK(many.find("open a.mrc b.mrc vseries true\n") != std::string::npos);
  CHECK(many.find("level 0.5 ") != std::string::npos);
  CHECK(many.find("voxelSize 1.25\n") != std::string::npos);
  CHECK(one.find("open a.mrc\n") != std::string::npos);
  CHECK(one.find("vseries") == std::string::npos);
  CHECK(one.find("voxelSize") == std::string::npos);
}
