#pragma once
// Fully connected layers and chains of them as they are defined, in doubles: never optimised.
#include <cstdint>

#include "tests/reference/compare.h"

namespace recon::reference {

struct LinearShape {
  int64_t rows = 0, inner = 0, outputs = 0;
  bool relu = false, residual = false;
};

/// y = [relu](x Wᵀ + b [+ x]); appends the sides of the kinks to `pattern`.
inline Values linear(const LinearShape& s, const Values& x, const Values& w, const Values& b, Pattern& pattern) {
  Values y;
  for (int64_t i = 0; i < s.rows; ++i)
    for (int64_t j = 0; j < s.outputs; ++j) {
      double sum = b[static_cast<size_t>(j)];
      for (int64_t k = 0; k < s.inner; ++k)
        sum += x[static_cast<size_t>(i * s.inner + k)] * w[static_cast<size_t>(j * s.inner + k)];
      if (s.residual) sum += x[static_cast<size_t>(i * s.inner + j)];
      if (s.relu) pattern.push_back(sum > 0);
      y.push_back(s.relu && sum <= 0 ? 0 : sum);
    }
  return y;
}

struct LinearGradients {
  Values x, w, b;
};

inline LinearGradients linear_backward(const LinearShape& s, const Values& x, const Values& w, const Values& y,
                                       const Values& dy) {
  LinearGradients g{Values(x.size()), Values(w.size()), Values(static_cast<size_t>(s.outputs))};
  for (int64_t i = 0; i < s.rows; ++i)
    for (int64_t j = 0; j < s.outputs; ++j) {
      const auto at = static_cast<size_t>(i * s.outputs + j);
      const double d = s.relu && y[at] <= 0 ? 0 : dy[at];
      g.b[static_cast<size_t>(j)] += d;
      for (int64_t k = 0; k < s.inner; ++k) {
        g.w[static_cast<size_t>(j * s.inner + k)] += d * x[static_cast<size_t>(i * s.inner + k)];
        g.x[static_cast<size_t>(i * s.inner + k)] += d * w[static_cast<size_t>(j * s.inner + k)];
      }
      if (s.residual) g.x[static_cast<size_t>(i * s.inner + j)] += d;
    }
  return g;
}

/// inputs → width, layers × (width → width), width → outputs; relu after every layer but the last.
struct MlpShape {
  int64_t rows = 0, inputs = 0, width = 0, outputs = 0;
  int layers = 0;
  bool residual = false;

  int last() const { return layers + 1; }
  LinearShape layer(int i) const {
    return {rows, i == 0 ? inputs : width, i == last() ? outputs : width, i < last(), residual && i > 0 && i < last()};
  }
  int64_t parameter_count() const {
    int64_t count = 0;
    for (int i = 0; i <= last(); ++i) count += layer(i).outputs * (layer(i).inner + 1);
    return count;
  }
};

/// Weights and biases of one layer out of the flat array W₀, b₀, W₁, b₁, …
struct MlpLayer {
  Values w, b;
};
inline std::vector<MlpLayer> mlp_layers(const MlpShape& s, const Values& parameters) {
  std::vector<MlpLayer> layers;
  auto at = parameters.begin();
  for (int i = 0; i <= s.last(); ++i) {
    const LinearShape l = s.layer(i);
    const auto weights = at + l.outputs * l.inner, biases = weights + l.outputs;
    layers.push_back({Values(at, weights), Values(weights, biases)});
    at = biases;
  }
  return layers;
}

/// The values of all layers, the input first and the output last.
inline std::vector<Values> mlp(const MlpShape& s, const std::vector<MlpLayer>& layers, const Values& x,
                               Pattern& pattern) {
  std::vector<Values> values{x};
  for (int i = 0; i <= s.last(); ++i) {
    const MlpLayer& l = layers[static_cast<size_t>(i)];
    values.push_back(linear(s.layer(i), values.back(), l.w, l.b, pattern));
  }
  return values;
}

struct MlpGradients {
  Values parameters, x;
};
inline MlpGradients mlp_backward(const MlpShape& s, const std::vector<MlpLayer>& layers,
                                 const std::vector<Values>& values, const Values& dy) {
  MlpGradients out{{}, dy};
  for (int i = s.last(); i >= 0; --i) {
    const auto n = static_cast<size_t>(i);
    const LinearGradients g = linear_backward(s.layer(i), values[n], layers[n].w, values[n + 1], out.x);
    out.parameters.insert(out.parameters.begin(), g.b.begin(), g.b.end());
    out.parameters.insert(out.parameters.begin(), g.w.begin(), g.w.end());
    out.x = g.x;
  }
  return out;
}

}  // namespace recon::reference
