#pragma once
#include <vector>

#include "engine/geometry/rotation.h"
#include "kernels/pose/grid.h"

namespace recon {

/// All rotations of a level of the search grid (paper appendix A), pixel by pixel, in-plane angle fastest: level 1 has
/// 576, 30° apart. Throws ContractError for a level out of [0, 6].
std::vector<GridRotation> so3_grid(int level);

Matrix3 grid_matrix(GridRotation node, int level);

/// The 8 nearest of the 16 candidates one level down; see so3_children in kernels/pose/grid.h.
std::array<GridRotation, 8> grid_children(GridRotation node, int level);

/// Step between neighbours of a level, degrees: 60/2^level.
inline double grid_step_degrees(int level) { return 60.0 / (int64_t{1} << level); }

}  // namespace recon
