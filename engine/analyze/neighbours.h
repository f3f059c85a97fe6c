#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "kernels/runtime/thread_pool.h"

namespace recon {

/// The nearest points of each of M queries, nearest first; of equally near ones the lower index first.
struct Neighbours {
  int count = 0;                ///< neighbours a query
  std::vector<int32_t> index;   ///< [M, count]
  std::vector<float> distance;  ///< [M, count], Euclidean
};

/// Exact search among points [N, dimension]: a k-d tree whose nodes keep the box about their points. The answer does
/// not depend on the number of threads.
class NeighbourTree {
 public:
  /// Throws ContractError unless the points are whole rows, at least one and at most 2³¹ − 1 of them.
  NeighbourTree(std::span<const float> points, int dimension);

  int64_t size() const { return static_cast<int64_t>(order_.size()); }
  /// `count` (at most all) for each of the queries [M, dimension].
  Neighbours nearest(ThreadPool& threads, std::span<const float> queries, int count) const;
  /// The points' own neighbours, themselves left out: `count`, at most N − 1.
  Neighbours of_each_other(ThreadPool& threads, int count) const;

 private:
  struct Node {
    int32_t first = 0, count = 0;  ///< of the points in the tree's order
    int32_t left = -1, right = -1;
  };
  struct Found;
  int32_t build(std::span<const float> points, int32_t first, int32_t count);
  float box_distance(int32_t node, std::span<const float> query) const;
  void visit(int32_t node, std::span<const float> query, Found& found) const;
  Neighbours search(ThreadPool& threads, std::span<const float> queries, int count, bool leave_out_itself) const;

  size_t width_;
  std::vector<int32_t> order_;  ///< point at each place of the tree
  std::vector<float> values_;   ///< [dimension, N] in the tree's order
  std::vector<Node> nodes_;
  std::vector<float> boxes_;  ///< [nodes, 2, dimension]: smallest, largest
};

/// A graph without direction: the edges of vertex i stand at first[i] .. first[i + 1], their ends ascending.
struct Graph {
  std::vector<int64_t> first;  ///< [N + 1]
  std::vector<int32_t> to;
  std::vector<float> value;
  size_t size() const { return first.size() - 1; }
};

/// Joins every point to its neighbours. The edge of i and j has the value join(a, b) of the values [N, count] that
/// each has given to the other, 0 where the other is no neighbour; `join` must not mind their order.
Graph joined(const Neighbours& neighbours, std::span<const float> values,
             const std::function<float(float, float)>& join);

}  // namespace recon
