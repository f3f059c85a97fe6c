#include <doctest/doctest.h>

#include "bench/variants.h"
#include "tests/kernels/pose_case.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

/// Shifts in units of a whole part of the box, as a transform needs them, and no more than six turns: floats know a
/// phase to 2⁻²⁴ of its turns, which is to stay within what scores are allowed. Every other case shares its lists and
/// slices.
PoseCase variant_case(uint64_t number) {
  PoseCase c = random_pose_case(7000 + number);
  Draws draws(7100 + number);
  c.unit = float(c.problem.side) / float(draws.integer(36, 60));
  if (number % 2 == 0) return c;
  c.shared = c.slices_shared = true, c.lists = 1;
  c.nodes.resize(size_t(c.rotations)), c.moves.resize(size_t(c.shifts));
  c.rotation_count.resize(1), c.shift_count.resize(1);
  c.slices.resize(size_t(c.rotations) * c.problem.pixels.size());
  return c;
}

}  // namespace

TEST_CASE("Variants of pose scores are as far from the definition as rounding allows, and end at the lists' counts") {
  const auto device = test_device(2);
  const auto variants = bench::variants_of(*device).pose_score;
  CHECK(variants.size() > 3);
  for (const auto& variant : variants) {
    double worst = 0;
    int ran = 0;
    for (uint64_t number = 0; number < shapes(32); ++number) {
      const PoseCase c = variant_case(number);
      const PoseScoreOnDevice at(*device, c);
      const auto run = variant.prepare(*device, at.args);
      if (!run) continue;
      run();
      const auto first = at.scores.download();
      run();
      CHECK(at.scores.download() == first);
      const double roundoff = variant.precision == Precision::fp32 ? 0 : 2 * bench::roundoff(variant.precision);
      worst = std::max(worst, score_errors(c, first, roundoff).of_allowed);
      ++ran;
    }
    MESSAGE(variant.name << ": " << worst << " of what is allowed, " << ran << " cases");
    CHECK(ran >= int(shapes(32)) / 2);
    CHECK(worst < 1);
  }
}

TEST_CASE("The transform over shifts takes grids whose step divides the box, and no others") {
  const auto device = test_device(1);
  if (device->state_or_null()) return;
  for (const auto& variant : bench::variants_of(*device).pose_score) {
    if (variant.name != "FFT over shifts") continue;
    PoseCase c = variant_case(1);
    for (const double period : {7.0, 24.0, 24.5}) {
      c.unit = float(c.problem.side / period);
      const PoseScoreOnDevice at(*device, c);
      CHECK(bool(variant.prepare(*device, at.args)) == (period != 24.5));
    }
    return;
  }
  FAIL("no such variant");
}
