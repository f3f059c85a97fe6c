#pragma once
#include <vector>

#include "engine/pose/slice_source.h"
#include "tests/reference/compare.h"

namespace recon::reference {

/// A density's slices.
class DensitySource : public SliceSource {
 public:
  DensitySource(Device& device, const std::vector<float>& density, int side, float scale = 1) : lattice_(device, side) {
    const Buffer<float> on = on_device(device, density, int64_t{side} * side, side);
    lattice_.fill(on.view(), scale);
  }
  void slices(View<const Pixel> pixels, View<const float> rotations, View<const int32_t> active, View<const int32_t>,
              View<float> values) override {
    lattice_.slices(pixels, rotations, active, values);
  }
  bool shared() const override { return true; }

 private:
  Lattice lattice_;
};

}  // namespace recon::reference
