#include "kernels/adam/adam.h"

#include <doctest/doctest.h>

#include "tests/reference/adam_reference.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

struct Moments {
  std::vector<float> parameters, first, second;
  bool operator==(const Moments&) const = default;
};

/// `steps` steps on `start`, a fresh gradient each.
Moments run(Device& d, const std::vector<float>& start, const std::vector<std::vector<float>>& gradients, float rate,
            float scale) {
  const auto n = static_cast<int64_t>(start.size());
  const Buffer<float> p = on_device(d, start), first(d, 1, n), second(d, 1, n);
  Buffer<float> g(d, 1, n);
  first.zero(), second.zero();
  for (size_t i = 0; i < gradients.size(); ++i) {
    g.upload(gradients[i]);
    adam(d, Adam{.parameters = p.view(),
                 .gradients = g.view(),
                 .first_moments = first.view(),
                 .second_moments = second.view(),
                 .learning_rate = rate,
                 .step = static_cast<int64_t>(i) + 1,
                 .gradient_scale = scale});
    CHECK(g.download() == std::vector<float>(start.size(), 0.0f));
  }
  return {p.download(), first.download(), second.download()};
}

std::vector<std::vector<float>> random_gradients(Draws& draws, int64_t n, int steps) {
  std::vector<std::vector<float>> out;
  for (int i = 0; i < steps; ++i) out.push_back(draws.normals(n, std::pow(10, draws.uniform(-6, 2))));
  return out;
}

}  // namespace

// Moments and step are a dozen roundings of 2⁻²⁴ in quadrature; parameters start at 0, so that steps are not hidden
// behind them.
TEST_CASE("Adam: parameters and moments match the double reference over 120 random runs") {
  const auto device = test_device(2);
  double worst = 0;
  for (uint64_t number = 0; number < shapes(120); ++number) {
    Draws draws(number);
    const int64_t n = number % 20 == 0 ? draws.integer(30000, 70000) : draws.integer(1, 200);
    const auto gradients = random_gradients(draws, n, draws.integer(1, 6));
    const auto start = number % 2 ? draws.normals(n) : std::vector<float>(size_t(n), 0.0f);
    const auto rate = static_cast<float>(draws.uniform(1e-5, 1e-1)), scale = static_cast<float>(draws.uniform(0.1, 2));
    AdamState expected{widen(start), Values(size_t(n)), Values(size_t(n))};
    for (const auto& g : gradients) {
      Values scaled = widen(g);
      for (double& v : scaled) v *= double(scale);
      adam_step(expected, scaled, double(rate), double(0.9f), double(0.999f), double(1e-8f));
    }
    const Moments got = run(*device, start, gradients, rate, scale);
    worst = std::max({worst, relative_error(got.parameters, expected.parameters),
                      relative_error(got.first, expected.first), relative_error(got.second, expected.second)});
  }
  MESSAGE("worst " << worst);
  CHECK(worst < 2e-6);
}

TEST_CASE("Adam: the same bits for 1, 2 and 3 threads") {
  const auto one = test_device(1), two = test_device(2), three = test_device(3);
  Draws draws(9);
  const auto start = draws.normals(100001);
  const auto gradients = random_gradients(draws, 100001, 2);
  const Moments expected = run(*one, start, gradients, 1e-3f, 1);
  CHECK(run(*two, start, gradients, 1e-3f, 1) == expected);
  CHECK(run(*three, start, gradients, 1e-3f, 1) == expected);
}

TEST_CASE("Adam: rows of a table move by their own step counts, and rows that are not named stay as they are") {
  const auto device = test_device(2);
  double worst = 0;
  for (uint64_t number = 0; number < shapes(60); ++number) {
    Draws draws(400 + number);
    const int64_t rows = draws.integer(2, 20), width = draws.integer(1, 16);
    const auto start = draws.normals(rows * width);
    const Buffer<float> table = on_device(*device, start, rows, width), first(*device, rows, width),
                        second(*device, rows, width);
    const Buffer<int32_t> steps(*device, 1, rows);
    first.zero(), second.zero(), steps.zero();
    std::vector<AdamState> expected;
    for (int64_t r = 0; r < rows; ++r)
      expected.push_back({widen({start.begin() + r * width, start.begin() + (r + 1) * width}), Values(size_t(width)),
                          Values(size_t(width))});
    for (int step = 0; step < 4; ++step) {
      std::vector<int32_t> named;
      for (int32_t r = 0; r + 1 < rows; ++r)
        if (draws.coin()) named.push_back(r);
      if (named.empty()) named.push_back(0);
      const auto gradients = draws.normals(int64_t(named.size()) * width);
      const Buffer<int32_t> which = on_device(*device, named);
      const Buffer<float> g = on_device(*device, gradients, int64_t(named.size()), width);
      adam_rows(*device, AdamRows{.parameters = table.view(),
                                  .first_moments = first.view(),
                                  .second_moments = second.view(),
                                  .steps = steps.view(),
                                  .rows = which.view(),
                                  .gradients = g.view(),
                                  .learning_rate = 0.05f});
      for (size_t i = 0; i < named.size(); ++i)
        adam_step(expected[size_t(named[i])],
                  widen({gradients.begin() + int64_t(i) * width, gradients.begin() + int64_t(i + 1) * width}),
                  double(0.05f), double(0.9f), double(0.999f), double(1e-8f));
    }
    Values all;
    for (const auto& row : expected) all.insert(all.end(), row.parameters.begin(), row.parameters.end());
    const auto got = table.download();
    worst = std::max(worst, relative_error(got, all));
    CHECK(std::equal(got.end() - width, got.end(), start.end() - width));
  }
  MESSAGE("worst " << worst);
  CHECK(worst < 1e-6);  // as above
}

