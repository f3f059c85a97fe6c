#include "engine/geometry/so3_grid.h"

#include "kernels/runtime/check.h"

namespace recon {

std::vector<GridRotation> so3_grid(int level) {
  expect(level >= 0 && level <= 6, "rotation grid: the level must be in [0, 6]");
  std::vector<GridRotation> nodes;
  nodes.reserve(static_cast<size_t>(so3_size(level)));
  for (int32_t pixel = 0; pixel < so3_pixels(level); ++pixel)
    for (int32_t psi = 0; psi < so3_angles(level); ++psi) nodes.push_back({pixel, psi});
  return nodes;
}

Matrix3 grid_matrix(GridRotation node, int level) {
  Matrix3 matrix{};
  so3_matrix(node, level, matrix.data());
  return matrix;
}

std::array<GridRotation, 8> grid_children(GridRotation node, int level) {
  std::array<GridRotation, 8> children;
  so3_children(node, level, children.data());
  return children;
}

}  // namespace recon
