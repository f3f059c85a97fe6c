// The image operations that image_test.cpp does not hold to a definition, and the shapes at their edges.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "kernels/image/image.h"
#include "tests/reference/compare.h"
#include "tests/reference/shapes.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

/// An array of normal numbers on a device of which a part is used: what stands before and behind it must stay.
struct Part {
  std::vector<float> host;
  Buffer<float> buffer;
  int64_t first, count;

  Part(Device& device, Draws& draws, int64_t first_, int64_t count_)
      : host(draws.normals(first_ + count_ + 5)), buffer(on_device(device, host)), first(first_), count(count_) {}
  View<float> view(int64_t rows, int64_t cols) const { return {buffer.view().data + first, rows, cols}; }
  float operator[](int64_t i) const { return host[size_t(first + i)]; }
  /// The part after an operation; the rest is checked.
  std::vector<float> after() const {
    const auto all = buffer.download();
    CHECK(std::equal(all.begin(), all.begin() + first, host.begin()));
    CHECK(std::equal(all.begin() + first + count, all.end(), host.begin() + first + count));
    return {all.begin() + first, all.begin() + first + count};
  }
};

}  // namespace

TEST_CASE("Pixels: phase flipping is exact for any length and any place in memory, in place or not") {
  const auto device = test_device(2);
  for (uint64_t number = 0; number < shapes(60); ++number) {
    Draws draws(number);
    const int64_t rows = draws.integer(1, 4), cols = draws.integer(1, number % 10 == 0 ? 3000 : 40);
    const int64_t place = draws.integer(0, 3);
    const auto other = [&] { return number % 3 == 0 ? draws.integer(0, 3) : place; };
    const Part in(*device, draws, place, rows * cols), ctf(*device, draws, other(), rows * cols),
        out(*device, draws, other(), rows * cols);
    const bool in_place = draws.coin();
    phase_flip(*device, {.in = in.view(rows, cols),
                         .ctf = ctf.view(rows, cols),
                         .out = in_place ? in.view(rows, cols) : out.view(rows, cols)});
    std::vector<float> expected;
    for (int64_t i = 0; i < rows * cols; ++i) expected.push_back(ctf[i] > 0 ? in[i] : -in[i]);
    CHECK((in_place ? in : out).after() == expected);
    if (!in_place)
      CHECK(std::equal(expected.begin(), expected.end(), in.after().begin(),
                       [](float a, float b) { return std::abs(a) == std::abs(b); }));
  }
}

TEST_CASE("Pixels: factors multiply columns, or stand for an absent input, in place or not") {
  const auto device = test_device(2);
  for (uint64_t number = 0; number < shapes(40); ++number) {
    Draws draws(number);
    const int64_t rows = draws.integer(1, 9), cols = draws.integer(1, number % 8 == 0 ? 900 : 50);
    const Part in(*device, draws, 1, rows * cols), out(*device, draws, 2, rows * cols);
    const auto factors = draws.normals(cols + draws.integer(0, 3));
    const Buffer<float> by = on_device(*device, factors);
    const int kind = static_cast<int>(number % 3);  // apart, in place, absent
    scale_pixels(*device, {.in = kind == 2 ? View<float>{} : in.view(rows, cols),
                           .factors = by.view(),
                           .out = kind == 1 ? in.view(rows, cols) : out.view(rows, cols)});
    std::vector<float> expected;
    for (int64_t i = 0; i < rows * cols; ++i)
      expected.push_back(kind == 2 ? factors[size_t(i % cols)] : in[i] * factors[size_t(i % cols)]);
    CHECK((kind == 1 ? in : out).after() == expected);
  }
}

// Each e is two roundings of 2⁻²⁴, of terms up to a few times e; the sums are in doubles.
TEST_CASE("Pixels: residual power matches its definition, adds up, and gives the same bits again") {
  const auto device = test_device(2);
  double worst = 0;
  for (uint64_t number = 0; number < shapes(80); ++number) {
    Draws draws(number);
    const int64_t rows = draws.integer(1, number % 10 == 0 ? 200 : 50), cols = draws.integer(1, 100);
    const auto prediction = draws.normals(rows * cols), target = draws.normals(rows * cols),
               ctf = draws.coin() ? draws.normals(rows * cols, 0.7) : std::vector<float>{};
    const Values start = draws.wide_normals(cols);
    const Buffer<float> v = on_device(*device, prediction, rows, cols), x = on_device(*device, target, rows, cols);
    Buffer<float> c;
    if (!ctf.empty()) c = on_device(*device, ctf, rows, cols);
    const Buffer<double> sums = on_device(*device, start), again = on_device(*device, start);
    residual_power(*device, {.prediction = v.view(), .target = x.view(), .ctf = c.view(), .sums = sums.view()});
    residual_power(*device, {.prediction = v.view(), .target = x.view(), .ctf = c.view(), .sums = again.view()});
    Values expected = start;
    for (int64_t i = 0; i < rows * cols; ++i) {
      const double factor = ctf.empty() ? 1 : double(ctf[size_t(i)]);
      expected[size_t(i % cols)] += std::pow(factor * double(prediction[size_t(i)]) - double(target[size_t(i)]), 2);
    }
    worst = std::max(worst, relative_error(sums.download(), expected));
    CHECK(sums.download() == again.download());
  }
  MESSAGE("worst " << worst);
  CHECK(worst < 3e-7);
}

