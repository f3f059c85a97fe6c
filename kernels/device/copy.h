#pragma once
// Asynchronous copies from device to shared memory (sm_80: cp.async): 16 bytes a thread that pass by the registers.
// A thread's copies belong to the group it commits next; wait_copies<N> returns when all but its last N groups have
// arrived for this thread, and a barrier makes them visible to the others.
#include "kernels/device/dialect.h"

namespace recon::cuda {

/// Both addresses aligned to 16 bytes.
RECON_DEVICE void copy_async_16(void* shared, const void* device) {
#if defined(__CUDA_ARCH__)
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(static_cast<uint32_t>(__cvta_generic_to_shared(shared))),
      "l"(device)
      : "memory");
#elif !defined(__CUDACC__)
  simt::copy_async(shared, device, 16);
#endif
}

RECON_DEVICE void copy_async(void* shared, const void* device) { copy_async_16(shared, device); }

RECON_DEVICE void commit_copies() {
#if defined(__CUDA_ARCH__)
  asm volatile("cp.async.commit_group;" ::: "memory");
#elif !defined(__CUDACC__)
  simt::commit_copies();
#endif
}

template <int InFlight>
RECON_DEVICE void wait_copies() {
#if defined(__CUDA_ARCH__)
  asm volatile("cp.async.wait_group %0;" ::"n"(InFlight) : "memory");
#elif !defined(__CUDACC__)
  simt::wait_copies(InFlight);
#endif
}

}  // namespace recon::cuda
