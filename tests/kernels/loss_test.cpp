#include "kernels/loss/loss.h"

#include <doctest/doctest.h>

#include "tests/reference/image_reference.h"
#include "tests/reference/loss_reference.h"
#include "tests/reference/shapes.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

struct Case {
  int64_t rows = 0, pixels = 0;
  std::vector<float> prediction, target, ctf;
  float scale = 1;
};

Case random_case(uint64_t number) {
  Draws draws(number);
  Case c;
  c.rows = draws.integer(1, 12);
  c.pixels = draws.integer(1, number % 10 == 0 ? 3000 : 70);
  c.prediction = draws.normals(c.rows * c.pixels);
  c.target = draws.normals(c.rows * c.pixels);
  if (draws.coin()) c.ctf = draws.normals(c.rows * c.pixels, 0.6);
  c.scale = static_cast<float>(draws.uniform(0.1, 3));
  return c;
}

struct Result {
  std::vector<float> loss, dprediction;
  bool operator==(const Result&) const = default;
};

Result run(Device& d, const Case& c, float start, bool gradient) {
  const Buffer<float> prediction = on_device(d, c.prediction, c.rows, c.pixels),
                      target = on_device(d, c.target, c.rows, c.pixels), loss(d, 1, c.rows),
                      dprediction = on_device(d, std::vector<float>(c.prediction.size(), start), c.rows, c.pixels);
  Buffer<float> ctf;
  if (!c.ctf.empty()) ctf = on_device(d, c.ctf, c.rows, c.pixels);
  squared_error(d, SquaredError{.prediction = prediction.view(),
                                .target = target.view(),
                                .ctf = ctf.view(),
                                .loss = loss.view(),
                                .dprediction = gradient ? dprediction.view() : View<float>{},
                                .scale = c.scale});
  return {loss.download(), dprediction.download()};
}

}  // namespace

TEST_CASE("Loss reference: its gradient matches central differences to 1e-6, with and without CTF") {
  double worst = 0;
  for (uint64_t number = 1; number < 60; ++number) {
    const Case c = random_case(number);
    const Values target = widen(c.target), ctf = widen(c.ctf);
    const auto objective = [&](const Values& at, Pattern&) {
      return double(c.scale) * dot(squared_error(size_t(c.rows), at, target, ctf), Values(size_t(c.rows), 1.0));
    };
    worst = std::max(worst, check_gradient(objective, widen(c.prediction),
                                           squared_error_backward(widen(c.prediction), target, ctf, double(c.scale)))
                                .error);
  }
  MESSAGE("worst " << worst);
  CHECK(worst < 1e-6);
}

// The image shift and the CTF are linear and stand between slice and loss: their derivative is their transpose, the
// shift by −t and the same CTF.
TEST_CASE("Shift and CTF reference: the gradient through both matches central differences to 1e-6") {
  double worst = 0;
  for (uint64_t number = 0; number < 20; ++number) {
    Draws draws(300 + number);
    const int side = 2 * draws.integer(2, 12);
    const auto pixels = random_pixels(draws, side, 6);
    const double tx = draws.uniform(-3, 3), ty = draws.uniform(-3, 3);
    const Values image = draws.wide_normals(12), weight = draws.wide_normals(12), ctf = draws.wide_normals(12);
    const auto moved = [&](const Values& from, double x, double y) {
      Values out;
      for (size_t i = 0; i < 12; ++i) out.push_back(shifted(from[i], from[i ^ 1], pixels[i], x, y, side));
      return out;
    };
    const auto objective = [&](const Values& at, Pattern&) {
      Values out = moved(at, tx, ty);
      for (size_t i = 0; i < 12; ++i) out[i] *= ctf[i];
      return dot(out, weight);
    };
    Values back = weight;
    for (size_t i = 0; i < 12; ++i) back[i] *= ctf[i];
    worst = std::max(worst, check_gradient(objective, image, moved(back, -tx, -ty)).error);
  }
  MESSAGE("worst " << worst);
  CHECK(worst < 1e-6);
}

