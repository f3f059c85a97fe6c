#include "kernels/slice/slice.h"

#include <doctest/doctest.h>

#include <numbers>

#include "kernels/slice/volume_points.h"
#include "tests/reference/slice_case.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

std::vector<float> run(Device& d, const LatticeCase& c) {
  const LatticeOnDevice at(d, c);
  sample_slices(d, at.args);
  return at.values.download();
}

}  // namespace

// A position near M is wrong by 2⁻²⁴·M, and neighbours differ by √2 of their size on each of three axes: 4e-6 at M = 72
// in the worst corner; half of that at the volume's centre.
TEST_CASE(
    "Slices: samples of a lattice match the double reference over 150 random shapes, and skipped slices stay as they "
    "were") {
  const auto device = test_device(2);
  double worst = 0;
  for (uint64_t number = 0; number < shapes(150); ++number) {
    const LatticeCase c = random_lattice_case(number);
    worst = std::max(worst, relative_error(run(*device, c), expected_samples(c)));
  }
  MESSAGE("worst " << worst);
  CHECK(worst < 1e-5);
}

TEST_CASE("Slices: bands longer than a block of threads") {
  const auto device = test_device(2);
  for (const int pairs : {127, 128, 129, 400}) {
    LatticeCase c = random_lattice_case(20);
    Draws draws(static_cast<uint64_t>(pairs));
    c.problem.pixels = random_pixels(draws, c.problem.side / c.problem.oversampling - 2, pairs);
    c.active.clear();
    CHECK(relative_error(run(*device, c), sample_slices(c.problem, widen(c.volume))) < 1e-5);
  }
}

TEST_CASE("Slices: sampling is the adjoint of inserting to 1e-6") {
  const auto device = test_device(2);
  double worst = 0;
  for (uint64_t number = 0; number < shapes(60); ++number) {
    LatticeCase c = random_lattice_case(300 + number);
    c.active.clear();
    const auto values = run(*device, c);
    Draws draws(number);
    const Values other = draws.wide_normals(int64_t(values.size()));
    const Values inserted = insert_slices(c.problem, other);
    const double difference = std::abs(dot(values, other) - dot(c.volume, inserted));
    worst = std::max(worst, difference / (norm(c.volume) * norm(inserted)));
  }
  MESSAGE("worst " << worst);
  CHECK(worst < 1e-6);
}

TEST_CASE("Slices: a volume that is linear in k is sampled exactly, and opposite pixels see opposite points") {
  const auto device = test_device(1);
  LatticeCase c = random_lattice_case(7);
  c.active.clear();
  const int m = c.problem.side, half = m / 2;
  for (int z = 0; z < m; ++z)
    for (int y = 0; y < m; ++y)
      for (int x = 0; x < m; ++x)
        c.volume[size_t((z * m + y) * m + x)] = static_cast<float>(3 * (x - half) - 2 * (y - half) + 5 * (z - half));
  const auto values = run(*device, c);
  const size_t pixels = c.problem.pixels.size();
  for (size_t i = 0; i < values.size(); ++i) {
    const double* r = &c.problem.rotations[i / pixels * 9];
    const Pixel p = c.problem.pixels[i % pixels];
    double expected = 0;
    const double slope[3] = {3, -2, 5};
    for (int axis = 0; axis < 3; ++axis)
      expected += slope[axis] * c.problem.oversampling * (r[axis] * p.x + r[3 + axis] * p.y);
    CHECK(std::abs(double(values[i]) - expected) < 1e-4);
    CHECK(std::abs(double(values[i]) + double(values[i ^ 1])) < 1e-4);
  }
}

TEST_CASE("Slices: the same bits for 1, 2 and 3 threads") {
  const auto one = test_device(1), two = test_device(2), three = test_device(3);
  const LatticeCase c = random_lattice_case(20);
  CHECK(run(*two, c) == run(*one, c));
  CHECK(run(*three, c) == run(*one, c));
}

TEST_CASE("Volume points: values land at their index and their mirror's, and the rest is zero") {
  const auto device = test_device(2);
  const Buffer<float> values = on_device(*device, std::vector<float>{1, 2, 3, 4}, 2, 2),
                      volume = on_device(*device, std::vector<float>(8, 9.0f), 4, 2);
  const Buffer<int32_t> index = on_device(*device, std::vector<int32_t>{5, -1}),
                        mirror = on_device(*device, std::vector<int32_t>{0, 7});
  scatter_volume(
      *device,
      ScatterVolume{.values = values.view(), .index = index.view(), .mirror = mirror.view(), .volume = volume.view()});
  CHECK(volume.download() == std::vector<float>{2, 0, 0, 0, 0, 1, 0, 4});
}

