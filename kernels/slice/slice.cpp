#include "kernels/slice/slice.h"

#include "kernels/ops.h"

namespace recon {

void sample_slices(Device& device, const SampleSlices& a) {
  expect(a.volume.side > 0 && a.volume.oversampling > 0, "sample_slices: the volume has no size");
  expect(a.volume.values.size() == int64_t{a.volume.side} * a.volume.side * a.volume.side,
         "sample_slices: the volume must be [M*M, M]");
  expect(a.pixels.size() % 2 == 0 && a.values.cols == a.pixels.size(), "sample_slices: pixels must stand in pairs");
  expect(a.rotations.cols == 9 && a.values.rows == a.rotations.rows, "sample_slices: rotations must be [slices, 9]");
  expect(a.active.empty() || a.active.size() >= a.rotations.rows, "sample_slices: active must name every slice");
  device.ops().sample_slices(device, a);
}

}  // namespace recon
