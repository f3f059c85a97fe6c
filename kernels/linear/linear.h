#pragma once
#include "kernels/runtime/device.h"

namespace recon {

/// y = x Wᵀ + b (+ x when residual), then relu when asked (paper §3.3: encoder layers).
/// x: [B, K]  w: [N, K]  b: [1, N]  y: [B, N]; residual needs N = K.
struct LinearForward {
  View<const float> x, w, b;
  View<float> y;
  bool relu = false;
  bool residual = false;
};

/// Gradients of LinearForward. dy [B, N] is overwritten by the gradient of the pre-activation. Adds to dx (empty:
/// not wanted), dw (empty: dyᵀ x is formed elsewhere, see AdamProduct) and db.
struct LinearBackward {
  View<const float> x, w, y;
  View<float> dy;
  View<float> dx, dw, db;
  bool relu = false;
  bool residual = false;
};

void linear(Device& device, const LinearForward& args);
void linear_backward(Device& device, const LinearBackward& args);

}  // namespace recon
