#pragma once
#include "kernels/linear/linear.h"

namespace recon::cpu {

/// linear and linear_backward by loops.
void linear_naive(Device& device, const LinearForward& args);
void linear_backward_naive(Device& device, const LinearBackward& args);

}  // namespace recon::cpu
