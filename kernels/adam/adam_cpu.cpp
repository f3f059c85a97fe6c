#include "kernels/adam/adam.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu.h"

namespace recon::cpu {
namespace {

struct Rates {
  float step_size, beta1, beta2, epsilon, root_correction;
};

Rates rates_at(int64_t step, float learning_rate, float beta1, float beta2, float epsilon) {
  const double c1 = 1 - std::pow(double(beta1), double(step)), c2 = 1 - std::pow(double(beta2), double(step));
  return {static_cast<float>(learning_rate / c1), beta1, beta2, epsilon, static_cast<float>(1 / std::sqrt(c2))};
}

RECON_SIMD void adam_range(float* p, float* g, float* m, float* v, int64_t count, Rates r, float scale) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const float d = g[i] * scale;
    g[i] = 0;
    m[i] = r.beta1 * m[i] + (1 - r.beta1) * d;
    v[i] = r.beta2 * v[i] + (1 - r.beta2) * d * d;
    p[i] -= r.step_size * m[i] / (__builtin_sqrtf(v[i]) * r.root_correction + r.epsilon);
  }
}

/// gradient [count] = Σ_b left[b · left_step] right[b · right_step + …]: 64 columns' sums at a time, in registers.
RECON_SIMD void product_row(const float* left, int64_t left_step, const float* right, int64_t right_step, int64_t batch,
                            int64_t count, float* gradient) {
  typedef float Vector __attribute__((vector_size(64)));
  int64_t k = 0;
  for (; k + 64 <= count; k += 64) {
    Vector sums[4] = {};
    for (int64_t b = 0; b < batch; ++b) {
      const float factor = left[b * left_step];
      Vector from[4];  // a copy, as a pointer to vectors would claim an alignment
      std::memcpy(from, right + b * right_step + k, sizeof from);
      for (int i = 0; i < 4; ++i) sums[i] += factor * from[i];
    }
    std::memcpy(gradient + k, sums, sizeof sums);
  }
  for (; k < count; ++k) {
    gradient[k] = 0;
    for (int64_t b = 0; b < batch; ++b) gradient[k] += left[b * left_step] * right[b * right_step + k];
  }
}

RECON_SIMD void average_range(const float* p, float* average, int64_t count, float rate) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) average[i] += rate * (p[i] - average[i]);
}

}  // namespace

void adam(Device& device, const Adam& a) {
  const Rates rates = rates_at(a.step.get(), a.learning_rate.get(), a.beta1, a.beta2, a.epsilon);
  device.threads().for_range(a.parameters.size(), 32768, [&](int64_t first, int64_t last) {
    adam_range(a.parameters.data + first, a.gradients.data + first, a.first_moments.data + first,
               a.second_moments.data + first, last - first, rates, a.gradient_scale);
  });
}

void adam_product(Device& device, const AdamProduct& a) {
  constexpr int64_t piece = 1024;  // columns whose gradient stays in the first-level cache
  const Rates rates = rates_at(a.step.get(), a.learning_rate.get(), a.beta1, a.beta2, a.epsilon);
  const int64_t columns = a.parameters.cols;
  device.threads().for_range(a.parameters.rows, 4, [&](int64_t first, int64_t last) {
    float gradient[piece];
    for (int64_t n = first; n < last; ++n)
      for (int64_t k = 0; k < columns; k += piece) {
        const int64_t count = std::min(piece, columns - k);
        product_row(a.left.data + n, a.left.cols, a.right.data + k, columns, a.left.rows, count, gradient);
        adam_range(a.parameters.row(n) + k, gradient, a.first_moments.row(n) + k, a.second_moments.row(n) + k, count,
                   rates, 1);
      }
  });
}

void adam_rows(Device&, const AdamRows& a) {
  const int64_t width = a.parameters.cols;
  for (int64_t b = 0; b < a.rows.size(); ++b) {
    const int64_t row = a.rows[b];
    const Rates r = rates_at(++a.steps[row], a.learning_rate.get(), a.beta1, a.beta2, a.epsilon);
    for (int64_t j = 0; j < width; ++j) {
      const float d = a.gradients(b, j);
      float &m = a.first_moments(row, j), &v = a.second_moments(row, j);
      m = r.beta1 * m + (1 - r.beta1) * d;
      v = r.beta2 * v + (1 - r.beta2) * d * d;
      a.parameters(row, j) -= r.step_size * m / (std::sqrt(v) * r.root_correction + r.epsilon);
    }
  }
}

void average_weights(Device& device, const AverageWeights& a) {
  device.threads().for_range(a.parameters.size(), 32768, [&](int64_t first, int64_t last) {
    average_range(a.parameters.data + first, a.average.data + first, last - first, a.rate.get());
  });
}

}  // namespace recon::cpu
