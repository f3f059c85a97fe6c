// Conformance: what the dialect's shims mean, in plain arithmetic. One program runs this on the emulator, another on
// the hardware; where both pass, the emulator's meaning is the hardware's.
#include "tests/simt/shims/shims.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <numbers>

#include "tests/reference/compare.h"

using namespace recon;
using namespace recon::cuda::shims;
using recon::reference::Draws;

namespace {

struct Format {
  int fraction_bits, smallest_exponent, bias;
  double largest;
};
Format format_of(Half half) {
  return half == Half::bf16 ? Format{7, -126, 127, 3.3895313892515355e38} : Format{10, -14, 15, 65504.0};
}

/// x to nearest even, by the definition: a multiple of the unit of its binade, or infinite.
double rounded(Half half, double x) {
  const Format f = format_of(half);
  if (x == 0 || std::isinf(x)) return x;
  const double unit = std::ldexp(1.0, std::max(std::ilogb(x), f.smallest_exponent) - f.fraction_bits);
  const double nearest = std::nearbyint(x / unit) * unit;
  return std::abs(nearest) > f.largest ? std::copysign(INFINITY, x) : nearest;
}

uint16_t bits_of(Half half, double x) {
  const Format f = format_of(half);
  const uint32_t sign = std::signbit(x) ? 0x8000u : 0;
  if (std::isinf(x)) return static_cast<uint16_t>(sign | ((2u * static_cast<uint32_t>(f.bias) + 1) << f.fraction_bits));
  if (x == 0) return static_cast<uint16_t>(sign);
  const int exponent = std::max(std::ilogb(x), f.smallest_exponent);
  const double fraction = std::ldexp(std::abs(x), f.fraction_bits - exponent);  // with the leading bit
  const auto digits = static_cast<uint32_t>(fraction), leading = uint32_t{1} << f.fraction_bits;
  if (digits < leading) return static_cast<uint16_t>(sign | digits);
  return static_cast<uint16_t>(sign | (static_cast<uint32_t>(exponent + f.bias) << f.fraction_bits) |
                               (digits - leading));
}

std::vector<float> values_of_all_sizes() {
  std::vector<float> values = {0.0f, -0.0f, 1.0f, -1.0f, 65504.0f, 65519.9f, 65520.0f, 1e30f, -1e30f, INFINITY};
  Draws draws(1);
  for (int exponent = -30; exponent <= 20; ++exponent)
    for (int i = 0; i < 20; ++i) values.push_back(std::ldexp(static_cast<float>(draws.uniform(-2, 2)), exponent));
  for (int i = 0; i < 64; ++i) {  // exactly between two neighbours of either format
    values.push_back(1.0f + std::ldexp(static_cast<float>(2 * i + 1), -8));
    values.push_back(1.0f + std::ldexp(static_cast<float>(2 * i + 1), -11));
  }
  return values;
}

const auto device = [] { return Device::cuda(0); };

}  // namespace

TEST_CASE("Shims: numbers are rounded to 16 bits to nearest even, and widened exactly") {
  const auto d = device();
  const auto values = values_of_all_sizes();
  for (const Half half : {Half::bf16, Half::fp16}) {
    const Rounded got = round_values(*d, half, values);
    for (size_t i = 0; i < values.size(); ++i) {
      const double expected = rounded(half, double(values[i]));
      CAPTURE(values[i]);
      CHECK(got.plain[i] == bits_of(half, expected));
      CHECK((got.relu[i] & 0x7fff) == (values[i] > 0 ? bits_of(half, expected) : 0));
      CHECK(double(got.widened[i]) == expected);
    }
  }
}

// Small whole numbers are exact in both formats and their sums in floats.
TEST_CASE("Shims: mma adds the product of its operands") {
  const auto d = device();
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Draws draws(seed);
    std::vector<float> a, b, c;
    for (int i = 0; i < 256; ++i) a.push_back(static_cast<float>(draws.integer(-9, 9)));
    for (int i = 0; i < 128; ++i) b.push_back(static_cast<float>(draws.integer(-9, 9)));
    for (int i = 0; i < 128; ++i) c.push_back(static_cast<float>(draws.integer(-999, 999)));
    std::vector<float> expected = c;
    for (size_t i = 0; i < 16; ++i)
      for (size_t j = 0; j < 8; ++j)
        for (size_t k = 0; k < 16; ++k) expected[8 * i + j] += a[16 * i + k] * b[8 * k + j];
    CHECK(multiply(*d, Half::bf16, a, b, c) == expected);
    CHECK(multiply(*d, Half::fp16, a, b, c) == expected);
  }
}

TEST_CASE("Shims: a warpgroup's products add up to the product of its 64 rows with the core matrices") {
  const auto d = device();
  constexpr size_t inner = 48, columns = 128;
  for (const Half half : {Half::bf16, Half::fp16}) {
    Draws draws(3);
    std::vector<float> a, b, first, all;
    for (size_t i = 0; i < 64 * inner; ++i) a.push_back(static_cast<float>(draws.integer(-9, 9)));
    for (size_t i = 0; i < inner * columns; ++i) b.push_back(static_cast<float>(draws.integer(-9, 9)));
    for (size_t i = 0; i < 64 * columns; ++i) {
      float sum = static_cast<float>(i % columns / 8);
      for (size_t k = 0; k < inner; ++k) {
        sum += a[inner * (i / columns) + k] * b[columns * k + i % columns];
        if (k == 15) first.push_back(sum);
      }
      all.push_back(sum);
    }
    const WarpgroupSums got = multiply_warpgroup(*d, half, a, b);
    if (got.all.empty()) {
      MESSAGE("skipped: this device has no products of warpgroups");
      return;
    }
    CHECK(got.first == first);
    CHECK(got.all == all);
  }
}

