#include "engine/train/race.h"

#include <doctest/doctest.h>

#include "engine/analyze/align.h"
#include "engine/geometry/rotation.h"
#include "engine/train/health.h"
#include "tests/engine/small_runs.h"

using namespace recon;
using namespace recon::reference;

namespace {

constexpr size_t images = 300;

Matrix3 drawn(uint64_t i, uint32_t of = 0) {
  const Matrix3 r = random_rotation({of, Purpose::test}, i);
  return r;
}

std::vector<float> flat(const std::vector<Matrix3>& matrices) {
  std::vector<float> out;
  for (const Matrix3& m : matrices)
    for (const double v : m) out.push_back(static_cast<float>(v));
  return out;
}

/// What another start gives: all turned by Q and mirrored where asked, an image shown in one of `symmetry` ways about
/// the axis z of the first, off by 3 degrees, and every tenth one anywhere.
std::vector<Matrix3> other_start(const std::vector<Matrix3>& one, bool mirrored, int symmetry) {
  std::vector<Matrix3> out;
  for (size_t i = 0; i < one.size(); ++i) {
    const Matrix3 axis = drawn(i, 3);
    const Matrix3 turn = axis_angle_to_matrix({0, 0, 1}, 360.0 / symmetry * double(i % size_t(symmetry)) * degree);
    const Matrix3 off = axis_angle_to_matrix({axis[0], axis[1], axis[2]}, 3 * degree);
    const Matrix3 found = multiply(multiply(off, multiply(one[i], turn)), drawn(77));
    out.push_back(i % 10 == 0 ? drawn(i, 9) : aligned_rotation(found, {.flipped = mirrored}));
  }
  return out;
}

}  // namespace

TEST_CASE("Race: starts agree whatever their frame, hand and choice among symmetric views, and by chance they do not") {
  std::vector<Matrix3> one, elsewhere;
  for (size_t i = 0; i < images; ++i) one.push_back(drawn(i)), elsewhere.push_back(drawn(i, 5));
  for (const bool mirrored : {false, true})
    for (const int symmetry : {1, 7, 24}) {
      const double part = orientation_agreement(flat(one), flat(other_start(one, mirrored, symmetry)));
      CAPTURE(mirrored);
      CAPTURE(symmetry);
      CHECK(part > 0.88);
      CHECK(part <= 0.91);
    }
  CHECK(orientation_agreement(flat(one), flat(elsewhere)) < 0.02);
  CHECK(orientation_agreement(flat(one), flat(one)) == 1);
}

TEST_CASE("Race: of two starts that agree the better goes on, though another has a lower loss") {
  std::vector<Matrix3> one, wrong;
  for (size_t i = 0; i < images; ++i) one.push_back(drawn(i)), wrong.push_back(drawn(i, 5));
  Race race;
  race.losses = {0.95, 0.90};
  race.compare(0, 1, flat(one), flat(wrong));
  CHECK_FALSE(race.agreed());
  CHECK(race.winner() == 1);
  race.losses.push_back(0.94);
  race.compare(1, 2, flat(wrong), flat(other_start(one, true, 1)));
  CHECK_FALSE(race.agreed());
  race.compare(0, 2, flat(one), flat(other_start(one, true, 1)));
  CHECK(race.agreed());
  CHECK(race.pair == std::vector<int>{0, 2});
  CHECK(race.winner() == 2);
}

TEST_CASE("Health: random starts of which no two agree are told, others and a single one are not") {
  Race race{.losses = {0.95, 0.90}, .pair = {0, 1}, .agreement = 0.3};
  REQUIRE(judge_race(race));
  CHECK(judge_race(race)->text.find("no two of 2 random starts agree") != std::string::npos);
  race.agreement = 0.9;
  CHECK_FALSE(judge_race(race));
  CHECK_FALSE(judge_race({.losses = {0.9}}));
}

TEST_CASE("Trainer: while poses turn the search waits at its band and its rate, and the run is longer by as much") {
  const auto device = Device::cpu(2);
  const Dataset data = random_images(*device, 16, 24, false);
  TrainConfig config = config_for(PoseMode::search, LatentSource::none);
  config.epochs = 6, config.search_epochs = 3, config.race_epochs = 1, config.final_learning_rate = 0.1;
  config.band_start = 5, config.band_hold_epochs = 1, config.band_epochs = 1;
  const auto rates_of = [&](double settled_degrees) {
    config.settled_degrees = settled_degrees, config.settle_epochs = 2;
    Trainer trainer(*device, data, config);
    std::vector<std::string> told;
    while (trainer.step_group())
      if (trainer.epoch_finished()) {
        const EpochReport& r = trainer.report();
        told.push_back(r.stage + " " + std::to_string(r.band));
        if (r.epoch <= trainer.config().race_epochs) CHECK(r.learning_rate == config.learning_rate);
      }
    return told;
  };
  std::vector<std::string> settled = rates_of(180), waited = rates_of(1e-9);
  REQUIRE(settled.size() == 6);
  REQUIRE(waited.size() == 8);
  CHECK(settled[1] == "pose search " + std::to_string(5.0));
  settled.insert(settled.begin() + 1, 2, settled[1]);
  CHECK(waited == settled);
  config.search_every = 2, config.race_epochs = 2;  // a race does not end with an epoch that kept the poses
  CHECK(rates_of(180).size() == 7);
}
