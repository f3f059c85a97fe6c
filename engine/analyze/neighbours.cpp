#include "engine/analyze/neighbours.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include "kernels/runtime/check.h"

namespace recon {
namespace {

constexpr int32_t leaf_points = 32;
constexpr int64_t queries_a_task = 64;
/// A box is left out only where it is farther than rounding can explain.
constexpr float rounding_margin = 1.0001f;

}  // namespace

/// The best so far, in order.
struct NeighbourTree::Found {
  std::vector<std::pair<float, int32_t>> best;  ///< squared distance, point
  int32_t left_out = -1;

  void offer(float distance, int32_t point) {
    const std::pair<float, int32_t> one{distance, point};
    if (point == left_out || !(one < best.back())) return;
    size_t at = best.size() - 1;
    for (; at > 0 && one < best[at - 1]; --at) best[at] = best[at - 1];
    best[at] = one;
  }
};

NeighbourTree::NeighbourTree(std::span<const float> points, int dimension)
    : width_(static_cast<size_t>(std::max(dimension, 1))) {
  expect(dimension > 0 && !points.empty() && points.size() % width_ == 0 && points.size() / width_ < (1u << 31),
         "neighbours: whole rows, from 1 to 2^31 - 1, are wanted");
  const size_t count = points.size() / width_;
  order_.resize(count);
  std::iota(order_.begin(), order_.end(), 0);
  build(points, 0, static_cast<int32_t>(count));
  values_.resize(points.size());
  for (size_t place = 0; place < count; ++place)
    for (size_t j = 0; j < width_; ++j)
      values_[j * count + place] = points[static_cast<size_t>(order_[place]) * width_ + j];
}

/// Cuts a range at the median of its widest axis until it is small.
int32_t NeighbourTree::build(std::span<const float> points, int32_t first, int32_t count) {
  const auto number = static_cast<int32_t>(nodes_.size());
  nodes_.push_back({.first = first, .count = count});
  std::vector<float> low(width_, INFINITY), high(width_, -INFINITY);
  const auto value = [&](int32_t point, size_t axis) { return points[static_cast<size_t>(point) * width_ + axis]; };
  for (int32_t place = first; place < first + count; ++place)
    for (size_t j = 0; j < width_; ++j) {
      low[j] = std::min(low[j], value(order_[static_cast<size_t>(place)], j));
      high[j] = std::max(high[j], value(order_[static_cast<size_t>(place)], j));
    }
  boxes_.insert(boxes_.end(), low.begin(), low.end());
  boxes_.insert(boxes_.end(), high.begin(), high.end());
  if (count <= leaf_points) return number;
  size_t axis = 0;
  for (size_t j = 1; j < width_; ++j)
    if (high[j] - low[j] > high[axis] - low[axis]) axis = j;
  const int32_t half = count / 2;
  const auto begin = order_.begin() + first;
  std::nth_element(begin, begin + half, begin + count,
                   [&](int32_t a, int32_t b) { return std::pair(value(a, axis), a) < std::pair(value(b, axis), b); });
  const int32_t left = build(points, first, half), right = build(points, first + half, count - half);
  nodes_[static_cast<size_t>(number)].left = left;
  nodes_[static_cast<size_t>(number)].right = right;
  return number;
}

float NeighbourTree::box_distance(int32_t node, std::span<const float> query) const {
  const float* low = boxes_.data() + static_cast<size_t>(node) * 2 * width_;
  const float* high = low + width_;
  float sum = 0;
  for (size_t j = 0; j < width_; ++j) {
    const float outside = std::max({low[j] - query[j], query[j] - high[j], 0.0f});
    sum += outside * outside;
  }
  return sum;
}

void NeighbourTree::visit(int32_t number, std::span<const float> query, Found& found) const {
  const Node& node = nodes_[static_cast<size_t>(number)];
  if (node.left < 0) {
    float distance[leaf_points] = {};
    const auto first = static_cast<size_t>(node.first), count = static_cast<size_t>(node.count);
    for (size_t j = 0; j < width_; ++j) {
      const float* values = values_.data() + j * order_.size() + first;
      for (size_t i = 0; i < count; ++i) distance[i] += (values[i] - query[j]) * (values[i] - query[j]);
    }
    for (size_t i = 0; i < count; ++i) found.offer(distance[i], order_[first + i]);
    return;
  }
  std::pair<float, int32_t> near{box_distance(node.left, query), node.left},
      far{box_distance(node.right, query), node.right};
  if (far < near) std::swap(near, far);
  for (const auto& [distance, child] : {near, far})
    if (distance <= found.best.back().first * rounding_margin) visit(child, query, found);
}

Neighbours NeighbourTree::search(ThreadPool& threads, std::span<const float> queries, int count,
                                 bool leave_out_itself) const {
  expect(queries.size() % width_ == 0, "neighbours: queries must be whole rows");
  expect(count >= 1 && count <= size() - leave_out_itself, "neighbours: more are wanted than there are");
  const size_t rows = queries.size() / width_, wanted = static_cast<size_t>(count);
  Neighbours out{.count = count, .index = std::vector<int32_t>(rows * wanted), .distance = {}};
  out.distance.resize(rows * wanted);
  threads.for_range(static_cast<int64_t>(rows), queries_a_task, [&](int64_t first, int64_t last) {
    Found found;
    for (auto row = static_cast<size_t>(first); row < static_cast<size_t>(last); ++row) {
      found.best.assign(wanted, {INFINITY, INT32_MAX});
      found.left_out = leave_out_itself ? static_cast<int32_t>(row) : -1;
      visit(0, queries.subspan(row * width_, width_), found);
      for (size_t i = 0; i < wanted; ++i) {
        out.index[row * wanted + i] = found.best[i].second;
        out.distance[row * wanted + i] = std::sqrt(found.best[i].first);
      }
    }
  });
  return out;
}

Neighbours NeighbourTree::nearest(ThreadPool& threads, std::span<const float> queries, int count) const {
  return search(threads, queries, count, false);
}

Neighbours NeighbourTree::of_each_other(ThreadPool& threads, int count) const {
  std::vector<float> points(values_.size());
  for (size_t place = 0; place < order_.size(); ++place)
    for (size_t j = 0; j < width_; ++j)
      points[static_cast<size_t>(order_[place]) * width_ + j] = values_[j * order_.size() + place];
  return search(threads, points, count, true);
}

Graph joined(const Neighbours& neighbours, std::span<const float> values,
             const std::function<float(float, float)>& join) {
  expect(neighbours.count > 0 && values.size() == neighbours.index.size(), "graph: one value a neighbour is wanted");
  const size_t wanted = static_cast<size_t>(neighbours.count), count = neighbours.index.size() / wanted;
  std::vector<std::tuple<int32_t, int32_t, float>> edges;  // both ends of each, in order
  edges.reserve(2 * values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const auto from = static_cast<int32_t>(i / wanted);
    edges.emplace_back(from, neighbours.index[i], values[i]);
    edges.emplace_back(neighbours.index[i], from, values[i]);
  }
  std::sort(edges.begin(), edges.end());
  Graph graph{.first = std::vector<int64_t>(count + 1, 0), .to = {}, .value = {}};
  for (size_t i = 0; i < edges.size();) {
    const auto [from, to, value] = edges[i];
    const bool twice = i + 1 < edges.size() && std::get<0>(edges[i + 1]) == from && std::get<1>(edges[i + 1]) == to;
    graph.to.push_back(to);
    graph.value.push_back(join(value, twice ? std::get<2>(edges[i + 1]) : 0));
    graph.first[static_cast<size_t>(from) + 1] = static_cast<int64_t>(graph.to.size());
    i += twice ? 2 : 1;
  }
  for (size_t i = 1; i <= count; ++i) graph.first[i] = std::max(graph.first[i], graph.first[i - 1]);
  return graph;
}

}  // namespace recon