TEST_CASE("Shims: load_matrices gives each lane its elements, straight and transposed") {
  const auto d = device();
  std::vector<uint16_t> matrices;
  for (int i = 0; i < 256; ++i) matrices.push_back(static_cast<uint16_t>(1000 + 7 * i));
  for (const bool transposed : {false, true}) {
    const auto got = load(*d, transposed, matrices);
    for (size_t lane = 0; lane < 32; ++lane)
      for (size_t i = 0; i < 4; ++i) {
        const size_t g = lane / 4, t = lane % 4, one = transposed ? 8 * (2 * t) + g : 8 * g + 2 * t,
                     other = transposed ? one + 8 : one + 1;
        CHECK(got[4 * lane + i] == (uint32_t{matrices[64 * i + one]} | uint32_t{matrices[64 * i + other]} << 16));
      }
  }
}

TEST_CASE("Shims: asynchronous copies have arrived once their wait is over") {
  const auto d = device();
  Draws draws(5);
  std::vector<float> rows;
  for (int i = 0; i < 9 * 256; ++i) rows.push_back(static_cast<float>(draws.integer(-50, 50)));
  const auto got = stream(*d, rows);
  REQUIRE(got.size() == 9);
  for (size_t row = 0; row < 9; ++row) {
    float sum = 0;
    for (size_t i = 0; i < 256; ++i) sum += rows[256 * row + i];
    CHECK(got[row] == sum);
  }
}

TEST_CASE("Shims: shuffles, ballots and sums reach the lanes they name") {
  const auto d = device();
  Draws draws(6);
  std::vector<float> values;
  for (int i = 0; i < 128; ++i) values.push_back(static_cast<float>(draws.integer(-100, 100)));
  const auto got = exchange(*d, values);
  float all = 0;
  for (const float v : values) all += v;
  for (size_t t = 0; t < 128; ++t) {
    const size_t warp = t / 32 * 32, lane = t % 32;
    uint32_t ballot = 0;
    float sum = 0;
    for (size_t i = 0; i < 32; ++i) {
      ballot |= uint32_t{values[warp + i] > 0} << i;
      sum += values[warp + i];
    }
    CHECK(got[t] == values[warp + (3 * lane + 1) % 32]);
    CHECK(got[128 + t] == values[warp + (lane ^ 5)]);
    CHECK(got[256 + t] == values[warp + (lane + 3 < 32 ? lane + 3 : lane)]);
    CHECK(std::bit_cast<uint32_t>(got[384 + t]) == ballot);
    CHECK(got[512 + t] == sum);
    CHECK(got[640 + t] == all);
  }
}

TEST_CASE("Shims: behind a barrier of the grid, blocks see what the others wrote before it") {
  const auto d = device();
  Draws draws(8);
  for (const int rounds : {1, 40}) {
    std::vector<float> numbers;
    for (int i = 0; i < 3 * 64; ++i) numbers.push_back(static_cast<float>(draws.integer(-9, 9)));
    std::vector<float> expected = numbers;
    for (int round = 0; round < rounds; ++round) {
      const std::vector<float> before = expected;
      for (size_t i = 0; i < 3 * 64; ++i) expected[i] += before[(i / 64 + 1) % 3 * 64 + (i + 1) % 64];
    }
    CHECK(pass_on(*d, numbers, rounds) == expected);
  }
}

// The argument is a float: what it stands for is exact. Errors as their comments in kernels/ promise them.
TEST_CASE("Shims: sines of turns are as near as they promise") {
  const auto d = device();
  Draws draws(7);
  std::vector<float> turns = {0.0f, 0.25f, 0.5f, -0.25f, 1.0f, 1000.125f};
  for (int i = 0; i < 500; ++i) turns.push_back(static_cast<float>(draws.uniform(-100, 100)));
  const auto got = sines(*d, turns);
  const size_t n = turns.size();
  const double limits[3] = {1.3e-7, 6e-7, 2.1e-7};
  for (size_t kind = 0; kind < 3; ++kind) {
    double worst = 0;
    for (size_t i = 0; i < n; ++i) {
      const double angle = 2 * std::numbers::pi * std::remainder(double(turns[i]), 1.0);
      worst = std::max({worst, std::abs(double(got[2 * kind * n + i]) - std::sin(angle)),
                        std::abs(double(got[(2 * kind + 1) * n + i]) - std::cos(angle))});
    }
    MESSAGE("function " << kind << ": " << worst);
    CHECK(worst < limits[kind]);
  }
}

// The tails use log and sqrt of the machine's library: a last bit may differ there.
TEST_CASE("Shims: random normal numbers are the host's, bit for bit in the middle") {
  const auto d = device();
  const auto got = normals(*d, 42, 4000);
  const Philox philox{42, Purpose::test};
  for (size_t i = 0; i < got.size(); ++i) {
    const float expected = normal_from(philox.draw(i, 7).v[i % 4]);
    if (std::abs(expected) < 1.4f)
      CHECK(got[i] == expected);
    else
      CHECK(std::abs(got[i] - expected) <= 4e-7f * std::abs(expected));
  }
}
