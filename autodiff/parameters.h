#pragma once
#include <string>
#include <vector>

#include "kernels/runtime/device.h"
#include "kernels/runtime/scalar.h"

namespace recon {

/// All trainable weights of a model in one flat arena on the device, with gradients and Adam's moments beside them, so
/// that the optimiser is one pass and a checkpoint is three copies.
class Parameters {
 public:
  /// One named matrix or vector of the arena.
  struct Tensor {
    std::string name;
    int64_t rows = 0, cols = 0, offset = 0;
    int64_t fan_in = 1;
    int64_t size() const { return rows * cols; }
  };
  /// A run of tensors that one learning rate moves: an encoder, a decoder.
  struct Module {
    std::string name;
    int64_t offset = 0, size = 0;
  };
  /// A tensor as operations see it.
  struct Ref {
    View<float> value, gradient;
  };

  explicit Parameters(Device& device) : device_(&device) {}

  /// Names the next module; the tensors added after it belong to it.
  int begin_module(const std::string& name);
  /// Adds a tensor [rows, cols]; weights and biases of a layer start uniform in ±1/√fan_in. Returns its number.
  int add(const std::string& name, int64_t rows, int64_t cols, int64_t fan_in);
  /// Allocates and draws the initial weights, the same bits for the same seed on any device.
  void initialize(uint64_t seed);

  Ref ref(int tensor) const;
  Ref module_ref(int module) const;
  const std::vector<Tensor>& tensors() const { return tensors_; }
  const std::vector<Module>& modules() const { return modules_; }
  int64_t size() const { return size_; }
  int64_t steps() const { return steps_; }

  /// What the next Adam step needs to know, counted on the host: its number, from 1, and how far the running average of
  /// the weights, which forgets over about `average_steps` steps (0: none is kept), goes towards the new weights.
  struct Step {
    int64_t number = 0;
    float average_rate = 0;
  };
  Step next_step(int64_t average_steps);
  /// A tensor [N, K] whose gradient is leftᵀ right, left [B, N] and right [B, K], and stands nowhere.
  struct Product {
    int tensor = 0;
    View<const float> left, right;
  };
  /// Issues an Adam step with a learning rate a module; gradients are zeroed. The average follows if it is kept.
  /// `products` in the tensors' order.
  void adam_step(const std::vector<Scalar<float>>& learning_rates, Scalar<int64_t> number, Scalar<float> average_rate,
                 bool average, const std::vector<Product>& products = {});
  /// Exchanges the weights with their running average (for evaluation); calling it again undoes it.
  void swap_average();
  bool has_average() const { return average_steps_ > 0; }
  /// Starts the running average afresh at the present weights.
  void restart_average() { average_steps_ = 0; }

  /// The optimiser's whole state as host arrays, in a fixed order: values, first and second moments, average.
  struct State {
    std::vector<float> values, first_moments, second_moments, average;
    int64_t steps = 0, average_steps = 0;
  };
  State state() const;
  /// Throws ContractError when the sizes do not fit.
  void restore(const State& state);

 private:
  Device* device_;
  std::vector<Tensor> tensors_;
  std::vector<Module> modules_;
  int64_t size_ = 0, steps_ = 0, average_steps_ = 0;
  Buffer<float> values_, gradients_, first_moments_, second_moments_, average_;
};

}  // namespace recon
