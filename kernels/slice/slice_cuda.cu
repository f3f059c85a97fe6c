// Slices of the lattice, a thread a pair of pixels: the eight neighbours of k and of −k are sixteen loads in flight.
//
// Floor: 4 bytes written a sample, and eight loads of floats in four rows of the lattice, which the first-level cache
// answers in as many steps: neighbours in the list stand on a circle, not side by side. Pixels are ordered by radius
// and blocks by pixels first, so what runs at one time reads one shell of the lattice, which stays in L2 even where the
// lattice does not (67 MB at 256³). Considered: textures, whose weights have 8 bits (variants/); 16-bit lattices, whose
// rounding (2e-4 of a slice in fp16) is far below what trilinear leaves (2e-2), for as many loads, of half the bytes,
// where the lattice is larger than L2; pairs of neighbours as 8-byte loads, for twice the lattice.
#include "kernels/slice/slice.h"

#include "kernels/cuda.h"
#include "kernels/device/pointwise.h"

namespace recon::cuda {
namespace {

constexpr int threads = 128;

struct Cube {
  const float* data;
  int side;
  int64_t plane;

  /// The cell that an index lies in; outside, the border's.
  RECON_DEVICE int cell(float at) const {
    const int index = static_cast<int>(at);
    return index < 0 ? 0 : (index > side - 2 ? side - 2 : index);
  }
  /// Trilinear, in units of the index.
  RECON_DEVICE float at(float x, float y, float z) const {
    const int ix = cell(x), iy = cell(y), iz = cell(z);
    const float fx = x - static_cast<float>(ix), fy = y - static_cast<float>(iy), fz = z - static_cast<float>(iz);
    const float *c = data + iz * plane + int64_t{iy} * side + ix, *d = c + plane;
    const float c0 = c[0] + fx * (c[1] - c[0]), c1 = c[side] + fx * (c[side + 1] - c[side]);
    const float d0 = d[0] + fx * (d[1] - d[0]), d1 = d[side] + fx * (d[side + 1] - d[side]);
    const float near = c0 + fy * (c1 - c0), far = d0 + fy * (d1 - d0);
    return near + fz * (far - near);
  }
};

// A slice a block along x, pixels along y.
RECON_KERNEL(threads) sample_slices_kernel(SampleSlices a, bool aligned) {
  const int64_t slice = blockIdx.x;
  if (!a.active.empty() && a.active[slice] == 0) return;
  const float* r = a.rotations.row(slice);
  const auto scale = static_cast<float>(a.volume.oversampling), centre = static_cast<float>(a.volume.side / 2);
  const Cube cube{a.volume.values.data, a.volume.side, int64_t{a.volume.side} * a.volume.side};
  const float u[3] = {scale * r[0], scale * r[1], scale * r[2]}, v[3] = {scale * r[3], scale * r[4], scale * r[5]};
  float* out = a.values.row(slice);
  for (int64_t p = 2 * (int64_t{blockIdx.y} * threads + thread()); p < a.pixels.size(); p += 2 * threads * gridDim.y) {
    const auto x = static_cast<float>(a.pixels[p].x), y = static_cast<float>(a.pixels[p].y);
    const float kx = u[0] * x + v[0] * y, ky = u[1] * x + v[1] * y, kz = u[2] * x + v[2] * y;
    store_pair(out + p,
               {{cube.at(centre + kx, centre + ky, centre + kz), cube.at(centre - kx, centre - ky, centre - kz)}},
               aligned);
  }
}

}  // namespace

void sample_slices(Device& device, const SampleSlices& a) {
  const int64_t pairs = a.pixels.size() / 2;
  launch(queue_of(device), "sample_slices",
         {.blocks = a.rotations.rows,
          .threads = threads,
          .blocks_y = std::min<int64_t>((pairs + threads - 1) / threads, 65535)},
         sample_slices_kernel, a, misplaced(a.values.data, 2) == 0);
}

}  // namespace recon::cuda
