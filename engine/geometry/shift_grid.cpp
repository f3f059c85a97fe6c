#include "engine/geometry/shift_grid.h"

#include "kernels/pose/grid.h"
#include "kernels/runtime/check.h"

namespace recon {

std::vector<ShiftCell> ShiftGrid::level(int level) const {
  expect(level >= 0 && level <= 10 && cells > 0 && cells <= 1024, "shift grid: cells or level out of range");
  const int32_t side = cells << level;
  std::vector<ShiftCell> all;
  all.reserve(static_cast<size_t>(side) * static_cast<size_t>(side));
  for (int32_t y = 0; y < side; ++y)
    for (int32_t x = 0; x < side; ++x) all.push_back({x, y});
  return all;
}

std::array<double, 2> ShiftGrid::centre_px(ShiftCell cell, int level) const {
  const int32_t side = cells << level;
  return {shift_centre(cell.x, side, extent_px), shift_centre(cell.y, side, extent_px)};
}

std::array<ShiftCell, 4> ShiftGrid::children(ShiftCell cell) {
  const int32_t x = 2 * cell.x, y = 2 * cell.y;
  return {{{x, y}, {x + 1, y}, {x, y + 1}, {x + 1, y + 1}}};
}

}  // namespace recon
