#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/runtime/thread_pool.h"

namespace recon {

/// UMAP (McInnes, Healy & Melville 2018) into the plane, with that paper's usual values.
struct UmapOptions {
  int neighbours = 15;        ///< of a point, itself included
  double min_distance = 0.1;  ///< how close points may lie in the plane
  int epochs = 0;             ///< 0: 500 up to 10,000 points, 200 beyond
  int64_t most = 100'000;     ///< points that are laid out; of more, as many evenly spread, the others go to theirs
  uint64_t seed = 0;
};

/// a and b of 1 / (1 + a d^2b), the smooth curve that comes closest to 1 up to min_distance and exp(min_distance − d)
/// beyond it, in the least squares of 300 distances from 0 to 3.
struct UmapCurve {
  double a = 1, b = 1;
};
UmapCurve fit_umap_curve(double min_distance);

/// Places [N, 2] of points [N, dimension]. Start: the first two principal components. Each point is moved by its own
/// edges and random others while those of its round stand still, so that the places are the same for any number of
/// threads. Throws ContractError unless the points are whole rows, at least one, and neighbours at least 2.
std::vector<float> umap(ThreadPool& threads, std::span<const float> points, int dimension,
                        const UmapOptions& options = {});

}  // namespace recon
