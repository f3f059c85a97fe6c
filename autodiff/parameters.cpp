#include "autodiff/parameters.h"

#include <algorithm>
#include <cmath>

#include "kernels/adam/adam.h"
#include "kernels/runtime/philox.h"

namespace recon {

int Parameters::begin_module(const std::string& name) {
  modules_.push_back({name, size_, 0});
  return static_cast<int>(modules_.size()) - 1;
}

int Parameters::add(const std::string& name, int64_t rows, int64_t cols, int64_t fan_in) {
  expect(!modules_.empty(), "parameters: begin a module first");
  expect(values_.empty(), "parameters: tensors are added before initialize()");
  expect(rows > 0 && cols > 0 && fan_in > 0, "parameters: a tensor needs a size");
  tensors_.push_back({modules_.back().name + "." + name, rows, cols, size_, fan_in});
  size_ += rows * cols;
  modules_.back().size += rows * cols;
  return static_cast<int>(tensors_.size()) - 1;
}

void Parameters::initialize(uint64_t seed) {
  std::vector<float> values(static_cast<size_t>(size_));
  const Philox random{seed, Purpose::initial_weights};
  for (size_t t = 0; t < tensors_.size(); ++t) {
    const double range = 1 / std::sqrt(static_cast<double>(tensors_[t].fan_in));
    for (int64_t i = 0; i < tensors_[t].size(); ++i) {
      const u32x4 words = random.draw(static_cast<uint64_t>(i), static_cast<uint32_t>(t));
      values[static_cast<size_t>(tensors_[t].offset + i)] =
          static_cast<float>((2.0 * uniform01(words.v[0]) - 1) * range);
    }
  }
  values_ = Buffer<float>(*device_, values);
  gradients_ = Buffer<float>(*device_, 1, size_);
  first_moments_ = Buffer<float>(*device_, 1, size_);
  second_moments_ = Buffer<float>(*device_, 1, size_);
  average_ = Buffer<float>(*device_, values);
  gradients_.zero();
  first_moments_.zero();
  second_moments_.zero();
}

Parameters::Ref Parameters::ref(int tensor) const {
  const Tensor& t = tensors_[static_cast<size_t>(tensor)];
  return {{values_.view().data + t.offset, t.rows, t.cols}, {gradients_.view().data + t.offset, t.rows, t.cols}};
}

Parameters::Ref Parameters::module_ref(int module) const {
  const Module& m = modules_[static_cast<size_t>(module)];
  return {{values_.view().data + m.offset, 1, m.size}, {gradients_.view().data + m.offset, 1, m.size}};
}

Parameters::Step Parameters::next_step(int64_t average_steps) {
  ++steps_;
  if (average_steps <= 0) return {steps_, 0};
  ++average_steps_;
  return {steps_, 1.0f / static_cast<float>(std::min(average_steps_, average_steps))};
}

void Parameters::adam_step(const std::vector<Scalar<float>>& learning_rates, Scalar<int64_t> number,
                           Scalar<float> average_rate, bool average, const std::vector<Product>& products) {
  expect(learning_rates.size() == modules_.size(), "parameters: one learning rate a module");
  int64_t done = 0;
  const auto step_to = [&](int64_t to, Scalar<float> rate) {
    const auto range = [&](const Buffer<float>& b) { return View<float>{b.view().data + done, 1, to - done}; };
    if (to > done)
      adam(*device_, Adam{.parameters = range(values_),
                          .gradients = range(gradients_),
                          .first_moments = range(first_moments_),
                          .second_moments = range(second_moments_),
                          .learning_rate = rate,
                          .step = number});
    done = to;
  };
  auto product = products.begin();
  for (size_t i = 0; i < modules_.size(); ++i) {
    const int64_t end = modules_[i].offset + modules_[i].size;
    for (; product != products.end() && tensors_[static_cast<size_t>(product->tensor)].offset < end; ++product) {
      const Tensor& t = tensors_[static_cast<size_t>(product->tensor)];
      expect(t.offset >= done, "parameters: products are not in the tensors' order");
      step_to(t.offset, learning_rates[i]);
      const auto matrix = [&](const Buffer<float>& b) { return View<float>{b.view().data + t.offset, t.rows, t.cols}; };
      adam_product(*device_, AdamProduct{.parameters = matrix(values_),
                                         .first_moments = matrix(first_moments_),
                                         .second_moments = matrix(second_moments_),
                                         .left = product->left,
                                         .right = product->right,
                                         .learning_rate = learning_rates[i],
                                         .step = number});
      done += t.size();
    }
    step_to(end, learning_rates[i]);
  }
  if (average)
    average_weights(*device_,
                    AverageWeights{.parameters = values_.view(), .average = average_.view(), .rate = average_rate});
}

void Parameters::swap_average() {
  if (!has_average()) return;
  // Refs hold pointers into values_, so the contents are exchanged, not the buffers.
  const auto values = values_.download(), average = average_.download();
  values_.upload(average);
  average_.upload(values);
}

Parameters::State Parameters::state() const {
  return {values_.download(), first_moments_.download(), second_moments_.download(), average_.download(), steps_,
          average_steps_};
}

void Parameters::restore(const State& state) {
  const auto fits = [&](const std::vector<float>& v) { return static_cast<int64_t>(v.size()) == size_; };
  expect(fits(state.values) && fits(state.first_moments) && fits(state.second_moments) && fits(state.average),
         "parameters: the saved state belongs to another model");
  values_.upload(state.values);
  first_moments_.upload(state.first_moments);
  second_moments_.upload(state.second_moments);
  average_.upload(state.average);
  gradients_.zero();
  steps_ = state.steps;
  average_steps_ = state.average_steps;
}

}  // namespace recon
