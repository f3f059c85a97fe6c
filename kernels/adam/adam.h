#pragma once
#include "kernels/runtime/device.h"
#include "kernels/runtime/scalar.h"

namespace recon {

/// One step of Adam (Kingma & Ba 2015) over a flat range of parameters; zeroes the gradient for the next step.
/// All arrays [1, n]. `step` counts from 1.
struct Adam {
  View<float> parameters, gradients, first_moments, second_moments;
  Scalar<float> learning_rate = 1e-4f;
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  Scalar<int64_t> step = int64_t{1};
  float gradient_scale = 1;
};

/// Adam for a matrix [N, K] whose gradient is leftᵀ right, a sum of few outer products: what a minibatch makes of a
/// layer's weights. It is formed where it is used, and neither written nor read.
struct AdamProduct {
  View<float> parameters, first_moments, second_moments;  ///< [N, K]
  View<const float> left, right;                          ///< [B, N], [B, K]
  Scalar<float> learning_rate = 1e-4f;
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  Scalar<int64_t> step = int64_t{1};
};

/// Adam for the rows of a table of which a step touches a few (one latent an image): row rows[b] of `parameters` moves
/// by the gradient gradients[b]; each row counts its own steps, so an untouched row does not drift.
struct AdamRows {
  View<float> parameters, first_moments, second_moments;  ///< [N, Z]
  View<int32_t> steps;                                    ///< [1, N]
  View<const int32_t> rows;                               ///< [1, B], distinct
  View<const float> gradients;                            ///< [B, Z]
  Scalar<float> learning_rate = 1e-2f;
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
};

/// average += rate · (parameters − average): exponential moving average of the weights.
struct AverageWeights {
  View<const float> parameters;
  View<float> average;
  Scalar<float> rate = 1e-3f;
};

void adam(Device& device, const Adam& args);
void adam_product(Device& device, const AdamProduct& args);
void adam_rows(Device& device, const AdamRows& args);
void average_weights(Device& device, const AverageWeights& args);

}  // namespace recon
