#pragma once
#include <cuda_runtime_api.h>

#include <string>

#include "kernels/runtime/device.h"

namespace recon::cuda {

/// A failed call: no memory and no device are the machine's condition, everything else has broken the context.
inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  const std::string text = std::string("CUDA: ") + what + ": " + cudaGetErrorString(error);
  if (error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver || error == cudaErrorInvalidDevice)
    throw DeviceError(text + "; repair: check the driver (nvidia-smi), or use --device cpu");
  throw DeviceFailure(text + "; the device's state is lost, the run can be resumed from its last checkpoint");
}

}  // namespace recon::cuda
