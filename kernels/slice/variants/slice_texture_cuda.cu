// Slices of the lattice by texture units, otherwise as slice_cuda.cu: a slice a block along x, pairs of pixels along y.
//
// Floor: one texture instruction a sample instead of eight loads and 15 arithmetic ones. An SM answers 4 texels a clock
// of fp32 filtered in 2-D and half of that in 3-D, 132 SMs at 1.7 GHz so 4.5e11 samples/s at best, against the eight
// loads' 9e11 (32 of 4 bytes a clock) when all hit the first-level cache. Weights have 8 fractional bits: an error of
// 2⁻⁹ of the difference of neighbours on each axis.
#include "kernels/device/pointwise.h"
#include "kernels/device/texture_fetch.h"
#include "kernels/slice/variants/slice_variants_cuda.h"

namespace recon::cuda {
namespace {

constexpr int threads = 128;

RECON_KERNEL(threads) sample_slices_texture_kernel(SampleSlices a, uint64_t texture, bool aligned) {
  const int64_t slice = blockIdx.x;
  if (!a.active.empty() && a.active[slice] == 0) return;
  const float* r = a.rotations.row(slice);
  const auto scale = static_cast<float>(a.volume.oversampling), c = static_cast<float>(a.volume.side / 2);
  float* out = a.values.row(slice);
  for (int64_t p = 2 * (int64_t{blockIdx.y} * threads + thread()); p < a.pixels.size(); p += 2 * threads * gridDim.y) {
    const float x = scale * static_cast<float>(a.pixels[p].x), y = scale * static_cast<float>(a.pixels[p].y);
    const float kx = r[0] * x + r[3] * y, ky = r[1] * x + r[4] * y, kz = r[2] * x + r[5] * y;
    store_pair(out + p, {{texture_at(texture, c + kx, c + ky, c + kz), texture_at(texture, c - kx, c - ky, c - kz)}},
               aligned);
  }
}

}  // namespace

void sample_slices_texture(Device& device, const SampleSlices& a, const CubeTexture& texture) {
  const int64_t pairs = a.pixels.size() / 2;
  launch(queue_of(device), "sample_slices_texture",
         {.blocks = a.rotations.rows,
          .threads = threads,
          .blocks_y = std::min<int64_t>((pairs + threads - 1) / threads, 65535)},
         sample_slices_texture_kernel, a, texture.handle(), misplaced(a.values.data, 2) == 0);
}

}  // namespace recon::cuda
