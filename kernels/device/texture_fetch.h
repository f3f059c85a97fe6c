#pragma once
// The instruction that reads a cube of texture.h: eight neighbours and their weights at once.
#include "kernels/device/dialect.h"

namespace recon::cuda {

#if !defined(__CUDACC__)
namespace emulated {
struct Cube {
  const float* data;
  int side;
};
}  // namespace emulated
#endif

/// Trilinear, in units of the index, clamped to the cube. The hardware's weights have 8 bits after the point.
RECON_DEVICE float texture_at(uint64_t texture, float x, float y, float z) {
#if defined(__CUDACC__)
  return tex3D<float>(static_cast<cudaTextureObject_t>(texture), x + 0.5f, y + 0.5f, z + 0.5f);
#else
  const auto& cube = *reinterpret_cast<const emulated::Cube*>(texture);
  const float at[3] = {x, y, z};
  int64_t low[3], high[3];
  float part[3];
  for (int axis = 0; axis < 3; ++axis) {
    const float cell = __builtin_floorf(at[axis]), last = static_cast<float>(cube.side - 1);
    part[axis] = __builtin_rintf((at[axis] - cell) * 256) / 256;
    low[axis] = static_cast<int64_t>(cell < 0 ? 0 : cell > last ? last : cell);
    high[axis] = static_cast<int64_t>(cell + 1 < 0 ? 0 : cell + 1 > last ? last : cell + 1);
  }
  const auto line = [&](int64_t v, int64_t w) {
    const float* row = cube.data + (w * cube.side + v) * cube.side;
    return row[low[0]] + part[0] * (row[high[0]] - row[low[0]]);
  };
  const auto plane = [&](int64_t w) {
    const float near = line(low[1], w), far = line(high[1], w);
    return near + part[1] * (far - near);
  };
  const float near = plane(low[2]), far = plane(high[2]);
  return near + part[2] * (far - near);
#endif
}

}  // namespace recon::cuda
