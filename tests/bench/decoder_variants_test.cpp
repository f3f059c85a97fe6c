#include <doctest/doctest.h>

#include "bench/variants.h"
#include "tests/reference/decoder_case.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

/// Width 128, which all variants take. The last one has more tiles than an emulated device has blocks.
DecoderCase variant_case(uint64_t seed, bool many) {
  Draws draws(700 + seed);
  DecoderCase c;
  DecoderShape& s = c.problem.shape;
  s = {.features = draws.integer(1, 150), .latent = seed < 2 ? 0 : draws.integer(0, 3), .width = 128};
  s.layers = draws.integer(0, bench::checked_layers), s.outputs = 1 + int(seed % 2), s.residual = seed / 2 % 2 == 0;
  if (many) s.features = 10, s.layers = 1;
  fill(draws, c, many ? 4 : draws.integer(1, 3), many ? 300 : draws.integer(1, 90));
  return c;
}

}  // namespace

TEST_CASE(
    "Variants of the decoder match the double reference within their tolerances, and leave skipped slices alone") {
  const auto device = test_device(2);
  const auto variants = bench::variants_of(*device).decode;
  CHECK(variants.size() > 2);
  std::vector<double> squares(variants.size(), 0.0), norms(variants.size(), 0.0);
  for (uint64_t seed = 0; seed < 7; ++seed) {
    const DecoderCase c = variant_case(seed, seed == 6);
    Pattern ignored;
    const Values expected = reference::decode(c.problem, ignored);
    for (size_t i = 0; i < variants.size(); ++i) {
      const DecoderOnDevice at(*device, c.problem);  // its values are 0, as those of skipped slices stay
      const auto run = variants[i].prepare(*device, at.args);
      if (!run) continue;
      run();
      const auto first = at.values.download();
      run();
      CHECK(at.values.download() == first);
      for (size_t j = 0; j < first.size(); ++j)
        squares[i] += std::pow(double(first[j]) - expected[j], 2), norms[i] += expected[j] * expected[j];
      if (c.problem.active.empty()) continue;
      for (size_t j = 0; j < first.size(); ++j)
        if (c.problem.active[j / c.problem.pixels.size()] == 0) CHECK(first[j] == 0);
    }
  }
  for (size_t i = 0; i < variants.size(); ++i) {
    CHECK(norms[i] > 0);
    const double error = std::sqrt(squares[i] / norms[i]);
    MESSAGE(variants[i].name << ": " << error);
    CHECK(error < variants[i].tolerance);
  }
}
