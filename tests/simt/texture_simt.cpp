// Textures of the emulator: a copy in memory that kernels may read at any time, as a texture's array is.
#include <vector>

#include "kernels/device/texture.h"
#include "kernels/device/texture_fetch.h"

namespace recon::cuda {

struct CubeTexture::Impl {
  Queue& queue;
  std::vector<float> values;
  emulated::Cube cube;
};

CubeTexture::CubeTexture(Queue& queue, int side) : impl_(new Impl{queue, {}, {}}) {
  const auto n = static_cast<size_t>(side);
  impl_->values.resize(n * n * n);
  impl_->cube = {impl_->values.data(), side};
}
CubeTexture::~CubeTexture() = default;

void CubeTexture::copy_from(const float* cube) {
  impl_->queue.download(impl_->values.data(), cube, impl_->values.size() * sizeof(float));
}

uint64_t CubeTexture::handle() const { return reinterpret_cast<uint64_t>(&impl_->cube); }

}  // namespace recon::cuda
