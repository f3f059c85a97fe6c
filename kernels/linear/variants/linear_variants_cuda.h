#pragma once
#include "kernels/linear/linear.h"

namespace recon::cuda {

/// linear and linear_backward, products a thread an output.
void linear_naive(Device& device, const LinearForward& args);
void linear_backward_naive(Device& device, const LinearBackward& args);
/// The same from tiles in shared memory.
void linear_tiled(Device& device, const LinearForward& args);
void linear_backward_tiled(Device& device, const LinearBackward& args);

}  // namespace recon::cuda
