// Volumes from points and for interpolation, on the GPU: bound by memory.
#include "kernels/slice/volume_points.h"

#include <algorithm>
#include <numbers>

#include "kernels/cuda.h"
#include "kernels/device/dialect.h"

namespace recon::cuda {
namespace {

// A thread a point, so that a point that is its own opposite (k = 0) is written in order: first, then second value.
// Floor: 4 bytes a voxel to zero, and a 32-byte sector a point: neighbours along x share it.
RECON_KERNEL(256) scatter_volume_kernel(ScatterVolume a) {
  const bool paired = a.values.cols == 2;
  for (int64_t i = grid_thread(); i < a.values.rows; i += grid_threads()) {
    const int32_t at = a.index[i], opposite = paired ? a.mirror[i] : -1;
    if (at >= 0) a.volume[at] = a.values(i, 0);
    if (opposite >= 0) a.volume[opposite] = a.values(i, 1);
  }
}

/// sin(x)/x for |x| ≤ π/2 to 1e-11: ten terms of its series. The library's sine keeps an array for angles of any size.
RECON_HD double sinc(double x) {
  const double x2 = x * x;
  double sum = 1;
  for (int k = 9; k > 0; --k) sum = 1 - sum * x2 / (2 * k * (2 * k + 1));
  return sum;
}

/// 1/sinc² of the places of an axis, in doubles: a thread a place, so that there is no table to upload.
RECON_KERNEL(128) correction_kernel(float* correction, int side, int padded_side) {
  const auto i = static_cast<int>(grid_thread());
  if (i >= side) return;
  const double value = sinc(std::numbers::pi * (i - side / 2) / padded_side);
  correction[i] = static_cast<float>(1 / (value * value));
}

// Floor: 4 bytes written a padded voxel and 4 read a voxel. A block a line, so that zeros and values are one pass.
RECON_KERNEL(128) pad_volume_kernel(PadVolume a, const float* correction) {
  const int64_t padded = a.padded_side, offset = (padded - a.side) / 2;
  for (int64_t line = blockIdx.x; line < padded * padded; line += gridDim.x) {
    const int64_t z = line / padded - offset, y = line % padded - offset;
    const bool inside = z >= 0 && z < a.side && y >= 0 && y < a.side;
    const float plane = inside ? a.scale * correction[z] * correction[y] : 0.0f;
    const float* from = a.density.data + (z * a.side + y) * a.side;
    for (int64_t i = thread(); i < padded; i += blockDim.x) {
      const int64_t x = i - offset;
      a.out[line * padded + i] = inside && x >= 0 && x < a.side ? plane * correction[x] * from[x] : 0.0f;
    }
  }
}

}  // namespace

void scatter_volume(Device& device, const ScatterVolume& a) {
  Queue& queue = queue_of(device);
  queue.zero(a.volume.data, static_cast<size_t>(a.volume.size()) * sizeof(float));
  launch(queue, "scatter_volume", covering(a.values.rows), scatter_volume_kernel, a);
}

void pad_volume(Device& device, const PadVolume& a) {
  Queue& queue = queue_of(device);
  float* correction = device.workspace(static_cast<size_t>(a.side));
  launch(queue, "pad_volume: correction", covering(a.side, 128), correction_kernel, correction, a.side, a.padded_side);
  launch(queue, "pad_volume",
         {.blocks = std::min<int64_t>(int64_t{a.padded_side} * a.padded_side, 1 << 16), .threads = 128},
         pad_volume_kernel, a, correction);
}

}  // namespace recon::cuda
