#include "engine/analyze/path.h"

#include <algorithm>
#include <cmath>
#include <queue>

#include "engine/analyze/statistics.h"
#include "kernels/runtime/check.h"

namespace recon {
namespace {

double distance(std::span<const float> points, size_t width, size_t a, size_t b) {
  double sum = 0;
  for (size_t j = 0; j < width; ++j) {
    const double difference = double(points[a * width + j]) - points[b * width + j];
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

/// The vertices from `start` to `end`, both included; empty where no way leads there.
std::vector<size_t> shortest(const Graph& graph, size_t start, size_t end, double& length) {
  using Entry = std::pair<double, size_t>;
  std::vector<double> best(graph.size(), INFINITY);
  std::vector<size_t> from(graph.size(), graph.size());
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> open;
  best[start] = 0;
  open.emplace(0, start);
  while (!open.empty() && open.top().second != end) {
    const auto [so_far, vertex] = open.top();
    open.pop();
    if (so_far > best[vertex]) continue;
    for (auto e = static_cast<size_t>(graph.first[vertex]); e < static_cast<size_t>(graph.first[vertex + 1]); ++e) {
      const auto to = static_cast<size_t>(graph.to[e]);
      const double through = so_far + graph.value[e];
      if (through >= best[to]) continue;
      best[to] = through;
      from[to] = vertex;
      open.emplace(through, to);
    }
  }
  if (!std::isfinite(best[end])) return {};
  length += best[end];
  std::vector<size_t> way = {end};
  while (way.back() != start) way.push_back(from[way.back()]);
  std::reverse(way.begin(), way.end());
  return way;
}

}  // namespace

DataPath path_through(const Graph& graph, std::span<const size_t> anchors) {
  expect(!anchors.empty(), "path: an anchor is wanted");
  for (const size_t anchor : anchors) expect(anchor < graph.size(), "path: an anchor is no vertex of the graph");
  DataPath path{.points = {anchors[0]}, .gaps = {}};
  for (size_t i = 1; i < anchors.size(); ++i) {
    const auto way = shortest(graph, anchors[i - 1], anchors[i], path.length);
    if (way.empty()) {
      path.gaps.push_back(path.points.size() - 1);
      path.points.push_back(anchors[i]);
    } else {
      path.points.insert(path.points.end(), way.begin() + 1, way.end());
    }
  }
  return path;
}

std::vector<size_t> places_along(const DataPath& path, std::span<const float> points, int dimension, int count) {
  expect(!path.points.empty() && count > 0 && dimension > 0, "path: places along a path of at least one point");
  std::vector<double> way(path.points.size(), 0);
  for (size_t i = 1; i < way.size(); ++i) {
    const bool gap = std::binary_search(path.gaps.begin(), path.gaps.end(), i - 1);
    way[i] =
        way[i - 1] + (gap ? 0 : distance(points, static_cast<size_t>(dimension), path.points[i - 1], path.points[i]));
  }
  std::vector<size_t> places;
  for (int i = 0; i < count; ++i) {
    const double wanted = count > 1 ? way.back() * i / (count - 1) : way.back() / 2;
    const auto next = std::lower_bound(way.begin(), way.end(), wanted);
    auto place = static_cast<size_t>(next == way.end() ? way.size() - 1 : size_t(next - way.begin()));
    if (place > 0 && wanted - way[place - 1] < way[place] - wanted) --place;
    if (places.empty() || places.back() != place) places.push_back(place);
  }
  return places;
}

std::vector<size_t> tour(std::span<const float> points, int dimension) {
  const auto width = static_cast<size_t>(dimension), count = points.size() / width;
  const auto scores = principal_components(points, dimension, 1).scores;
  std::vector<size_t> order = {static_cast<size_t>(std::min_element(scores.begin(), scores.end()) - scores.begin())};
  std::vector<bool> visited(count, false);
  visited[order[0]] = true;
  while (order.size() < count) {
    size_t best = count;
    double least = INFINITY;
    for (size_t i = 0; i < count; ++i)
      if (const double d = visited[i] ? INFINITY : distance(points, width, order.back(), i); d < least)
        least = d, best = i;
    visited[best] = true;
    order.push_back(best);
  }
  return order;
}

}  // namespace recon
