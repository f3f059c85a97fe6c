// Textures of the hardware. Host code only.
#include <cuda_runtime_api.h>

#include "kernels/device/check_cuda.h"
#include "kernels/device/texture.h"

namespace recon::cuda {

struct CubeTexture::Impl {
  Queue& queue;
  size_t side;
  cudaArray_t array = nullptr;
  cudaTextureObject_t texture = 0;
};

CubeTexture::CubeTexture(Queue& queue, int side) : impl_(new Impl{queue, static_cast<size_t>(side)}) {
  const cudaChannelFormatDesc format = cudaCreateChannelDesc(32, 0, 0, 0, cudaChannelFormatKindFloat);
  const size_t n = impl_->side;
  check(cudaMalloc3DArray(&impl_->array, &format, cudaExtent{n, n, n}), "allocating a texture");
  cudaResourceDesc resource{};
  resource.resType = cudaResourceTypeArray;
  resource.res.array.array = impl_->array;
  cudaTextureDesc description{};
  for (cudaTextureAddressMode& mode : description.addressMode) mode = cudaAddressModeClamp;
  description.filterMode = cudaFilterModeLinear;
  description.readMode = cudaReadModeElementType;
  check(cudaCreateTextureObject(&impl_->texture, &resource, &description, nullptr), "creating a texture");
}

CubeTexture::~CubeTexture() {  // nothing is checked: after a failure every call fails
  cudaStreamSynchronize(static_cast<cudaStream_t>(impl_->queue.stream()));
  cudaDestroyTextureObject(impl_->texture);
  cudaFreeArray(impl_->array);
}

void CubeTexture::copy_from(const float* cube) {
  const size_t n = impl_->side;
  cudaMemcpy3DParms copy{};
  copy.srcPtr = cudaPitchedPtr{const_cast<float*>(cube), n * sizeof(float), n, n};
  copy.dstArray = impl_->array;
  copy.extent = cudaExtent{n, n, n};
  copy.kind = cudaMemcpyDeviceToDevice;
  check(cudaMemcpy3DAsync(&copy, static_cast<cudaStream_t>(impl_->queue.stream())), "filling a texture");
}

uint64_t CubeTexture::handle() const { return impl_->texture; }

}  // namespace recon::cuda