// The gradient is a sum of B products: B roundings more.
TEST_CASE(
    "Adam: steps along a product of two matrices match the double reference, with the same bits for 1 and 3 threads") {
  const auto device = test_device(2), one = test_device(1), three = test_device(3);
  double worst = 0;
  for (uint64_t number = 0; number < shapes(40); ++number) {
    Draws draws(300 + number);
    const bool large = number % 10 == 0;
    const int64_t n = draws.integer(1, large ? 70 : 40), k = large ? draws.integer(1000, 2100) : draws.integer(1, 200),
                  batch = draws.integer(1, 40);
    const auto start = draws.normals(n * k);
    AdamState expected{widen(start), Values(size_t(n * k)), Values(size_t(n * k))};
    std::vector<std::vector<float>> lefts, rights;
    for (int step = 0; step < 3; ++step) {
      lefts.push_back(draws.normals(batch * n)), rights.push_back(draws.normals(batch * k));
      Values gradient(size_t(n * k));
      for (int64_t b = 0; b < batch; ++b)
        for (int64_t i = 0; i < n * k; ++i)
          gradient[size_t(i)] +=
              double(lefts.back()[size_t(b * n + i / k)]) * double(rights.back()[size_t(b * k + i % k)]);
      adam_step(expected, gradient, double(1e-2f), double(0.9f), double(0.999f), double(1e-8f));
    }
    const auto run = [&](Device& d) {
      const Buffer<float> p = on_device(d, start, n, k), first(d, n, k), second(d, n, k);
      first.zero(), second.zero();
      for (size_t step = 0; step < 3; ++step) {
        const Buffer<float> left = on_device(d, lefts[step], batch, n), right = on_device(d, rights[step], batch, k);
        adam_product(d, AdamProduct{.parameters = p.view(),
                                    .first_moments = first.view(),
                                    .second_moments = second.view(),
                                    .left = left.view(),
                                    .right = right.view(),
                                    .learning_rate = 1e-2f,
                                    .step = static_cast<int64_t>(step) + 1});
      }
      return Moments{p.download(), first.download(), second.download()};
    };
    const Moments got = run(*device);
    worst = std::max({worst, relative_error(got.parameters, expected.parameters),
                      relative_error(got.first, expected.first), relative_error(got.second, expected.second)});
    if (number % 10 > 1) continue;
    CHECK(run(*one) == got);
    CHECK(run(*three) == got);
  }
  MESSAGE("worst " << worst);
  CHECK(worst < 2e-6);
}

TEST_CASE("Adam: the average follows the weights by its rate") {
  const auto device = test_device(2);
  Draws draws(2);
  const auto weights = draws.normals(70000), before = draws.normals(70000);
  const Buffer<float> p = on_device(*device, weights), average = on_device(*device, before);
  average_weights(*device, AverageWeights{.parameters = p.view(), .average = average.view(), .rate = 0.25f});
  Values expected;
  for (size_t i = 0; i < before.size(); ++i)
    expected.push_back(double(before[i]) + 0.25 * (double(weights[i]) - double(before[i])));
  CHECK(relative_error(average.download(), expected) < 2e-7);  // three roundings of 2⁻²⁴
  average_weights(*device, AverageWeights{.parameters = p.view(), .average = average.view(), .rate = 1});
  CHECK(relative_error(average.download(), widen(weights)) < 1e-7);
}

