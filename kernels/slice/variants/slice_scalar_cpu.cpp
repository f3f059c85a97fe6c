// Slices of the lattice sample by sample, as they are written down: eight loads whose addresses depend on three clamps,
// one after the other. The product gathers for 8 or 16 pixels at once.
#include "kernels/slice/variants/slice_variants_cpu.h"

#include <algorithm>

namespace recon::cpu {
namespace {

struct Cube {
  const float* data;
  int side, last;
  int64_t plane;

  /// Trilinear sample at a position in index units; positions outside are clamped to the border cell (the band is
  /// chosen inside).
  float at(float x, float y, float z) const {
    const int ix = std::min(std::max(static_cast<int>(x), 0), last),
              iy = std::min(std::max(static_cast<int>(y), 0), last),
              iz = std::min(std::max(static_cast<int>(z), 0), last);
    const float fx = x - static_cast<float>(ix), fy = y - static_cast<float>(iy), fz = z - static_cast<float>(iz);
    const float* c = data + iz * plane + int64_t{iy} * side + ix;
    const float* d = c + plane;
    const float c0 = c[0] + fx * (c[1] - c[0]), c1 = c[side] + fx * (c[side + 1] - c[side]);
    const float d0 = d[0] + fx * (d[1] - d[0]), d1 = d[side] + fx * (d[side + 1] - d[side]);
    const float lower = c0 + fy * (c1 - c0), upper = d0 + fy * (d1 - d0);
    return lower + fz * (upper - lower);
  }
};

void sample_row(const SampleSlices& a, int64_t slice) {
  const float* r = a.rotations.row(slice);
  const float scale = static_cast<float>(a.volume.oversampling), centre = static_cast<float>(a.volume.side / 2);
  const Cube cube{a.volume.values.data, a.volume.side, a.volume.side - 2, int64_t{a.volume.side} * a.volume.side};
  const float u[3] = {scale * r[0], scale * r[1], scale * r[2]}, v[3] = {scale * r[3], scale * r[4], scale * r[5]};
  float* out = a.values.row(slice);
  for (int64_t p = 0; p < a.pixels.size(); p += 2) {
    const float x = static_cast<float>(a.pixels[p].x), y = static_cast<float>(a.pixels[p].y);
    const float kx = u[0] * x + v[0] * y, ky = u[1] * x + v[1] * y, kz = u[2] * x + v[2] * y;
    out[p] = cube.at(centre + kx, centre + ky, centre + kz);
    out[p + 1] = cube.at(centre - kx, centre - ky, centre - kz);
  }
}

}  // namespace

void sample_slices_scalar(Device& device, const SampleSlices& a) {
  device.threads().run(a.rotations.rows, [&](int64_t slice, int) {
    if (a.active.empty() || a.active[slice] != 0) sample_row(a, slice);
  });
}

}  // namespace recon::cpu
