#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "engine/analyze/neighbours.h"

namespace recon {

/// A way through data that stays where data is: every step goes from a point to one that is its neighbour.
struct DataPath {
  std::vector<size_t> points;
  std::vector<size_t> gaps;  ///< i: no way leads from points[i] to points[i + 1], which are anchors of separate parts
  double length = 0;         ///< of all steps but the gaps
};

/// The shortest way over the edges of `graph` (values: lengths) from each anchor to the next (Dijkstra 1959). Throws
/// ContractError for no anchor or one that is no vertex.
DataPath path_through(const Graph& graph, std::span<const size_t> anchors);

/// `count` places of the path at even distances along it, its ends included: indices into path.points. The
/// steps are measured between points [N, dimension]; gaps count nothing.
std::vector<size_t> places_along(const DataPath& path, std::span<const float> points, int dimension, int count);

/// An order in which to visit points [count, dimension]: from the one of the lowest first principal component always to
/// the nearest not visited yet.
std::vector<size_t> tour(std::span<const float> points, int dimension);

}  // namespace recon
