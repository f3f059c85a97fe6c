#include "kernels/adam/adam.h"

#include "kernels/ops.h"

namespace recon {

void adam(Device& device, const Adam& a) {
  const int64_t n = a.parameters.size();
  expect(a.gradients.size() == n && a.first_moments.size() == n && a.second_moments.size() == n,
         "adam: parameters, gradients and moments differ in size");
  expect(a.step.at || a.step.value >= 1, "adam: steps count from 1");
  device.ops().adam(device, a);
}

void adam_product(Device& device, const AdamProduct& a) {
  const int64_t n = a.parameters.size();
  expect(a.first_moments.size() == n && a.second_moments.size() == n,
         "adam_product: parameters and moments differ in size");
  expect(a.left.cols == a.parameters.rows && a.right.cols == a.parameters.cols && a.left.rows == a.right.rows,
         "adam_product: left must be [B, N] and right [B, K] for parameters [N, K]");
  expect(a.step.at || a.step.value >= 1, "adam_product: steps count from 1");
  if (n > 0) device.ops().adam_product(device, a);
}

void adam_rows(Device& device, const AdamRows& a) {
  expect(a.first_moments.size() == a.parameters.size() && a.second_moments.size() == a.parameters.size() &&
             a.steps.size() == a.parameters.rows,
         "adam_rows: the table and its moments differ in size");
  expect(a.gradients.rows == a.rows.size() && a.gradients.cols == a.parameters.cols,
         "adam_rows: gradients must be [rows, Z]");
  device.ops().adam_rows(device, a);
}

void average_weights(Device& device, const AverageWeights& a) {
  expect(a.parameters.size() == a.average.size(), "average_weights: sizes differ");
  device.ops().average_weights(device, a);
}

}  // namespace recon
