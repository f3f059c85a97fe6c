#pragma once
#include "kernels/runtime/device.h"
#include "kernels/runtime/scalar.h"

namespace recon {

/// loss[b] = Σ_p (ctf · prediction − target)²  and, when wanted, dprediction += 2 · scale · ctf · (ctf · prediction −
/// target): the Gaussian white-noise likelihood of paper eq. 3.  prediction, target, ctf (empty: 1), dprediction: [B,
/// P].
struct SquaredError {
  View<const float> prediction, target, ctf;
  View<float> loss;
  View<float> dprediction;
  Scalar<float> scale = 1.0f;
};

/// out[0] = Σ values · scale, in double, in order.
struct SumValues {
  View<const float> values;
  View<double> out;
  double scale = 1;
  bool accumulate = false;
};

void squared_error(Device& device, const SquaredError& args);
void sum_values(Device& device, const SumValues& args);

}  // namespace recon
