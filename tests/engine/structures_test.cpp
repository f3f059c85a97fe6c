#include "engine/analyze/structures.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numbers>

#include "engine/analyze/fsc.h"
#include "engine/analyze/transform.h"
#include "engine/simulate/truth.h"
#include "io/mrc.h"
#include "io/npy.h"
#include "tests/io/support.h"

using namespace recon;

namespace {

constexpr int side = 32;
constexpr double degree = std::numbers::pi / 180;
const Alignment made{.rotation = random_rotation({12, Purpose::test}, 1), .flipped = true, .offset_px = {0.6, 1, -0.4}};

Alignment turned(Alignment alignment, double degrees) {
  alignment.rotation = multiply(alignment.rotation, axis_angle_to_matrix({1, 2, -1}, degrees * degree));
  return alignment;
}

/// The molecule at five states, in a run's frame of the other hand and in the truth's.
std::vector<StructurePair> pairs_in_two_frames(Device& device) {
  std::vector<StructurePair> pairs;
  for (const double state : {0.1, 0.3, 0.5, 0.7, 0.9}) {
    const auto map = model_volume(device, one_bond_complex(side), state);
    pairs.push_back({.found = map, .truth = transform_volume(device, map, side, made)});
  }
  return pairs;
}

bool reaches_nyquist(const std::vector<double>& curve) { return resolution_px(curve, 0.5) == 2; }

}  // namespace

TEST_CASE("compare structures: a run that is the truth in another frame reaches Nyquist" *
          doctest::test_suite("slow")) {
  const auto device = Device::cpu(2);
  auto pairs = pairs_in_two_frames(*device);
  const StructureErrors errors = compare_structures(*device, pairs, side, turned(made, 3));
  CHECK(std::all_of(errors.curves.begin(), errors.curves.end(), reaches_nyquist));
  CHECK(mean_correlation(errors.mean_curve) > 0.99);
  CHECK(rotation_angle_degrees(errors.alignment.rotation, made.rotation) < 0.2);

  std::swap(pairs[0].found, pairs[4].found);  // another conformation is told from the true one
  const auto swapped = compare_structures(*device, pairs, side, made).curves;
  MESSAGE("mean FSC of the same conformation " << mean_correlation(swapped[2]) << ", of others "
                                               << mean_correlation(swapped[0]) << ", " << mean_correlation(swapped[4]));
  CHECK(mean_correlation(swapped[2]) > 0.99);
  CHECK(mean_correlation(swapped[0]) < 0.95);
  CHECK(mean_correlation(swapped[4]) < 0.95);
}

TEST_CASE("compare structures: a conformation in a frame of its own agrees only when each is aligned" *
          doctest::test_suite("slow")) {
  const auto device = Device::cpu(2);
  auto pairs = pairs_in_two_frames(*device);
  pairs[3].truth = transform_volume(*device, pairs[3].found, side, turned(made, 8));
  const auto once = compare_structures(*device, pairs, side, made).curves;
  CHECK(reaches_nyquist(once[0]));
  CHECK(!reaches_nyquist(once[3]));
  const auto each = compare_structures(*device, pairs, side, made, {}, true).curves;
  CHECK(std::all_of(each.begin(), each.end(), reaches_nyquist));
}

TEST_CASE("compare structures: what a mask leaves out does not count") {
  const auto device = Device::cpu(2);
  auto pairs = pairs_in_two_frames(*device);
  const size_t corner = 5 * side * side + 5 * side + 5;
  for (auto& pair : pairs) pair.truth[corner] += 10 * *std::max_element(pair.truth.begin(), pair.truth.end());
  std::vector<float> mask(pairs[0].truth.size(), 1.0f);
  apply_soft_sphere(mask, side, 14, 2);
  CHECK(!reaches_nyquist(compare_structures(*device, pairs, side, made).curves[0]));
  CHECK(mean_correlation(compare_structures(*device, pairs, side, made, mask).mean_curve) > 0.99);
}

TEST_CASE("images are spread over a coordinate: the middles of equal parts, in ascending order") {
  const std::vector<double> values = {0.9, 0.1, 0.5, 0.3, 0.7, 0.2};
  CHECK(spread_over(values, 3) == std::vector<size_t>{5, 2, 0});
  CHECK(spread_over(values, 1) == std::vector<size_t>{2});
  CHECK(spread_over(values, 9) == std::vector<size_t>{1, 5, 3, 2, 4, 0});
}

TEST_CASE("a simulated truth gives the map of any state of a model, and of maps only the states that were projected") {
  const auto device = Device::cpu(2);
  const test::TempDir folder;
  const GaussianModel model = one_bond_complex(16);
  io::write_npy<double>(folder / "states.npy", {0.25, 1, 0}, {3});
  test::spit(folder / "truth.json", R"({"truth_volume_states": [0, 1]})");
  for (const int k : {0, 1})
    io::write_volume(folder / ("state_00" + std::to_string(k) + ".mrc"), model_volume(*device, model, k), 16, 3);
  const SimulatedTruth maps(folder.path());
  CHECK(maps.side() == 16);
  CHECK(maps.states() == std::vector<double>{0.25, 1, 0});
  CHECK(maps.map(*device, 1) == model_volume(*device, model, 1));
  CHECK_THROWS_AS(maps.map(*device, 0.25), io::InputError);
  test::spit(folder / "model.json", model_to_json(model));
  CHECK(SimulatedTruth(folder.path()).map(*device, 0.25) == model_volume(*device, model, 0.25));
  test::spit(folder / "truth.json", "{}");
  CHECK_THROWS_AS(SimulatedTruth(folder.path()), io::InputError);
}
