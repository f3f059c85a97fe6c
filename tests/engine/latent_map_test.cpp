#include "engine/analyze/latent_map.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "kernels/runtime/check.h"
#include "kernels/runtime/philox.h"

using namespace recon;

namespace {

std::vector<float> normal_points(int count, int dimension, uint64_t seed) {
  const Philox random{seed, Purpose::test};
  std::vector<float> points;
  for (int i = 0; i < count; ++i)
    for (int j = 0; j < dimension; ++j)
      points.push_back(normal_from(random.draw(static_cast<uint64_t>(i), static_cast<uint32_t>(j)).v[0]));
  return points;
}

float distance(std::span<const float> points, int dimension, size_t a, size_t b) {
  float sum = 0;
  for (size_t j = 0; j < static_cast<size_t>(dimension); ++j) {
    const float d = points[a * size_t(dimension) + j] - points[b * size_t(dimension) + j];
    sum += d * d;
  }
  return std::sqrt(sum);
}

/// The definition: all others in order of distance, then of index.
std::vector<int32_t> nearest_of(std::span<const float> points, int dimension, size_t to, size_t count) {
  std::vector<std::pair<float, int32_t>> all;
  for (size_t i = 0; i < points.size() / static_cast<size_t>(dimension); ++i)
    if (i != to) all.emplace_back(distance(points, dimension, to, i), static_cast<int32_t>(i));
  std::sort(all.begin(), all.end());
  std::vector<int32_t> out;
  for (size_t i = 0; i < count; ++i) out.push_back(all[i].second);
  return out;
}

/// Part of the `count` nearest in the plane that are among the `count` nearest in the space.
double kept_neighbours(std::span<const float> points, int dimension, std::span<const float> plane, size_t count) {
  double kept = 0;
  const size_t images = plane.size() / 2;
  for (size_t i = 0; i < images; ++i) {
    const auto wanted = nearest_of(points, dimension, i, count), found = nearest_of(plane, 2, i, count);
    for (const int32_t one : found) kept += std::find(wanted.begin(), wanted.end(), one) != wanted.end();
  }
  return kept / static_cast<double>(images * count);
}

/// `parts` clouds of four dimensions, 20 apart; point i belongs to cloud i % parts.
std::vector<float> clouds(int count, int parts) {
  auto points = normal_points(count, 4, 5);
  for (int i = 0; i < count; ++i) points[static_cast<size_t>(4 * i)] += static_cast<float>(20 * (i % parts));
  return points;
}

}  // namespace

TEST_CASE("Neighbours: the tree finds those of the definition, equal distances by index, in any dimension") {
  ThreadPool threads(3);
  for (const int dimension : {1, 2, 5, 9}) {
    auto points = normal_points(300, dimension, 1);
    std::copy_n(points.begin(), 3 * dimension, points.end() - 3 * dimension);  // some stand at the same place
    for (float& v : points) v = dimension == 2 ? std::round(4 * v) : v;        // many do, and many are equally far
    const Neighbours found = NeighbourTree(points, dimension).of_each_other(threads, 7);
    REQUIRE(found.index.size() == 7 * 300);
    for (size_t i = 0; i < 300; ++i) {
      const auto wanted = nearest_of(points, dimension, i, 7);
      CHECK(std::equal(wanted.begin(), wanted.end(), found.index.begin() + static_cast<int64_t>(7 * i)));
      CHECK(found.distance[7 * i + 6] ==
            doctest::Approx(distance(points, dimension, i, static_cast<size_t>(wanted[6]))));
    }
  }
  const NeighbourTree tree(std::vector<float>{0, 1, 5}, 1);
  CHECK(tree.nearest(threads, std::vector<float>{4}, 2).index == std::vector<int32_t>{2, 1});
  CHECK_THROWS_AS(tree.of_each_other(threads, 3), ContractError);
}

TEST_CASE("Path: each leg is the shortest way by Bellman and Ford's definition") {
  ThreadPool threads(1);
  const int count = 200;
  const auto points = normal_points(count, 3, 2);
  const Neighbours near = NeighbourTree(points, 3).of_each_other(threads, 6);
  const Graph graph = joined(near, near.distance, [](float a, float b) { return std::max(a, b); });
  std::vector<double> best(count, INFINITY);
  best[17] = 0;
  for (int round = 0; round < count; ++round)
    for (size_t i = 0; i < count; ++i)
      for (size_t j = 0; j < 6; ++j) {  // an edge holds in both directions
        const auto to = static_cast<size_t>(near.index[6 * i + j]);
        best[to] = std::min(best[to], best[i] + near.distance[6 * i + j]);
        best[i] = std::min(best[i], best[to] + near.distance[6 * i + j]);
      }
  for (const size_t end : {3, 90, 199}) {
    const DataPath path = path_through(graph, std::vector<size_t>{17, end});
    REQUIRE(path.gaps.empty());
    CHECK(path.points.front() == 17);
    CHECK(path.points.back() == end);
    CHECK(path.length == doctest::Approx(best[end]));
    double walked = 0;
    for (size_t i = 1; i < path.points.size(); ++i) walked += distance(points, 3, path.points[i - 1], path.points[i]);
    CHECK(walked == doctest::Approx(best[end]));
  }
}

