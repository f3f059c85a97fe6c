#include "engine/analyze/cluster.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "kernels/runtime/check.h"
#include "kernels/runtime/philox.h"

using namespace recon;

namespace {

/// `groups` clouds of unit-variance points [N, 2], 200 apart; point i belongs to cloud i % groups.
std::vector<float> clouds(int count, int groups) {
  const Philox random{4, Purpose::test};
  std::vector<float> points;
  for (int i = 0; i < count; ++i)
    for (uint32_t j = 0; j < 2; ++j)
      points.push_back(static_cast<float>(200 * (j == 0 ? i % groups % 2 : i % groups / 2)) +
                       normal_from(random.draw(static_cast<uint64_t>(i), j).v[0]));
  return points;
}

}  // namespace

TEST_CASE("cluster: one dimension is cut into parts of equal size along the axis") {
  std::vector<float> points(40);
  for (size_t i = 0; i < points.size(); ++i) points[i] = static_cast<float>((i * 7) % 40);
  const auto members = cluster(points, 1, 4);
  REQUIRE(members.size() == 4);
  for (size_t c = 0; c < 4; ++c) {
    CHECK(members[c].size() == 10);
    for (size_t k = 0; k < members[c].size(); ++k)
      CHECK(points[static_cast<size_t>(members[c][k])] == static_cast<float>(10 * c + k));
  }
}

TEST_CASE("cluster: separate clouds are found, every point is in one cluster and no cluster is empty") {
  const auto points = clouds(120, 4);
  const auto members = cluster(points, 2, 4);
  REQUIRE(members.size() == 4);
  std::vector<int32_t> all;
  for (const auto& group : members) {
    for (const int32_t i : group) CHECK(i % 4 == group.front() % 4);
    CHECK(std::is_sorted(group.begin(), group.end()));
    all.insert(all.end(), group.begin(), group.end());
  }
  std::sort(all.begin(), all.end());
  std::vector<int32_t> expected(120);
  std::iota(expected.begin(), expected.end(), 0);
  CHECK(all == expected);
  CHECK(cluster(points, 2, 1000).size() <= 120);
  const std::vector<float> same(20, 3.0f);  // k-means leaves all but one empty
  CHECK(cluster(same, 2, 5).size() == 1);
  CHECK(cluster({}, 3, 5).empty());
}

TEST_CASE("kmeans: clouds far apart get a label each and a member stands for each") {
  const auto points = clouds(120, 4);
  ThreadPool threads(1);
  for (const uint64_t seed : {0, 1, 2}) {
    const Clusters found = kmeans(threads, points, 2, 4, seed);
    REQUIRE(found.representatives.size() == 4);
    for (size_t i = 4; i < found.labels.size(); ++i) CHECK(found.labels[i] == found.labels[i - 4]);
    for (size_t c = 0; c < 4; ++c) CHECK(found.labels[found.representatives[c]] == static_cast<int32_t>(c));
    CHECK(kmeans(threads, points, 2, 4, seed).labels == found.labels);
  }
  CHECK_THROWS_AS(kmeans(threads, points, 2, 121, 0), ContractError);
}

TEST_CASE("kmeans: labels and representatives are the same for any number of threads") {
  const auto points = clouds(50'000, 3);  // several blocks of points, and clouds that share a cluster
  ThreadPool one(1), three(3);
  const Clusters alone = kmeans(one, points, 2, 7, 5), together = kmeans(three, points, 2, 7, 5);
  CHECK(alone.labels == together.labels);
  CHECK(alone.representatives == together.representatives);
}
