#include "kernels/slice/volume_points.h"

#include "kernels/ops.h"

namespace recon {

void scatter_volume(Device& device, const ScatterVolume& a) {
  expect(a.index.size() == a.values.rows, "scatter_volume: one index a value");
  expect(a.values.cols == 1 || a.mirror.size() == a.values.rows, "scatter_volume: pairs need a mirror index");
  device.ops().scatter_volume(device, a);
}

void pad_volume(Device& device, const PadVolume& a) {
  const auto cube = [](int64_t side) { return side * side * side; };
  expect(a.side > 0 && a.padded_side >= a.side && a.side % 2 == 0 && a.padded_side % 2 == 0,
         "pad_volume: sides must be even");
  expect(a.density.size() == cube(a.side) && a.out.size() == cube(a.padded_side), "pad_volume: wrong volume sizes");
  device.ops().pad_volume(device, a);
}

}  // namespace recon
