#pragma once
#include "kernels/device/texture.h"
#include "kernels/slice/slice.h"

namespace recon::cuda {

/// sample_slices by the texture units, out of `texture`, a copy of the lattice.
void sample_slices_texture(Device& device, const SampleSlices& args, const CubeTexture& texture);

}  // namespace recon::cuda
