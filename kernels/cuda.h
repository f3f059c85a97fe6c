#pragma once
// Declarations of the CUDA backend's functions, for the table in ops_cuda.cpp and for nothing else.
#include "kernels/ops.h"

namespace recon::cuda {

#include "kernels/backend_functions.inl"

}  // namespace recon::cuda
