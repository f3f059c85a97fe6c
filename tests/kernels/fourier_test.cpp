#include "kernels/fourier/fourier.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "kernels/runtime/philox.h"
#include "tests/reference/files.h"
#include "tests/reference/fourier_reference.h"
#include "tests/reference/test_device.h"

using namespace recon;

namespace {

std::vector<float> normals(int64_t count, uint64_t seed) {
  std::vector<float> out(static_cast<size_t>(count));
  const Philox philox{seed, Purpose::test};
  for (int64_t i = 0; i < count; ++i) out[static_cast<size_t>(i)] = normal_from(philox.draw(uint64_t(i)).v[0]);
  return out;
}

template <class A, class B>
double largest_difference(const A& a, const B& b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(double(a[i]) - double(b[i])));
  return worst;
}

std::vector<float> transform2d(Device& device, const std::vector<float>& images, int count, int side) {
  Buffer<float> in(device, count, int64_t(side) * side), out(device, count, int64_t(side) * side);
  in.upload(images);
  hartley(device, Hartley2d{.images = in.view(), .hartley = out.view(), .side = side});
  return out.download();
}

std::vector<float> transform3d(Device& device, const std::vector<float>& volume, int side) {
  Buffer<float> both(device, int64_t(side) * side, side);
  both.upload(volume);
  hartley(device, Hartley3d{.volume = both.view(), .hartley = both.view(), .side = side});
  return both.download();
}

}  // namespace

// Standard normal pixels give transform values of standard deviation D; KissFFT's floats lose about 1e-7·log2(D) of
// that.
TEST_CASE("the Hartley transform of images equals its definition for every even side") {
  const auto device = reference::test_device(2);
  for (int side = 2; side <= 66; side += side < 24 ? 2 : 14) {
    const auto image = normals(int64_t(side) * side, static_cast<uint64_t>(side));
    CHECK_MESSAGE(
        largest_difference(transform2d(*device, image, 1, side), reference::hartley(image, side, 2)) < 4e-6 * side,
        side);
  }
}

TEST_CASE("the Hartley transform of volumes equals its definition") {
  const auto device = reference::test_device(2);
  for (const int side : {2, 4, 6, 10, 14}) {
    const auto volume = normals(int64_t(side) * side * side, static_cast<uint64_t>(side));
    const double scale = std::pow(side, 1.5);
    CHECK_MESSAGE(
        largest_difference(transform3d(*device, volume, side), reference::hartley(volume, side, 3)) < 4e-6 * scale,
        side);
  }
}

TEST_CASE("the Hartley transform is its own inverse up to the number of points") {
  const auto device = reference::test_device(2);
  for (const int side : {6, 30, 64, 66, 128}) {
    if (side == 128 && reference::shapes(8) < 8) continue;
    const auto images = normals(3 * int64_t(side) * side, 7);
    auto back = transform2d(*device, transform2d(*device, images, 3, side), 3, side);
    for (auto& value : back) value /= float(side * side);
    CHECK(largest_difference(images, back) < 1e-5);
    const auto volume = normals(int64_t(side) * side * side, 8);
    auto volume_back = transform3d(*device, transform3d(*device, volume, side), side);
    for (auto& value : volume_back) value /= float(side) * float(side) * float(side);
    CHECK(largest_difference(volume, volume_back) < 1e-5);
  }
}

TEST_CASE("transforms have the same bits for any number of threads, and allocate nothing after the first") {
  const auto one = reference::test_device(1), three = reference::test_device(3);
  const auto images = normals(7 * 36 * 36, 3);
  CHECK(transform2d(*one, images, 7, 36) == transform2d(*three, images, 7, 36));
  const auto volume = normals(20 * 20 * 20, 4);
  CHECK(transform3d(*one, volume, 20) == transform3d(*three, volume, 20));
}

// More images than the CUDA backend transforms at once; their sums are small enough to be written out.
TEST_CASE("half a million images are transformed each by itself, in place too") {
  const auto device = reference::test_device(2);
  const int64_t count = (int64_t{1} << 19) + 3;
  const auto images = normals(4 * count, 5);
  const auto apart = transform2d(*device, images, static_cast<int>(count), 2);
  Buffer<float> both(*device, count, 4);
  both.upload(images);
  hartley(*device, Hartley2d{.images = both.view(), .hartley = both.view(), .side = 2});
  CHECK(both.download() == apart);
  double worst = 0;
  for (size_t i = 0; i < images.size(); i += 4) {
    const double a = images[i], b = images[i + 1], c = images[i + 2],
                 d = images[i + 3];  // frequencies and places −1, 0
    const double expected[4] = {a - b - c + d, -a - b + c + d, -a + b - c + d, a + b + c + d};
    for (size_t k = 0; k < 4; ++k) worst = std::max(worst, std::abs(double(apart[i + k]) - expected[k]));
  }
  CHECK(worst < 2e-6);
}

TEST_CASE("no images are no work") {
  const auto device = reference::test_device(1);
  CHECK(transform2d(*device, {}, 0, 6).empty());
}

TEST_CASE("an odd side or a wrong shape is refused at the seam") {
  const auto device = reference::test_device(1);
  Buffer<float> image(*device, 1, 25);
  CHECK_THROWS_AS(hartley(*device, Hartley2d{.images = image.view(), .hartley = image.view(), .side = 5}),
                  ContractError);
  CHECK_THROWS_AS(hartley(*device, Hartley2d{.images = image.view(), .hartley = image.view(), .side = 4}),
                  ContractError);
}
