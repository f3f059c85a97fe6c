#pragma once
// One step of Adam by all threads of a grid: the body of adam_kernel, whose file says what limits it.
#include <cmath>

#include "kernels/adam/adam.h"
#include "kernels/device/pointwise.h"

namespace recon::cuda {

/// The factors of one step.
struct Rates {
  float step_size, root_correction;
};

struct Decay {
  float beta1, beta2, epsilon;
  double log_beta1, log_beta2;

  template <class Step>
  explicit Decay(const Step& a)
      : beta1(a.beta1),
        beta2(a.beta2),
        epsilon(a.epsilon),
        log_beta1(std::log(double(a.beta1))),
        log_beta2(std::log(double(a.beta2))) {}

  /// 1 − βᵗ without the cancellation of the first steps.
  RECON_HD Rates rates_at(int64_t step, float learning_rate) const {
    const double t = static_cast<double>(step), c1 = -std::expm1(t * log_beta1), c2 = -std::expm1(t * log_beta2);
    return {static_cast<float>(learning_rate / c1), static_cast<float>(1 / std::sqrt(c2))};
  }
  RECON_HD void update(float& p, float d, float& m, float& v, const Rates& r) const {
    m = beta1 * m + (1 - beta1) * d;
    v = beta2 * v + (1 - beta2) * d * d;
    p -= r.step_size * m / (std::sqrt(v) * r.root_correction + epsilon);
  }
};

/// What all threads share of the step's rates stands in shared memory.
RECON_DEVICE void adam_elements(const Adam& a, const Decay& decay, const Cut& cut) {
  auto& shared = shared_memory<Rates>();
  if (thread() == 0) shared = decay.rates_at(a.step.get(), a.learning_rate.get());
  __syncthreads();
  const Rates rates = shared;
  for_each_cut(cut, [&](auto width, int64_t at) {
    constexpr int n = decltype(width)::value;
    auto p = load<n>(a.parameters.data + at), g = load<n>(a.gradients.data + at);
    auto m = load<n>(a.first_moments.data + at), v = load<n>(a.second_moments.data + at);
    RECON_UNROLL
    for (int j = 0; j < n; ++j) {
      decay.update(p.v[j], g.v[j] * a.gradient_scale, m.v[j], v.v[j], rates);
      g.v[j] = 0;
    }
    store(a.parameters.data + at, p);
    store(a.gradients.data + at, g);
    store(a.first_moments.data + at, m);
    store(a.second_moments.data + at, v);
  });
}

}  // namespace recon::cuda
