#include "kernels/slice/volume_points.h"

#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

#include "kernels/cpu.h"

namespace recon::cpu {

void scatter_volume(Device&, const ScatterVolume& a) {
  std::memset(a.volume.data, 0, sizeof(float) * static_cast<size_t>(a.volume.size()));
  for (int64_t i = 0; i < a.values.rows; ++i) {
    if (a.index[i] >= 0) a.volume[a.index[i]] = a.values(i, 0);
    if (a.values.cols == 2 && a.mirror[i] >= 0) a.volume[a.mirror[i]] = a.values(i, 1);
  }
}

void pad_volume(Device& device, const PadVolume& a) {
  std::memset(a.out.data, 0, sizeof(float) * static_cast<size_t>(a.out.size()));
  std::vector<float> correction(static_cast<size_t>(a.side));
  for (int i = 0; i < a.side; ++i) {
    const double x = std::numbers::pi * (i - a.side / 2) / a.padded_side, sinc = x == 0 ? 1 : std::sin(x) / x;
    correction[static_cast<size_t>(i)] = static_cast<float>(1 / (sinc * sinc));
  }
  const int64_t side = a.side, padded = a.padded_side, offset = (padded - side) / 2;
  device.threads().run(side, [&](int64_t z, int) {
    for (int64_t y = 0; y < side; ++y) {
      const float plane = a.scale * correction[static_cast<size_t>(z)] * correction[static_cast<size_t>(y)];
      const float* from = a.density.data + (z * side + y) * side;
      float* to = a.out.data + ((z + offset) * padded + y + offset) * padded + offset;
      for (int64_t x = 0; x < side; ++x) to[x] = plane * correction[static_cast<size_t>(x)] * from[x];
    }
  });
}

}  // namespace recon::cpu
