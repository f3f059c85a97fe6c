#pragma once
// A cube of floats that the texture units read (texture_fetch.h).
#include <memory>

#include "kernels/device/queue.h"

namespace recon::cuda {

/// An array of its own on the device, as textures want it. Two answers: the hardware (texture_cuda.cpp) and the
/// emulator (tests/simt/texture_simt.cpp).
class CubeTexture {
 public:
  CubeTexture(Queue& queue, int side);
  ~CubeTexture();
  CubeTexture(const CubeTexture&) = delete;
  CubeTexture& operator=(const CubeTexture&) = delete;

  /// [side][side][side] in device memory, in order with what runs on the queue.
  void copy_from(const float* cube);
  uint64_t handle() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace recon::cuda
