#include "kernels/fourier/fourier.h"

#include "kernels/ops.h"

namespace recon {

void hartley(Device& device, const Hartley2d& a) {
  const int64_t pixels = int64_t(a.side) * a.side;
  expect(a.side > 0 && a.side % 2 == 0, "hartley: the side must be even and positive");
  expect(a.images.cols == pixels && a.hartley.cols == pixels, "hartley: images must be [count, side*side]");
  expect(a.images.rows == a.hartley.rows, "hartley: images and transform differ in count");
  device.ops().hartley2d(device, a);
}

void hartley(Device& device, const Hartley3d& a) {
  const int64_t voxels = int64_t(a.side) * a.side * a.side;
  expect(a.side > 0 && a.side % 2 == 0, "hartley: the side must be even and positive");
  expect(a.volume.size() == voxels && a.hartley.size() == voxels, "hartley: volumes must be [side*side, side]");
  device.ops().hartley3d(device, a);
}

}  // namespace recon
