#pragma once
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "kernels/runtime/device.h"

namespace recon::reference {

/// The device that a test is held to: RECON_TEST_DEVICE=cuda asks for the CUDA backend, the emulated one in programs
/// that are linked with it; else the CPU with `threads` threads.
inline std::unique_ptr<Device> test_device(int threads = 2) {
  const char* name = std::getenv("RECON_TEST_DEVICE");
  return name && std::string_view(name) == "cuda" ? Device::cuda(0) : Device::cpu(threads);
}

/// How many of `all` random shapes a test takes: all of them, but an eighth where the emulated backend runs under a
/// sanitizer, which looks at every access and not at numbers.
inline uint64_t shapes(uint64_t all) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  const char* name = std::getenv("RECON_TEST_DEVICE");
  if (name && std::string_view(name) == "cuda") return all / 8 + 1;
#endif
  return all;
}

}  // namespace recon::reference
