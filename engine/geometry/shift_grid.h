#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace recon {

/// A cell of the shift grid at some level.
struct ShiftCell {
  int32_t x = 0, y = 0;
  bool operator==(const ShiftCell&) const = default;
};

/// The grid of image shifts (paper appendix A): [−extent, extent]² in cells; level r has (cells·2^r)² of them, and a
/// candidate shift is the centre of its cell.
struct ShiftGrid {
  double extent_px = 10;
  int cells = 7;

  /// All cells of a level, x fastest. Throws ContractError for a level out of [0, 10].
  std::vector<ShiftCell> level(int level) const;
  /// Centre of a cell, pixels (x, y).
  std::array<double, 2> centre_px(ShiftCell cell, int level) const;
  /// The four quarters of a cell, one level down, x fastest.
  static std::array<ShiftCell, 4> children(ShiftCell cell);
};

}  // namespace recon
