#include "engine/analyze/cluster.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/runtime/check.h"
#include "kernels/runtime/philox.h"

namespace recon {
namespace {

constexpr int sweeps = 10, most_rounds = 300;

/// Rows of numbers: points [N, width] or the centres of clusters.
struct Rows {
  std::span<const float> values;
  size_t width;
  size_t count() const { return values.size() / width; }
  std::span<const float> operator[](size_t i) const { return values.subspan(i * width, width); }
};

double squared_distance(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t j = 0; j < a.size(); ++j) sum += (double(a[j]) - b[j]) * (double(a[j]) - b[j]);
  return sum;
}

/// The row nearest to a point; the first of equals.
size_t nearest(const Rows& rows, std::span<const float> point) {
  size_t best = 0;
  double least = INFINITY;
  for (size_t i = 0; i < rows.count(); ++i)
    if (const double d = squared_distance(rows[i], point); d < least) {
      least = d;
      best = i;
    }
  return best;
}

/// Moves the centres to the means of their points; one without points stays.
void move_centres(const Rows& points, const std::vector<int32_t>& labels, std::vector<float>& centres) {
  const size_t width = points.width, count = centres.size() / width;
  std::vector<double> sums(centres.size(), 0), sizes(count, 0);
  for (size_t i = 0; i < labels.size(); ++i) {
    const auto c = static_cast<size_t>(labels[i]);
    for (size_t j = 0; j < width; ++j) sums[c * width + j] += points[i][j];
    ++sizes[c];
  }
  for (size_t c = 0; c < count; ++c)
    for (size_t j = 0; j < width && sizes[c] > 0; ++j)
      centres[c * width + j] = static_cast<float>(sums[c * width + j] / sizes[c]);
}

/// One sweep of Lloyd's: labels by the nearest centre. Gives whether one changed.
bool label_points(const Rows& points, const std::vector<float>& centres, std::vector<int32_t>& labels) {
  bool changed = false;
  for (size_t i = 0; i < labels.size(); ++i) {
    const auto label = static_cast<int32_t>(nearest({centres, points.width}, points[i]));
    changed |= labels[i] != label;
    labels[i] = label;
  }
  return changed;
}

std::vector<float> first_centres(const Rows& points, size_t wanted, uint64_t seed) {
  const size_t count = points.count();
  const Philox random{seed, Purpose::clustering};
  const auto uniform = [&](uint64_t draw) { return uniform01_double(random.draw(draw).v[0], random.draw(draw).v[1]); };
  std::vector<float> centres;
  const auto add = [&](size_t i) { centres.insert(centres.end(), points[i].begin(), points[i].end()); };
  add(std::min(count - 1, static_cast<size_t>(uniform(0) * static_cast<double>(count))));
  std::vector<double> distance(count, INFINITY);
  for (size_t found = 1; found < wanted; ++found) {
    const auto last = std::span<const float>(centres).last(points.width);
    for (size_t i = 0; i < count; ++i) distance[i] = std::min(distance[i], squared_distance(points[i], last));
    double left = uniform(found) * std::accumulate(distance.begin(), distance.end(), 0.0);
    size_t chosen = 0;
    for (size_t i = 0; i < count; ++i) {
      if (distance[i] > 0) chosen = i;
      left -= distance[i];
      if (left <= 0 && distance[i] > 0) break;
    }
    add(chosen);
  }
  return centres;
}

}  // namespace

std::vector<std::vector<int32_t>> cluster(std::span<const float> points, int dimension, int bins) {
  expect(dimension > 0 && bins > 0 && points.size() % static_cast<size_t>(dimension) == 0,
         "cluster: whole rows and at least one bin are wanted");
  const Rows rows{points, static_cast<size_t>(dimension)};
  const size_t count = rows.count(), groups = std::min(static_cast<size_t>(bins), count);
  std::vector<int32_t> order(count), labels(count);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return rows[static_cast<size_t>(a)][0] < rows[static_cast<size_t>(b)][0];
  });
  for (size_t i = 0; i < count; ++i) labels[static_cast<size_t>(order[i])] = static_cast<int32_t>(i * groups / count);
  std::vector<float> centres(groups * rows.width);
  for (int sweep = 0; sweep < (dimension > 1 ? sweeps : 0); ++sweep) {
    move_centres(rows, labels, centres);
    label_points(rows, centres, labels);
  }
  if (dimension > 1) std::sort(order.begin(), order.end());
  std::vector<std::vector<int32_t>> members(groups);
  for (const int32_t i : order) members[static_cast<size_t>(labels[static_cast<size_t>(i)])].push_back(i);
  std::erase_if(members, [](const auto& group) { return group.empty(); });
  return members;
}

Clusters kmeans(std::span<const float> points, int dimension, int count, uint64_t seed) {
  expect(dimension > 0 && points.size() % static_cast<size_t>(dimension) == 0, "kmeans: whole rows are wanted");
  const Rows rows{points, static_cast<size_t>(dimension)};
  expect(count >= 1 && static_cast<size_t>(count) <= rows.count(), "kmeans: from one cluster to one a point");
  std::vector<float> centres = first_centres(rows, static_cast<size_t>(count), seed);
  Clusters clusters{.labels = std::vector<int32_t>(rows.count(), -1), .representatives = {}};
  for (int round = 0; round < most_rounds && label_points(rows, centres, clusters.labels); ++round)
    move_centres(rows, clusters.labels, centres);
  for (size_t c = 0; c < static_cast<size_t>(count); ++c)
    clusters.representatives.push_back(nearest(rows, Rows{centres, rows.width}[c]));
  return clusters;
}

}  // namespace recon
