#include <doctest/doctest.h>

#include <algorithm>
#include <iterator>

#include "bench/variants.h"
#include "tests/reference/decoder_case.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

struct StepsCase {
  DecoderShape shape;
  int steps, batch, pairs;
};

/// On the emulated device, which has three multiprocessors: tiles of 128 rows or, where these would be fewer, of 64.
const StepsCase step_cases[] = {
    {{.features = 70, .layers = 2, .outputs = 2, .residual = true}, 3, 2, 100},  // four tiles of 64
    {{.features = 5, .layers = 1, .outputs = 1, .residual = false}, 2, 1, 20},   // one tile
    {{.features = 12, .layers = 2, .outputs = 2, .residual = false}, 2, 5, 60},  // five tiles of 128
    {{.features = 3, .layers = 0, .outputs = 2, .residual = true}, 3, 7, 129},   // fourteen, six at a time
};

struct After {
  std::vector<std::vector<float>> arrays;  // parameters, gradients, first and second moments, losses
  uint64_t launches = 0;
};

After after(Device& device, const bench::Variant<DecoderSteps>& variant, const StepsCase& c, uint64_t seed) {
  Draws draws(seed);
  SliceProblem p{.shape = c.shape, .side = 16};
  const int slices = c.steps * c.batch;
  p.pixels = random_pixels(draws, p.side, c.pairs);
  p.frequencies = draws.wide_normals(3 * p.shape.features, 2);
  p.parameters = random_parameters(draws, p.shape);
  p.rotations = widen(random_rotations(draws, slices));
  DecoderOnDevice at(device, p);
  const auto pixels = static_cast<int64_t>(p.pixels.size()), count = p.shape.parameter_count();
  const Buffer<float> targets = on_device(device, draws.normals(slices * pixels), slices, pixels);
  const Buffer<float> losses(device, 1, slices), gradients(device, 1, count), first(device, 1, count),
      second(device, 1, count);
  const auto reset = [&] {
    at.parameters.upload(narrow(p.parameters));
    gradients.zero(), first.zero(), second.zero();
  };
  reset();
  const auto run = variant.prepare(device, {.steps = c.steps,
                                            .net = at.args.net,
                                            .pixels = at.args.pixels,
                                            .rotations = at.args.rotations,
                                            .targets = targets.view(),
                                            .losses = losses.view(),
                                            .adam = {.parameters = at.parameters.view(),
                                                     .gradients = gradients.view(),
                                                     .first_moments = first.view(),
                                                     .second_moments = second.view(),
                                                     .learning_rate = 1e-2f,
                                                     .step = int64_t{3}},
                                            .side = p.side});
  REQUIRE(run);
  reset();
  const auto launches = [&] { return device.state_or_null() ? device.state_or_null()->launches() : 0; };
  const uint64_t before = launches();
  run();
  const uint64_t started = launches() - before;
  return {{at.parameters.download(), gradients.download(), first.download(), second.download(), losses.download()},
          started};
}

}  // namespace

TEST_CASE("Variants of small steps leave the same bits") {
  const auto device = test_device(2);
  const auto variants = bench::variants_of(*device).steps;
  const bool cuda = device->state_or_null() != nullptr;
  CHECK(variants.size() == (cuda ? 3 : 1));
  for (uint64_t number = 0; number < shapes(std::size(step_cases)); ++number) {
    const StepsCase& c = step_cases[number];
    const uint64_t seed = 900 + number;
    const After one_by_one = after(*device, variants.front(), c, seed);
    CHECK(one_by_one.arrays[1] == std::vector<float>(one_by_one.arrays[1].size()));
    for (const bench::Variant<DecoderSteps>& variant : variants) {
      INFO(variant.name << ", " << c.batch << " slices of " << c.pairs << " pairs");
      const After other = after(*device, variant, c, seed);
      CHECK(other.arrays == one_by_one.arrays);
      for (const std::vector<float>& array : other.arrays)
        CHECK(std::all_of(array.begin(), array.end(), [](float v) { return std::isfinite(v); }));
      if (variant.name == "one kernel") CHECK(other.launches == 1);
      if (variant.name == "recorded") CHECK(other.launches == 0);
    }
    if (cuda) CHECK(one_by_one.launches >= 7 * uint64_t(c.steps));  // two more a step for each further chunk of tiles
    if (cuda && number == 0) CHECK(one_by_one.launches == 7 * uint64_t(c.steps));
  }
}
