#pragma once
// Adam (Kingma & Ba 2015, algorithm 1) as it is defined, in doubles: never optimised.
#include "tests/reference/compare.h"

namespace recon::reference {

struct AdamState {
  Values parameters, first, second;
  int64_t step = 0;
};

inline void adam_step(AdamState& s, const Values& gradient, double rate, double beta1, double beta2, double epsilon) {
  ++s.step;
  for (size_t i = 0; i < gradient.size(); ++i) {
    s.first[i] = beta1 * s.first[i] + (1 - beta1) * gradient[i];
    s.second[i] = beta2 * s.second[i] + (1 - beta2) * gradient[i] * gradient[i];
    const double first = s.first[i] / (1 - std::pow(beta1, double(s.step)));
    const double second = s.second[i] / (1 - std::pow(beta2, double(s.step)));
    s.parameters[i] -= rate * first / (std::sqrt(second) + epsilon);
  }
}

}  // namespace recon::reference