// Modules stand one behind the other in an arena, so they may start anywhere, and what is beside them must stay.
TEST_CASE("Adam: the same numbers wherever the arrays start, and nothing beside them") {
  const auto device = test_device(2);
  for (uint64_t number = 0; number < 30; ++number) {
    Draws draws(800 + number);
    const int64_t n = draws.integer(0, number % 6 == 0 ? 3000 : 20), total = n + 8;
    const auto start = draws.normals(total), gradient = draws.normals(total);
    const auto part = [&](const std::vector<float>& all) {
      return std::vector<float>(all.begin() + 4, all.begin() + 4 + n);
    };
    const Moments expected = run(*device, part(start), {part(gradient)}, 0.01f, 1);
    std::vector<float> arrays[4] = {start, gradient, std::vector<float>(size_t(total)), arrays[2]};
    int64_t places[4];
    const int64_t place = draws.integer(0, 4);
    for (int64_t& p : places) p = number % 3 == 0 ? draws.integer(0, 4) : place;
    Buffer<float> buffers[4];
    View<float> views[4];
    for (int i = 0; i < 4; ++i) {
      std::vector<float> moved(size_t(total), 7.0f);
      std::copy_n(arrays[i].begin() + 4, n, moved.begin() + places[i]);
      buffers[i] = on_device(*device, moved);
      views[i] = {buffers[i].view().data + places[i], 1, n};
    }
    adam(*device, Adam{.parameters = views[0],
                       .gradients = views[1],
                       .first_moments = views[2],
                       .second_moments = views[3],
                       .learning_rate = 0.01f});
    const std::vector<float>* results[4] = {&expected.parameters, nullptr, &expected.first, &expected.second};
    for (int i = 0; i < 4; ++i) {
      std::vector<float> wanted(size_t(total), 7.0f);
      if (results[i])
        std::copy_n(results[i]->begin(), n, wanted.begin() + places[i]);
      else
        std::fill_n(wanted.begin() + places[i], n, 0.0f);
      CHECK(buffers[i].download() == wanted);
    }
  }
}

TEST_CASE("Adam: step and rates that stand on the device give the bits of those that are given") {
  const auto device = test_device(2);
  Draws draws(3);
  const int64_t n = 777;
  const auto start = draws.normals(n), gradient = draws.normals(n);
  const Buffer<float> rate = on_device(*device, std::vector<float>{0.03f});
  const Buffer<int64_t> step = on_device(*device, std::vector<int64_t>{17});
  const Buffer<int32_t> rows = on_device(*device, std::vector<int32_t>{2, 0});
  std::vector<std::vector<float>> outcomes[2];
  for (const bool on_it : {false, true}) {
    const Scalar<float> r = on_it ? Scalar<float>(rate.view().data) : Scalar<float>(0.03f);
    const Scalar<int64_t> t = on_it ? Scalar<int64_t>(step.view().data) : Scalar<int64_t>(int64_t{17});
    const Buffer<float> p = on_device(*device, start), g = on_device(*device, gradient), first(*device, 1, n),
                        second(*device, 1, n), average = on_device(*device, gradient);
    const Buffer<int32_t> steps = on_device(*device, std::vector<int32_t>{3, 4, 5});
    first.zero(), second.zero();
    adam(*device, Adam{.parameters = p.view(),
                       .gradients = g.view(),
                       .first_moments = first.view(),
                       .second_moments = second.view(),
                       .learning_rate = r,
                       .step = t});
    average_weights(*device, AverageWeights{.parameters = p.view(), .average = average.view(), .rate = r});
    adam_rows(*device, AdamRows{.parameters = p.shaped(3, 100),
                                .first_moments = first.shaped(3, 100),
                                .second_moments = second.shaped(3, 100),
                                .steps = steps.view(),
                                .rows = rows.view(),
                                .gradients = average.shaped(2, 100),
                                .learning_rate = r});
    CHECK(steps.download() == std::vector<int32_t>{4, 4, 6});
    outcomes[on_it] = {p.download(), first.download(), second.download(), average.download()};
  }
  CHECK(outcomes[0] == outcomes[1]);
}

TEST_CASE("Adam: sizes that differ and steps below 1 are refused at the seam") {
  const auto device = test_device(1);
  const Buffer<float> three(*device, 1, 3), four(*device, 1, 4);
  const Adam a{.parameters = three.view(),
               .gradients = three.view(),
               .first_moments = three.view(),
               .second_moments = three.view()};
  Adam bad = a;
  bad.gradients = four.view();
  CHECK_THROWS_AS(adam(*device, bad), ContractError);
  bad = a;
  bad.step = 0;
  CHECK_THROWS_AS(adam(*device, bad), ContractError);
  CHECK_THROWS_AS(average_weights(*device, AverageWeights{.parameters = three.view(), .average = four.view()}),
                  ContractError);
}
