#include "kernels/linear/linear.h"

#include <doctest/doctest.h>

#include "tests/reference/linear_case.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

struct Result {
  std::vector<float> y, dx, dw, db;
  bool operator==(const Result&) const = default;
};

/// Forward and backward; the accumulators start at `start`.
Result run(Device& d, const LinearCase& c, float start) {
  const LinearShape& s = c.shape;
  const Buffer<float> x = on_device(d, c.x, s.rows, s.inner), w = on_device(d, c.w, s.outputs, s.inner),
                      b = on_device(d, c.b), y(d, s.rows, s.outputs), dy = on_device(d, c.dy, s.rows, s.outputs);
  const auto filled = [&](int64_t rows, int64_t cols) {
    return on_device(d, std::vector<float>(static_cast<size_t>(rows * cols), start), rows, cols);
  };
  const Buffer<float> dx = filled(s.rows, s.inner), dw = filled(s.outputs, s.inner), db = filled(1, s.outputs);
  linear(d, LinearForward{
                .x = x.view(), .w = w.view(), .b = b.view(), .y = y.view(), .relu = s.relu, .residual = s.residual});
  linear_backward(d, LinearBackward{.x = x.view(),
                                    .w = w.view(),
                                    .y = y.view(),
                                    .dy = dy.view(),
                                    .dx = dx.view(),
                                    .dw = dw.view(),
                                    .db = db.view(),
                                    .relu = s.relu,
                                    .residual = s.residual});
  return {y.download(), dx.download(), dw.download(), db.download()};
}

/// Error of what was added to an accumulator that started at `start`; entries are sums of terms of order one.
double added_error(const std::vector<float>& after, float start, const Values& expected) {
  Values added = widen(after);
  for (double& v : added) v -= double(start);
  return relative_error(added, expected, 0.1 * std::sqrt(double(expected.size())));
}

}  // namespace

TEST_CASE("Linear reference: its gradients match central differences to 1e-6, with and without relu and residual") {
  double worst = 0;
  int64_t skipped = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Draws draws(900 + seed);
    LinearShape s{
        .rows = 3, .inner = 4, .outputs = seed & 2 ? 4 : 5, .relu = (seed & 1) != 0, .residual = (seed & 2) != 0};
    const Values x = draws.wide_normals(s.rows * s.inner), w = draws.wide_normals(s.outputs * s.inner),
                 b = draws.wide_normals(s.outputs), dy = draws.wide_normals(s.rows * s.outputs);
    Pattern ignored;
    const Values y = linear(s, x, w, b, ignored);
    const LinearGradients g = linear_backward(s, x, w, y, dy);
    for (const auto& check :
         {check_gradient([&](const Values&at, Pattern&p) { return dot(linear(s, at, w, b, p), dy); }, x, g.x),
          check_gradient([&](const Values&at, Pattern&p) { return dot(linear(s, x, at, b, p), dy); }, w, g.w),
          check_gradient([&](const Values&at, Pattern&p) { return dot(linear(s, x, w, at, p), dy); }, b, g.b)}) {
      worst = std::max(worst, check.error);
      skipped += check.skipped;
    }
  }
  MESSAGE("worst " << worst << ", at a kink " << skipped);
  CHECK(worst < 1e-6);
  CHECK(skipped < 5);
}

TEST_CASE("Perceptron reference: its gradients match central differences to 1e-6") {
  double worst = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Draws draws(700 + seed);
    const MlpShape s{.rows = 3,
                     .inputs = 4,
                     .width = 5,
                     .outputs = 2,
                     .layers = static_cast<int>(seed % 4),
                     .residual = seed % 2 == 0};
    const Values parameters = draws.wide_normals(s.parameter_count(), 0.6), x = draws.wide_normals(s.rows * s.inputs),
                 dy = draws.wide_normals(s.rows * s.outputs);
    Pattern ignored;
    const auto layers = mlp_layers(s, parameters);
    const MlpGradients g = mlp_backward(s, layers, mlp(s, layers, x, ignored), dy);
    worst = std::max(worst, check_gradient([&](const Values& at,
                                               Pattern& p) { return dot(mlp(s, mlp_layers(s, at), x, p).back(), dy); },
                                           parameters, g.parameters)
                                .error);
    worst = std::max(
        worst,
        check_gradient([&](const Values& at, Pattern& p) { return dot(mlp(s, layers, at, p).back(), dy); }, x, g.x)
            .error);
  }
  MESSAGE("worst " << worst);
  CHECK(worst < 1e-6);
}

// A sum of K products of floats is wrong by about 2⁻²⁴√K of its terms' norm: 1.5e-6 at K = 600, and the norm over an
// array is nearer to its mean. A relu whose pre-activation is within that of 0 lets a whole gradient entry pass or not;
// cases with one are skipped by the reference's own pattern at two biases.
TEST_CASE("Linear: values and gradients match the double reference over 300 random shapes") {
  const auto device = test_device(2);
  double worst = 0;
  int skipped = 0;
  for (uint64_t number = 0; number < shapes(300); ++number) {
    const LinearCase c = random_linear_case(number);
    const Values x = widen(c.x), w = widen(c.w), b = widen(c.b);
    Pattern pattern, above, below;
    Values raised = b, lowered = b;
    for (double& v : raised) v += 3e-6;
    for (double& v : lowered) v -= 3e-6;
    const Values y = linear(c.shape, x, w, b, pattern);
    linear(c.shape, x, w, raised, above), linear(c.shape, x, w, lowered, below);
    if (above != below) {
      ++skipped;
      continue;
    }
    const LinearGradients g = linear_backward(c.shape, x, w, y, widen(c.dy));
    const float start = number % 2 ? 0.25f : 0.0f;
    const Result got = run(*device, c, start);
    worst = std::max({worst, added_error(got.y, 0, y), added_error(got.dx, start, g.x), added_error(got.dw, start, g.w),
                      added_error(got.db, start, g.b)});
  }
  MESSAGE("worst " << worst << ", skipped at a kink " << skipped);
  CHECK(worst < 3e-6);
  CHECK(skipped < 20);
}

