#include "engine/analyze/cluster.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>

#include "kernels/runtime/check.h"
#include "kernels/runtime/philox.h"

namespace recon {
namespace {

constexpr int sweeps = 10, most_rounds = 300;
constexpr int64_t block = 16'384;  // points a task; sums are formed by block, so that threads do not change their bits

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
void move_centres(ThreadPool& threads, const Rows& points, const std::vector<int32_t>& labels,
                  std::vector<float>& centres) {
  const size_t width = points.width, count = centres.size() / width;
  struct Sums {
    std::vector<double> points, sizes;
  };
  std::vector<Sums> blocks((labels.size() + block - 1) / block);
  threads.for_range(static_cast<int64_t>(labels.size()), block, [&](int64_t first, int64_t last) {
    Sums& sums = blocks[static_cast<size_t>(first / block)];
    sums = {.points = std::vector<double>(centres.size(), 0), .sizes = std::vector<double>(count, 0)};
    for (auto i = static_cast<size_t>(first); i < static_cast<size_t>(last); ++i) {
      const auto c = static_cast<size_t>(labels[i]);
      for (size_t j = 0; j < width; ++j) sums.points[c * width + j] += points[i][j];
      ++sums.sizes[c];
    }
  });
  for (size_t c = 0; c < count; ++c) {
    double size = 0;
    for (const Sums& sums : blocks) size += sums.sizes[c];
    for (size_t j = c * width; j < (c + 1) * width && size > 0; ++j) {
      double sum = 0;
      for (const Sums& sums : blocks) sum += sums.points[j];
      centres[j] = static_cast<float>(sum / size);
    }
  }
}

/// One sweep of Lloyd's: labels by the nearest centre. Gives whether one changed.
bool label_points(ThreadPool& threads, const Rows& points, const std::vector<float>& centres,
                  std::vector<int32_t>& labels) {
  std::atomic<bool> changed = false;
  threads.for_range(static_cast<int64_t>(labels.size()), block, [&](int64_t first, int64_t last) {
    bool here = false;
    for (auto i = static_cast<size_t>(first); i < static_cast<size_t>(last); ++i) {
      const auto label = static_cast<int32_t>(nearest({centres, points.width}, points[i]));
      here |= labels[i] != label;
      labels[i] = label;
    }
    if (here) changed = true;
  });
  return changed;
}

std::vector<float> first_centres(ThreadPool& threads, const Rows& points, size_t wanted, uint64_t seed) {
  const size_t count = points.count();
  const Philox random{seed, Purpose::clustering};
  const auto uniform = [&](uint64_t draw) { return uniform01_double(random.draw(draw).v[0], random.draw(draw).v[1]); };
  std::vector<float> centres;
  const auto add = [&](size_t i) { centres.insert(centres.end(), points[i].begin(), points[i].end()); };
  add(std::min(count - 1, static_cast<size_t>(uniform(0) * static_cast<double>(count))));
  std::vector<double> distance(count, INFINITY);
  for (size_t found = 1; found < wanted; ++found) {
    const auto last = std::span<const float>(centres).last(points.width);
    threads.for_range(static_cast<int64_t>(count), block, [&](int64_t from, int64_t to) {
      for (auto i = static_cast<size_t>(from); i < static_cast<size_t>(to); ++i)
        distance[i] = std::min(distance[i], squared_distance(points[i], last));
    });
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
  ThreadPool alone(1);
  for (int sweep = 0; sweep < (dimension > 1 ? sweeps : 0); ++sweep) {
    move_centres(alone, rows, labels, centres);
    label_points(alone, rows, centres, labels);
  }
  if (dimension > 1) std::sort(order.begin(), order.end());
  std::vector<std::vector<int32_t>> members(groups);
  for (const int32_t i : order) members[static_cast<size_t>(labels[static_cast<size_t>(i)])].push_back(i);
  std::erase_if(members, [](const auto& group) { return group.empty(); });
  return members;
}

Clusters kmeans(ThreadPool& threads, std::span<const float> points, int dimension, int count, uint64_t seed) {
  expect(dimension > 0 && points.size() % static_cast<size_t>(dimension) == 0, "kmeans: whole rows are wanted");
  const Rows rows{points, static_cast<size_t>(dimension)};
  expect(count >= 1 && static_cast<size_t>(count) <= rows.count(), "kmeans: from one cluster to one a point");
  std::vector<float> centres = first_centres(threads, rows, static_cast<size_t>(count), seed);
  Clusters clusters{.labels = std::vector<int32_t>(rows.count(), -1), .representatives = {}};
  for (int round = 0; round < most_rounds && label_points(threads, rows, centres, clusters.labels); ++round)
    move_centres(threads, rows, clusters.labels, centres);
  clusters.representatives.resize(static_cast<size_t>(count));
  threads.run(count, [&](int64_t c, int) {
    const auto centre = static_cast<size_t>(c);
    clusters.representatives[centre] = nearest(rows, Rows{centres, rows.width}[centre]);
  });
  return clusters;
}

}  // namespace recon
