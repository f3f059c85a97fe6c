#include "autodiff/parameters.h"

#include <doctest/doctest.h>

#include "autodiff/ops.h"
#include "tests/reference/adam_reference.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

/// Two modules of a few tensors.
Parameters two_modules(Device& device, uint64_t seed) {
  Parameters p(device);
  p.begin_module("decoder");
  add_mlp(p, 5, 7, 2, 1);
  p.begin_module("encoder");
  add_mlp(p, 11, 3, 1, 4);
  p.initialize(seed);
  return p;
}

void set_gradients(Device& device, Parameters& p, const std::vector<float>& gradients) {
  device.upload(p.module_ref(0).gradient.data, gradients.data(), gradients.size() * sizeof(float));
}

void take_step(Parameters& p, const std::vector<Scalar<float>>& rates, int64_t average_steps) {
  const Parameters::Step next = p.next_step(average_steps);
  p.adam_step(rates, next.number, next.average_rate, average_steps > 0);
}

}  // namespace

TEST_CASE(
    "Parameters: tensors stand in one arena in the order they were added, and a decoder's is the kernel's layout") {
  const auto device = test_device(1);
  const Parameters p = two_modules(*device, 1);
  const DecoderShape shape{.features = 2, .latent = 1, .width = 7, .layers = 2, .outputs = 1};
  REQUIRE(p.modules().size() == 2);
  CHECK(p.modules()[0].size == shape.parameter_count());
  for (int layer = 0; layer <= 3; ++layer) {
    CHECK(p.tensors()[size_t(2 * layer)].offset == shape.weight_offset(layer));
    CHECK(p.tensors()[size_t(2 * layer + 1)].offset == shape.bias_offset(layer));
  }
  CHECK(p.tensors()[2].name == "decoder.hidden1.weight");
  CHECK(p.modules()[1].offset == shape.parameter_count());
  CHECK(p.modules()[0].size + p.modules()[1].size == p.size());
}

TEST_CASE("Parameters: initial weights fill ±1/√fan-in evenly, the same bits for the same seed") {
  const auto device = test_device(1), other = test_device(3);
  const Parameters p = two_modules(*device, 4);
  CHECK(p.state().values == two_modules(*other, 4).state().values);
  CHECK(p.state().values != two_modules(*device, 5).state().values);
  for (const auto& t : p.tensors()) {
    const double range = 1 / std::sqrt(double(t.fan_in));
    double largest = 0;
    for (int64_t i = 0; i < t.size(); ++i)
      largest = std::max(largest, std::abs(double(p.state().values[size_t(t.offset + i)])));
    CHECK(largest <= range);
    if (t.size() > 20) CHECK(largest > 0.8 * range);
  }
  CHECK(p.tensors()[1].fan_in == 5);
}

TEST_CASE("Parameters: Adam steps with a rate a module match the double reference, and the average follows") {
  const auto device = test_device(2);
  Parameters p = two_modules(*device, 9);
  const auto start = p.state();
  const auto split = static_cast<size_t>(p.modules()[0].size), n = static_cast<size_t>(p.size());
  AdamState expected[2] = {
      {widen({start.values.begin(), start.values.begin() + int64_t(split)}), Values(split), Values(split)},
      {widen({start.values.begin() + int64_t(split), start.values.end()}), Values(n - split), Values(n - split)}};
  Values average;
  const float rates[2] = {1e-2f, 3e-3f};
  for (int step = 0; step < 12; ++step) {
    Draws draws(uint64_t(50 + step));
    const auto gradients = draws.normals(p.size(), 0.1);
    set_gradients(*device, p, gradients);
    take_step(p, {rates[0], rates[1]}, 5);
    const Values wide = widen(gradients);
    adam_step(expected[0], {wide.begin(), wide.begin() + int64_t(split)}, double(rates[0]), double(0.9f),
              double(0.999f), 1e-8);
    adam_step(expected[1], {wide.begin() + int64_t(split), wide.end()}, double(rates[1]), double(0.9f), double(0.999f),
              1e-8);
    Values now = expected[0].parameters;
    now.insert(now.end(), expected[1].parameters.begin(), expected[1].parameters.end());
    // The mean of all steps so far, then a window of five.
    if (step == 0) average = now;
    const double rate = 1.0 / std::min(step + 1, 5);
    for (size_t i = 0; i < n; ++i) average[i] += rate * (now[i] - average[i]);
    CHECK(relative_error(p.state().values, now) < 2e-6);
    CHECK(relative_error(p.state().average, average) < 2e-6);
  }
  CHECK(p.steps() == 12);
  CHECK(p.has_average());
  const auto before = p.state();
  p.swap_average();
  CHECK(p.state().values == before.average);
  CHECK(p.state().average == before.values);
  p.swap_average();
  CHECK(p.state().values == before.values);
}

TEST_CASE("Parameters: a tensor whose gradient is a product moves as if the product stood in its gradient") {
  const auto device = test_device(2);
  Parameters whole = two_modules(*device, 3), parts = two_modules(*device, 3);
  for (const int tensor : {0, 2, 8, 10}) {  // first, inner, first of a module, inner
    const Parameters::Tensor& t = whole.tensors()[size_t(tensor)];
    Draws draws{uint64_t(tensor)};
    std::vector<float> gradients = draws.normals(whole.size());
    const auto left = draws.normals(3 * t.rows), right = draws.normals(3 * t.cols);
    std::vector<float> others = gradients;
    for (int64_t i = 0; i < t.size(); ++i) {
      float sum = 0;
      for (int64_t b = 0; b < 3; ++b)
        sum += left[size_t(b * t.rows + i / t.cols)] * right[size_t(b * t.cols + i % t.cols)];
      gradients[size_t(t.offset + i)] = sum, others[size_t(t.offset + i)] = 0;
    }
    set_gradients(*device, whole, gradients);
    take_step(whole, {1e-2f, 3e-3f}, 5);
    set_gradients(*device, parts, others);
    const Buffer<float> l = on_device(*device, left, 3, t.rows), r = on_device(*device, right, 3, t.cols);
    const Parameters::Step next = parts.next_step(5);
    parts.adam_step({1e-2f, 3e-3f}, next.number, next.average_rate, true, {{tensor, l.view(), r.view()}});
    CHECK(relative_error(parts.state().values, widen(whole.state().values)) < 1e-6);
    CHECK(relative_error(parts.state().second_moments, widen(whole.state().second_moments)) < 1e-6);
    CHECK(relative_error(parts.state().average, widen(whole.state().average)) < 1e-6);
  }
}

TEST_CASE("Parameters: a restored state goes on with the same bits, and another model's is refused") {
  const auto device = test_device(2);
  Parameters a = two_modules(*device, 1), b = two_modules(*device, 2);
  const auto step = [&](Parameters& p, uint64_t seed) {
    Draws draws(seed);
    set_gradients(*device, p, draws.normals(p.size()));
    take_step(p, {1e-3f, 1e-3f}, 3);
  };
  step(a, 1), step(a, 2);
  b.restore(a.state());
  step(a, 3), step(b, 3);
  const auto x = a.state(), y = b.state();
  CHECK(x.values == y.values);
  CHECK(x.first_moments == y.first_moments);
  CHECK(x.second_moments == y.second_moments);
  CHECK(x.average == y.average);
  CHECK(x.steps == y.steps);
  CHECK(x.average_steps == y.average_steps);
  auto broken = x;
  broken.second_moments.pop_back();
  CHECK_THROWS_AS(a.restore(broken), ContractError);
  CHECK_THROWS_AS(take_step(a, {1e-3f}, 0), ContractError);
}
