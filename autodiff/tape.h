#pragma once
#include <functional>
#include <vector>

#include "kernels/runtime/device.h"

namespace recon {

/// A value on the tape with room for its gradient; an empty gradient marks a constant.
struct Var {
  View<float> value, gradient;
};

/// Reverse-mode differentiation: operations are recorded once for fixed shapes and replayed every step, forward in
/// order and backward in reverse. All activations are allocated while recording; a replay allocates nothing.
class Tape {
 public:
  explicit Tape(Device& device) : device_(&device) {}
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  Device& device() const { return *device_; }
  /// An activation [rows, cols] owned by the tape.
  Var variable(int64_t rows, int64_t cols);
  /// An input owned by somebody else, without gradient.
  static Var constant(View<float> value) { return {value, {}}; }

  /// Adds an operation. `backward` adds to the gradients of its inputs and may be empty.
  void record(std::function<void()> forward, std::function<void()> backward);
  void forward();
  /// Zeroes the gradients of all variables, then runs backward. Roots (losses) seed themselves.
  void backward();

 private:
  struct Node {
    std::function<void()> forward, backward;
  };
  Device* device_;
  std::vector<Buffer<float>> values_, gradients_;
  std::vector<Node> nodes_;
};

}  // namespace recon