TEST_CASE("Path: between parts that no neighbours join it jumps, and says where") {
  ThreadPool threads(1);
  const auto points = clouds(120, 2);
  const Neighbours near = NeighbourTree(points, 4).of_each_other(threads, 5);
  const Graph graph = joined(near, near.distance, [](float a, float b) { return std::max(a, b); });
  const DataPath path = path_through(graph, std::vector<size_t>{0, 2, 1});
  REQUIRE(path.gaps.size() == 1);
  CHECK(path.points[path.gaps[0]] == 2);
  CHECK(path.points[path.gaps[0] + 1] == 1);
  const auto places = places_along(path, points, 4, 5);
  CHECK(std::is_sorted(places.begin(), places.end()));
  CHECK(places.front() == 0);
  CHECK_THROWS_AS(path_through(graph, std::vector<size_t>{120}), ContractError);
}

TEST_CASE("Umap: the curve is a least-squares fit, no step to either side is better") {
  const auto error = [](double a, double b) {
    double sum = 0;
    for (int i = 0; i < 300; ++i) {
      const double d = 3.0 * i / 299, wanted = d < 0.1 ? 1 : std::exp(0.1 - d);
      sum += std::pow(wanted - 1 / (1 + a * std::pow(d, 2 * b)), 2);
    }
    return sum;
  };
  const UmapCurve curve = fit_umap_curve(0.1);
  for (const double step : {0.999, 1.001}) {
    CHECK(error(curve.a * step, curve.b) > error(curve.a, curve.b));
    CHECK(error(curve.a, curve.b * step) > error(curve.a, curve.b));
  }
}

TEST_CASE("Umap: neighbours stay neighbours, better than in the plane of the principal components") {
  ThreadPool threads(2);
  std::vector<float> points;  // a curve that winds through three dimensions, thickened
  const auto noise = normal_points(400, 3, 3);
  for (int i = 0; i < 400; ++i) {
    const float t = 0.04f * static_cast<float>(i);
    const float curve[3] = {3 * std::cos(t), 3 * std::sin(t), 3 * std::sin(2.3f * t)};
    for (int j = 0; j < 3; ++j) points.push_back(curve[j] + 0.1f * noise[static_cast<size_t>(3 * i + j)]);
  }
  const auto plane = umap(threads, points, 3, {.epochs = 200});
  std::vector<float> flat;
  for (const double s : principal_components(points, 3, 2).scores) flat.push_back(static_cast<float>(s));
  const double kept = kept_neighbours(points, 3, plane, 10);
  CHECK(kept > 0.6);
  CHECK(kept > kept_neighbours(points, 3, flat, 10) + 0.1);
  ThreadPool more(3);
  CHECK(umap(more, points, 3, {.epochs = 200}) == plane);  // the same bits
  CHECK(umap(threads, points, 3, {.epochs = 200, .seed = 1}) != plane);
}

TEST_CASE("Umap: of more points than are laid out the rest stand by their neighbours; few points do no harm") {
  ThreadPool threads(2);
  const auto points = clouds(400, 2);
  const auto plane = umap(threads, points, 4, {.epochs = 100, .most = 150});
  size_t at_home = 0;  // the nearest other is of the same cloud
  for (size_t i = 0; i < 400; ++i) at_home += nearest_of(plane, 2, i, 1)[0] % 2 == static_cast<int32_t>(i % 2);
  CHECK(at_home == 400);
  for (const int few : {1, 2, 3, 20})
    for (const float v : umap(threads, std::span(points).first(4 * static_cast<size_t>(few)), 4))
      CHECK(std::isfinite(v));
  const std::vector<float> same(60, 2.5f);
  for (const float v : umap(threads, same, 3)) CHECK(std::isfinite(v));
}

TEST_CASE("Latents: clusters are numbered along a tour, series pass through data, one dimension is its own path") {
  ThreadPool threads(2);
  const auto points = clouds(300, 3);
  const LatentMap map = map_latents(threads, points, 4, {.clusters = 3, .steps = 5, .umap = false});
  CHECK(map.clusters.labels[0] == 0);  // the clouds lie along the first axis
  CHECK(map.clusters.labels[1] == 1);
  CHECK(map.clusters.labels[2] == 2);
  std::set<std::string> names;
  for (const LatentSeries& series : map.series) {
    names.insert(series.name);
    for (size_t i = 0; i < series.images.size(); ++i)
      CHECK(std::equal(series.z[i].begin(), series.z[i].end(), points.begin() + 4 * series.images[i]));
  }
  CHECK(names == std::set<std::string>{"kmeans", "pc1", "pc2", "path", "line"});
  const auto& line = map.series.back().z;
  for (size_t j = 0; j < 4; ++j)
    CHECK(line[2][j] == doctest::Approx((line.front()[j] + line.back()[j]) / 2).epsilon(1e-5));
  const LatentMap some =
      map_latents(threads, points, 4, {.clusters = 3, .path = {7, 250}, .umap = false, .layout = {.most = 30}});
  CHECK(some.path.points.front() == 7);
  CHECK(some.path.points.back() == 250);
  for (const size_t image : some.path.points) CHECK((image % 10 == 0 || image == 7));
  const LatentMap axis = map_latents(threads, normal_points(50, 1, 7), 1, {});
  CHECK(axis.series.size() == 2);
  CHECK_FALSE(axis.umap);
  CHECK(map_latents(threads, normal_points(4, 3, 7), 3, {}).clusters.representatives.size() == 4);
  CHECK_THROWS_AS(map_latents(threads, points, 4, {.path = {300}}), ContractError);
}