TEST_CASE("Linear: the backward step is the adjoint of the forward step to 1e-6") {
  const auto device = test_device(2);
  for (uint64_t number = 0; number < shapes(100); ++number) {
    LinearCase c = random_linear_case(4000 + number);
    c.shape.relu = false;
    std::fill(c.b.begin(), c.b.end(), 0.0f);
    const Result got = run(*device, c, 0);
    // <A x, dy> = <x, Aᵀ dy>, of the product of the norms.
    const double scale = norm(got.y) * norm(c.dy);
    CHECK(std::abs(dot(got.y, c.dy) - dot(c.x, got.dx)) <= 1e-6 * scale);
    LinearCase scaled = c;
    std::fill(scaled.b.begin(), scaled.b.end(), 1.0f);
    CHECK(run(*device, scaled, 0).dw == got.dw);
  }
}

TEST_CASE("Linear: the same bits for 1, 2 and 3 threads") {
  const auto one = test_device(1), two = test_device(2), three = test_device(3);
  for (const bool long_rows : {false, true}) {
    Draws draws(5);
    LinearCase c;
    c.shape = {.rows = 33, .inner = 391, .outputs = 391, .relu = true, .residual = true};
    if (long_rows) c.shape = {.rows = 12, .inner = 2500, .outputs = 70, .relu = true};
    c.x = draws.normals(c.shape.rows * c.shape.inner), c.w = draws.normals(c.shape.outputs * c.shape.inner, 0.05);
    c.b = draws.normals(c.shape.outputs), c.dy = draws.normals(c.shape.rows * c.shape.outputs);
    const Result expected = run(*one, c, 0);
    CHECK(run(*two, c, 0) == expected);
    CHECK(run(*three, c, 0) == expected);
  }
}

TEST_CASE("Linear: no rows leave the gradients as they are, and an input or a weight without one changes no other") {
  const auto device = test_device(2);
  for (uint64_t number = 0; number < 20; ++number) {
    LinearCase c = random_linear_case(7000 + number);
    const LinearShape& s = c.shape;
    const Result whole = run(*device, c, 0.5f);
    const Buffer<float> x = on_device(*device, c.x, s.rows, s.inner), w = on_device(*device, c.w, s.outputs, s.inner),
                        y = on_device(*device, whole.y, s.rows, s.outputs),
                        dy = on_device(*device, c.dy, s.rows, s.outputs),
                        dw = on_device(*device, std::vector<float>(c.w.size(), 0.5f), s.outputs, s.inner),
                        db = on_device(*device, std::vector<float>(c.b.size(), 0.5f));
    linear_backward(*device, LinearBackward{.x = x.view(),
                                            .w = w.view(),
                                            .y = y.view(),
                                            .dy = dy.view(),
                                            .dx = {},
                                            .dw = dw.view(),
                                            .db = db.view(),
                                            .relu = s.relu,
                                            .residual = s.residual});
    CHECK(dw.download() == whole.dw);
    CHECK(db.download() == whole.db);
    std::vector<float> pre = c.dy;
    for (size_t i = 0; i < pre.size(); ++i)
      if (s.relu && whole.y[i] <= 0) pre[i] = 0;
    CHECK(dy.download() == pre);
    const Buffer<float> again = on_device(*device, c.dy, s.rows, s.outputs),
                        dx = on_device(*device, std::vector<float>(c.x.size(), 0.5f), s.rows, s.inner),
                        bias = on_device(*device, std::vector<float>(c.b.size(), 0.5f));
    linear_backward(*device, LinearBackward{.x = x.view(),
                                            .w = w.view(),
                                            .y = y.view(),
                                            .dy = again.view(),
                                            .dx = dx.view(),
                                            .dw = {},
                                            .db = bias.view(),
                                            .relu = s.relu,
                                            .residual = s.residual});
    CHECK(dx.download() == whole.dx);
    CHECK(bias.download() == whole.db);
    CHECK(again.download() == pre);
    c.shape.rows = 0;
    c.x.clear(), c.dy.clear();
    const Result none = run(*device, c, 0.5f);
    CHECK(none.dw == std::vector<float>(c.w.size(), 0.5f));
    CHECK(none.db == std::vector<float>(c.b.size(), 0.5f));
  }
}

TEST_CASE("Linear: shapes that do not fit are refused at the seam") {
  const auto device = test_device(1);
  const Buffer<float> x(*device, 2, 3), w(*device, 4, 3), b(*device, 1, 4), y(*device, 2, 4);
  const LinearForward good{.x = x.view(), .w = w.view(), .b = b.view(), .y = y.view()};
  x.zero(), w.zero(), b.zero();
  CHECK_NOTHROW(linear(*device, good));
  LinearForward bad = good;
  bad.residual = true;
  CHECK_THROWS_AS(linear(*device, bad), ContractError);
  bad = good;
  bad.x = b.view();
  CHECK_THROWS_AS(linear(*device, bad), ContractError);
  bad = good;
  bad.y = w.view();
  CHECK_THROWS_AS(linear(*device, bad), ContractError);
}
