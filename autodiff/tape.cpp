#include "autodiff/tape.h"

namespace recon {

Var Tape::variable(int64_t rows, int64_t cols) {
  values_.emplace_back(*device_, rows, cols);
  gradients_.emplace_back(*device_, rows, cols);
  return {values_.back().view(), gradients_.back().view()};
}

void Tape::record(std::function<void()> forward, std::function<void()> backward) {
  nodes_.push_back({std::move(forward), std::move(backward)});
}

void Tape::forward() {
  for (const Node& node : nodes_) node.forward();
}

void Tape::backward() {
  for (const auto& gradient : gradients_) gradient.zero();
  for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node)
    if (node->backward) node->backward();
}

}  // namespace recon
