#include <doctest/doctest.h>

#include "bench/variants.h"
#include "tests/reference/slice_case.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

TEST_CASE("Variants of slices match the double reference within their tolerances, and leave skipped slices alone") {
  const auto device = test_device(2);
  const auto variants = bench::variants_of(*device).slices;
  CHECK(!variants.empty());
  for (const auto& variant : variants) {
    double squares = 0, norms = 0;
    for (uint64_t number = 0; number < shapes(80); ++number) {
      const LatticeCase c = random_lattice_case(4000 + number);
      const LatticeOnDevice at(*device, c);
      const auto run = variant.prepare(*device, at.args);
      run();
      const auto first = at.values.download();
      run();
      CHECK(at.values.download() == first);
      const Values expected = expected_samples(c);
      for (size_t i = 0; i < first.size(); ++i) {
        if (expected[i] == double(untouched_value)) {
          CHECK(first[i] == untouched_value);
          continue;
        }
        squares += std::pow(double(first[i]) - expected[i], 2), norms += expected[i] * expected[i];
      }
    }
    const double error = std::sqrt(squares / norms);
    MESSAGE(variant.name << ": " << error);
    CHECK(error < variant.tolerance);
  }
}
