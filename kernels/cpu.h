#pragma once
// Declarations of the CPU backend's functions, for the table in ops_cpu.cpp and for nothing else.
#include "kernels/ops.h"

namespace recon::cpu {

#include "kernels/backend_functions.inl"

}  // namespace recon::cpu
