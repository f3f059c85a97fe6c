#include "kernels/loss/loss.h"

#include "kernels/ops.h"

namespace recon {

void squared_error(Device& device, const SquaredError& a) {
  const auto shaped = [&](View<const float> v) { return v.rows == a.prediction.rows && v.cols == a.prediction.cols; };
  expect(shaped(a.target) && (a.ctf.empty() || shaped(a.ctf)), "squared_error: shapes differ");
  expect(a.loss.size() == a.prediction.rows, "squared_error: loss must be [1, B]");
  expect(a.dprediction.empty() || shaped(a.dprediction), "squared_error: dprediction must be shaped like prediction");
  device.ops().squared_error(device, a);
}

void sum_values(Device& device, const SumValues& a) {
  expect(a.out.size() >= 1, "sum_values: out is empty");
  device.ops().sum_values(device, a);
}

}  // namespace recon