// Squares are summed in doubles, so what is left are two roundings of 2⁻²⁴ in each e = c·v − x, of terms up to a few
// times e; the loss meets them twice.
TEST_CASE("Loss: values and gradients match the double reference over 200 random shapes") {
  const auto device = test_device(2);
  double worst = 0;
  for (uint64_t number = 0; number < shapes(200); ++number) {
    const Case c = random_case(number);
    const Values prediction = widen(c.prediction), target = widen(c.target), ctf = widen(c.ctf);
    const float start = number % 2 ? 0.5f : 0.0f;
    const Result got = run(*device, c, start, true);
    Values added = widen(got.dprediction);
    for (double& v : added) v -= double(start);
    worst = std::max({worst, relative_error(got.loss, squared_error(size_t(c.rows), prediction, target, ctf)),
                      relative_error(added, squared_error_backward(prediction, target, ctf, double(c.scale)),
                                     0.1 * std::sqrt(double(added.size())))});
    const Result only_loss = run(*device, c, start, false);
    CHECK(only_loss.loss == got.loss);
    CHECK(only_loss.dprediction == std::vector<float>(c.prediction.size(), start));
  }
  MESSAGE("worst " << worst);
  CHECK(worst < 3e-6);
}

TEST_CASE("Loss: the same bits for 1, 2 and 3 threads") {
  const auto one = test_device(1), two = test_device(2), three = test_device(3);
  const Case c = random_case(10);
  CHECK(run(*two, c, 0, true) == run(*one, c, 0, true));
  CHECK(run(*three, c, 0, true) == run(*one, c, 0, true));
}

TEST_CASE("Loss: sums are in doubles and add up when asked") {
  const auto device = test_device(1);
  std::vector<float> values(1 << 16, 1.0f);
  values[0] = 1e8f;  // a float sum would lose every 1 after it
  const Buffer<float> from = on_device(*device, values);
  const Buffer<double> out(*device, 1, 1);
  sum_values(*device, SumValues{.values = from.view(), .out = out.view(), .scale = 0.5});
  CHECK(out.download()[0] == 0.5 * (1e8 + 65535));
  sum_values(*device, SumValues{.values = from.view(), .out = out.view(), .scale = 2, .accumulate = true});
  CHECK(out.download()[0] == 2.5 * (1e8 + 65535));
}

TEST_CASE("Loss: sums of any length, and a scale that stands on the device") {
  const auto device = test_device(2);
  Draws draws(8);
  for (const int64_t count : {0, 1, 31, 513, 65537}) {
    const auto values = draws.normals(count);
    double expected = 0;
    for (const float v : values) expected += double(v);
    const Buffer<float> from = on_device(*device, values);
    const Buffer<double> out(*device, 1, 2);
    out.zero();
    sum_values(*device, SumValues{.values = from.view(), .out = out.view(), .scale = 3, .accumulate = true});
    const double once = out.download()[0];
    CHECK(std::abs(once - 3 * expected) <= 1e-14 * double(count + 1));
    sum_values(*device, SumValues{.values = from.view(), .out = out.view(), .scale = 3, .accumulate = true});
    CHECK(out.download() == Values{2 * once, 0});
  }
  const Case c = random_case(10);
  const Buffer<float> prediction = on_device(*device, c.prediction, c.rows, c.pixels),
                      target = on_device(*device, c.target, c.rows, c.pixels), loss(*device, 1, c.rows),
                      gradient(*device, c.rows, c.pixels), scale = on_device(*device, std::vector<float>{c.scale});
  Buffer<float> ctf;
  if (!c.ctf.empty()) ctf = on_device(*device, c.ctf, c.rows, c.pixels);
  gradient.zero();
  squared_error(*device, SquaredError{.prediction = prediction.view(),
                                      .target = target.view(),
                                      .ctf = ctf.view(),
                                      .loss = loss.view(),
                                      .dprediction = gradient.view(),
                                      .scale = Scalar<float>(scale.view().data)});
  CHECK(Result{loss.download(), gradient.download()} == run(*device, c, 0, true));
  CHECK(run(*device, Case{.rows = 0, .pixels = 7}, 0, true).loss.empty());
}