TEST_CASE("Volume points: single values, a point that is its own opposite, and none at all") {
  const auto device = test_device(2);
  Draws draws(11);
  const int side = 10, half = side / 2;
  std::vector<int32_t> index;
  std::vector<float> given, expected(size_t(side * side * side), 0.0f);
  for (int32_t i = 0; i < side * side * side; ++i) {
    const bool outside = draws.integer(0, 3) == 0;
    index.push_back(outside ? -1 : i);
    given.push_back(draws.normal());
    if (!outside) expected[size_t(i)] = given.back();
  }
  const auto scattered = [&](const std::vector<float>& values, int64_t outputs, const std::vector<int32_t>& at,
                             const std::vector<int32_t>& opposite) {
    const Buffer<float> from = on_device(*device, values, int64_t(at.size()), outputs),
                        volume = on_device(*device, std::vector<float>(expected.size(), 9.0f), side * side, side);
    const Buffer<int32_t> first = on_device(*device, at), second = on_device(*device, opposite);
    scatter_volume(*device, ScatterVolume{.values = from.view(),
                                          .index = first.view(),
                                          .mirror = outputs == 2 ? second.view() : View<int32_t>{},
                                          .volume = volume.view()});
    return volume.download();
  };
  CHECK(scattered(given, 1, index, {}) == expected);
  const int32_t centre = (half * side + half) * side + half;
  std::vector<float> one(expected.size(), 0.0f);
  CHECK(scattered({}, 1, {}, {}) == one);
  one[size_t(centre)] = 5;  // the second value of a point is written last
  CHECK(scattered({4, 5}, 2, {centre}, {centre}) == one);
}

TEST_CASE("Volume points: padding by any even number, by none too") {
  const auto device = test_device(2);
  Draws draws(12);
  for (const auto& [side, padded] : {std::pair{2, 2}, {2, 4}, {6, 6}, {10, 16}, {14, 18}, {16, 150}}) {
    const auto density = draws.normals(int64_t{side} * side * side);
    const Buffer<float> in = on_device(*device, density, side * side, side), out(*device, padded * padded, padded);
    pad_volume(*device,
               PadVolume{.density = in.view(), .out = out.view(), .side = side, .padded_side = padded, .scale = 2});
    const auto weight = [&](int i) {
      const double a = std::numbers::pi * (i - side / 2) / padded;
      return a == 0 ? 1 : std::pow(a / std::sin(a), 2);
    };
    const int offset = (padded - side) / 2;
    const auto got = out.download();
    double worst = 0, largest = 0, outside = 0;
    for (int i = 0; i < padded * padded * padded; ++i) {
      const int z = i / padded / padded - offset, y = i / padded % padded - offset, x = i % padded - offset;
      const bool inside = std::min({x, y, z}) >= 0 && std::max({x, y, z}) < side;
      if (!inside) outside = std::max(outside, std::abs(double(got[size_t(i)])));
      if (!inside) continue;
      const double expected =
          2 * double(density[size_t((z * side + y) * side + x)]) * weight(x) * weight(y) * weight(z);
      worst = std::max(worst, std::abs(double(got[size_t(i)]) - expected));
      largest = std::max(largest, std::abs(expected));
    }
    CHECK(worst < 5e-7 * largest);
    CHECK(outside == 0);
  }
}

TEST_CASE("Volume points: padding divides by the interpolation's own transform and keeps the centre in place") {
  const auto device = test_device(3);
  const int side = 6, padded = 14;
  Draws draws(1);
  const auto density = draws.normals(side * side * side);
  const Buffer<float> in = on_device(*device, density, side * side, side), out(*device, padded * padded, padded);
  pad_volume(*device,
             PadVolume{.density = in.view(), .out = out.view(), .side = side, .padded_side = padded, .scale = 0.5f});
  const auto sinc2 = [&](int x) {
    const double a = std::numbers::pi * x / padded;
    return x == 0 ? 1 : std::pow(std::sin(a) / a, 2);
  };
  Values expected(size_t(padded * padded * padded));
  for (int z = -3; z < 3; ++z)
    for (int y = -3; y < 3; ++y)
      for (int x = -3; x < 3; ++x)
        expected[size_t(((z + 7) * padded + y + 7) * padded + x + 7)] =
            0.5 * double(density[size_t(((z + 3) * side + y + 3) * side + x + 3)]) / (sinc2(x) * sinc2(y) * sinc2(z));
  CHECK(relative_error(out.download(), expected) < 5e-7);  // a handful of roundings of 2⁻²⁴
  CHECK_THROWS_AS(
      pad_volume(*device, PadVolume{.density = in.view(), .out = out.view(), .side = side, .padded_side = 13}),
      ContractError);
}