TEST_CASE("Pixels: images that a source names have the CTF of their parameters, however many they are") {
  const auto device = test_device(2);
  Draws draws(4);
  const int side = 20;
  std::vector<CtfParameters> parameters;
  for (int i = 0; i < 11; ++i)
    parameters.push_back({.defocus_u_angstrom = static_cast<float>(draws.uniform(5e3, 3e4)),
                          .defocus_v_angstrom = static_cast<float>(draws.uniform(5e3, 3e4)),
                          .defocus_angle_rad = static_cast<float>(draws.uniform(-7, 7)),
                          .b_factor_angstrom2 = i % 2 ? 0.0f : 80.0f});
  const Buffer<CtfParameters> all = on_device(*device, parameters);
  for (const int64_t count : {1, 7, 8, 9, 30}) {
    const auto pixels = random_pixels(draws, side, count == 30 ? 400 : 3);
    const auto columns = static_cast<int64_t>(pixels.size());
    std::vector<int32_t> source;
    for (int64_t b = 0; b < count; ++b) source.push_back(draws.integer(0, 10));
    const Buffer<int32_t> from = on_device(*device, source);
    const Buffer<Pixel> lattice = on_device(*device, pixels);
    const Buffer<float> out(*device, count, columns);
    evaluate_ctf(*device, {.parameters = all.view(),
                           .source = from.view(),
                           .pixels = lattice.view(),
                           .out = out.view(),
                           .side = side,
                           .pixel_size_angstrom = 1.5f});
    const auto values = out.download();
    double worst = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const Pixel k = pixels[i % pixels.size()];
      const CtfParameters& p = parameters[size_t(source[i / pixels.size()])];
      worst = std::max(worst, std::abs(double(values[i]) - double(ctf_value(p, k.x / 30.0, k.y / 30.0))));
    }
    CHECK(worst < 1e-5);
  }
}

// The CUDA backend starts some 4,000 blocks and lets them stride over further images.
TEST_CASE("Pixels: thousands of small images are all done") {
  const auto device = test_device(2);
  const int64_t count = 4099;
  Draws draws(6);
  const auto images = draws.normals(count * 4), factors = draws.normals(4);
  const Buffer<float> in = on_device(*device, images, count, 4), out(*device, count, 4),
                      by = on_device(*device, factors), shifts(*device, count, 2);
  const Buffer<Pixel> pixels = on_device(*device, std::vector<Pixel>{{0, -1}, {0, 1}, {-1, 0}, {1, 0}});
  shifts.zero();
  const auto check = [&](const auto& expected) {
    const auto got = out.download();
    bool equal = true;
    for (size_t i = 0; i < got.size(); ++i) equal &= got[i] == expected(i / 4 * 4, i % 4);
    CHECK(equal);
  };
  scale_pixels(*device, {.in = in.view(), .factors = by.view(), .out = out.view()});
  check([&](size_t image, size_t p) { return images[image + p] * factors[p]; });
  shift_images(*device,
               {.images = in.view(), .shifts = shifts.view(), .pixels = pixels.view(), .out = out.view(), .side = 2});
  check([&](size_t image, size_t p) { return images[image + p]; });
  gather_pixels(*device, {.hartley = in.view(), .pixels = pixels.view(), .out = out.view(), .side = 2, .scale = 2});
  check([&](size_t image, size_t p) { return 2 * images[image + (p < 2 ? 1 : 2)]; });
  // Of a side of 2 only the centre is within the circle.
  window_images(*device, {.images = in.view(), .side = 2});
  scale_pixels(*device,
               {.in = in.view(), .factors = on_device(*device, std::vector<float>(4, 1.0f)).view(), .out = out.view()});
  check([&](size_t image, size_t p) { return p == 3 ? images[image + p] : 0.0f; });
}

TEST_CASE("Pixels: no images are no work") {
  const auto device = test_device(2);
  const Buffer<float> none(*device, 0, 16), factors(*device, 1, 16);
  const Buffer<Pixel> pixels(*device, 1, 16);
  const Buffer<CtfParameters> parameters(*device, 1, 0);
  const Buffer<double> sums = on_device(*device, Values(16, 3.0));
  window_images(*device, {.images = none.view(), .side = 4});
  gather_pixels(*device, {.hartley = none.view(), .pixels = pixels.view(), .out = none.view(), .side = 4});
  shift_images(*device, {.images = none.view(), .pixels = pixels.view(), .out = none.view(), .side = 4});
  evaluate_ctf(*device, {.parameters = parameters.view(), .pixels = pixels.view(), .out = none.view(), .side = 4});
  phase_flip(*device, {.in = none.view(), .ctf = none.view(), .out = none.view()});
  scale_pixels(*device, {.in = none.view(), .factors = factors.view(), .out = none.view()});
  residual_power(*device, {.prediction = none.view(), .target = none.view(), .ctf = none.view(), .sums = sums.view()});
  CHECK(sums.download() == Values(16, 3.0));
}
