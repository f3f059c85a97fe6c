#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/runtime/thread_pool.h"

namespace recon {

/// Groups points [N, dimension] (row-major) into at most `bins` clusters: quantiles along the axis for one dimension,
/// k-means otherwise, with a fixed number of sweeps that begin at the quantiles of the first axis, so that it is the
/// same on every machine. Returns members by cluster, ascending but for the quantiles, which follow the axis; no
/// cluster is empty. Throws ContractError unless dimension and bins are at least 1 and the points are whole rows.
std::vector<std::vector<int32_t>> cluster(std::span<const float> points, int dimension, int bins);

/// Clusters of points [N, dimension] and a point that stands for each.
struct Clusters {
  std::vector<int32_t> labels;          ///< [N], from 0
  std::vector<size_t> representatives;  ///< [count]: the point nearest to each centre
};

/// k-means until no label changes, from k-means++ centres (Arthur & Vassilvitskii 2007) that are a function of `seed`.
/// The same for any number of threads. Throws ContractError unless 1 <= count <= N.
Clusters kmeans(ThreadPool& threads, std::span<const float> points, int dimension, int count, uint64_t seed);

}  // namespace recon
