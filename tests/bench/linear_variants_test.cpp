#include <doctest/doctest.h>

#include "bench/variants.h"
#include "tests/reference/linear_case.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

/// Sums of squares of the error and of what is expected, over all cases.
struct Sums {
  double error = 0, norm = 0;

  void add(const std::vector<float>& got, double start, const Values& expected) {
    REQUIRE(got.size() == expected.size());
    for (size_t i = 0; i < got.size(); ++i)
      error += std::pow(double(got[i]) - start - expected[i], 2), norm += expected[i] * expected[i];
  }
  double relative() const { return std::sqrt(error / norm); }
};

struct Layer {
  LinearCase problem;
  Buffer<float> x, w, b;

  Layer(Device& d, uint64_t number) : problem(random_linear_case(number)) {
    const LinearShape& s = problem.shape;
    x = on_device(d, problem.x, s.rows, s.inner), w = on_device(d, problem.w, s.outputs, s.inner);
    b = on_device(d, problem.b);
  }
  Values expected() const {
    Pattern ignored;
    return linear(problem.shape, widen(problem.x), widen(problem.w), widen(problem.b), ignored);
  }
};

struct Gradients {
  std::vector<float> dy, x, w, b;
  bool operator==(const Gradients&) const = default;
};

constexpr float start = 0.25f;  // of all accumulators

/// What a variant adds; without dx, without dw, or with both.
Gradients run(Device& d, const bench::Variant<LinearBackward>& variant, const Layer& layer, const Values& y,
              bool with_x, bool with_w) {
  const LinearShape& s = layer.problem.shape;
  const auto filled = [&](int64_t rows, int64_t cols) {
    return on_device(d, std::vector<float>(size_t(rows * cols), start), rows, cols);
  };
  const Buffer<float> values = on_device(d, narrow(y), s.rows, s.outputs),
                      dy = on_device(d, layer.problem.dy, s.rows, s.outputs), dx = filled(s.rows, s.inner),
                      dw = filled(s.outputs, s.inner), db = filled(1, s.outputs);
  variant.prepare(d, LinearBackward{.x = layer.x.view(),
                                    .w = layer.w.view(),
                                    .y = values.view(),
                                    .dy = dy.view(),
                                    .dx = with_x ? dx.view() : View<float>(),
                                    .dw = with_w ? dw.view() : View<float>(),
                                    .db = db.view(),
                                    .relu = s.relu,
                                    .residual = s.residual})();
  return {dy.download(), dx.download(), dw.download(), db.download()};
}

}  // namespace

TEST_CASE("Variants of an encoder's layer match the double reference within their tolerances") {
  const auto device = test_device(2);
  const auto variants = bench::variants_of(*device).linear;
  CHECK(variants.size() > 1);
  for (const auto& variant : variants) {
    Sums sums;
    for (uint64_t number = 0; number < shapes(60); ++number) {
      const Layer layer(*device, 9000 + number);
      const LinearShape& s = layer.problem.shape;
      const Buffer<float> y(*device, s.rows, s.outputs);
      const auto run = variant.prepare(*device, {.x = layer.x.view(),
                                                 .w = layer.w.view(),
                                                 .b = layer.b.view(),
                                                 .y = y.view(),
                                                 .relu = s.relu,
                                                 .residual = s.residual});
      run();
      const auto first = y.download();
      run();
      CHECK(y.download() == first);
      sums.add(first, 0, layer.expected());
    }
    MESSAGE(variant.name << ": " << sums.relative());
    CHECK(sums.relative() < variant.tolerance);
  }
}

TEST_CASE("Variants of its backward step add the double reference's gradients, and those that are wanted only") {
  const auto device = test_device(2);
  const auto variants = bench::variants_of(*device).linear_backward;
  CHECK(variants.size() > 1);
  for (const auto& variant : variants) {
    Sums x, w, b;
    for (uint64_t number = 0; number < shapes(60); ++number) {
      const Layer layer(*device, 9000 + number);
      const LinearCase& c = layer.problem;
      const Values y = layer.expected();
      const LinearGradients expected = linear_backward(c.shape, widen(c.x), widen(c.w), y, widen(c.dy));
      const Gradients all = run(*device, variant, layer, y, true, true);
      CHECK(run(*device, variant, layer, y, true, true) == all);
      x.add(all.x, start, expected.x), w.add(all.w, start, expected.w), b.add(all.b, start, expected.b);
      for (size_t i = 0; i < all.dy.size(); ++i) CHECK(all.dy[i] == (c.shape.relu && y[i] <= 0 ? 0 : c.dy[i]));
      Gradients wanted = all;
      wanted.x.assign(wanted.x.size(), start);
      CHECK(run(*device, variant, layer, y, false, true) == wanted);
      wanted = all;
      wanted.w.assign(wanted.w.size(), start);
      CHECK(run(*device, variant, layer, y, true, false) == wanted);
    }
    MESSAGE(variant.name << ": dx " << x.relative() << ", dw " << w.relative() << ", db " << b.relative());
    CHECK(std::max({x.relative(), w.relative(), b.relative()}) < variant.tolerance);
  }
}
