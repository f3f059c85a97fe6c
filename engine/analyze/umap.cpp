#include "engine/analyze/umap.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/analyze/neighbours.h"
#include "engine/analyze/statistics.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/philox.h"

namespace recon {
namespace {

constexpr int others_a_sample = 5;   ///< random others a sample of an edge
constexpr float longest_step = 4;    ///< of each coordinate, before the learning rate
constexpr size_t layout_rounds = 8;  ///< of an epoch: points move in turns
constexpr int64_t points_a_task = 256;
constexpr float start_extent = 10;  ///< largest coordinate of the start

/// How far a point's neighbours reach: memberships are exp(−(d − nearest) / scale) and sum to log2 of their number.
struct Reach {
  double nearest = 0, scale = 1;
};

double membership(const Reach& reach, double distance) {
  return distance <= reach.nearest ? 1 : std::exp(-(distance - reach.nearest) / reach.scale);
}

Reach reach_of(std::span<const float> distances, double mean_of_all) {
  Reach reach;
  const auto nearest = std::find_if(distances.begin(), distances.end(), [](float d) { return d > 0; });
  if (nearest != distances.end()) reach.nearest = *nearest;
  const double wanted = std::log2(static_cast<double>(distances.size()) + 1);
  double low = 0, high = INFINITY;
  for (int i = 0; i < 64; ++i) {
    double sum = 0;
    for (const float d : distances) sum += membership(reach, d);
    (sum > wanted ? high : low) = reach.scale;
    reach.scale = std::isinf(high) ? 2 * reach.scale : 0.5 * (low + high);
  }
  double mean = 0;
  for (const float d : distances) mean += d / static_cast<double>(distances.size());
  reach.scale = std::max({reach.scale, 1e-3 * (reach.nearest > 0 ? mean : mean_of_all), 1e-30});
  return reach;
}

std::vector<float> memberships(const Neighbours& neighbours) {
  const auto width = static_cast<size_t>(neighbours.count);
  double mean = 0;
  for (const float d : neighbours.distance) mean += d / static_cast<double>(neighbours.distance.size());
  std::vector<float> out(neighbours.distance.size());
  for (size_t first = 0; first < out.size(); first += width) {
    const auto distances = std::span(neighbours.distance).subspan(first, width);
    const Reach reach = reach_of(distances, mean);
    for (size_t i = 0; i < width; ++i) out[first + i] = static_cast<float>(membership(reach, distances[i]));
  }
  return out;
}

using Place = std::array<float, 2>;

std::vector<Place> start(std::span<const float> points, int dimension, const Philox& random) {
  const PrincipalComponents pc = principal_components(points, dimension, 2);
  const size_t count = points.size() / static_cast<size_t>(dimension), kept = pc.variance.size();
  double largest = 1e-30;
  for (const double score : pc.scores) largest = std::max(largest, std::abs(score));
  std::vector<Place> places(count);
  for (size_t i = 0; i < count; ++i) {
    const u32x4 draw = random.draw(i, 0xFFFFFFFFu);
    for (size_t j = 0; j < 2; ++j) {
      const double score = j < kept ? pc.scores[i * kept + j] / largest : 0;
      places[i][j] = start_extent * static_cast<float>(score) + 1e-4f * normal_from(draw.v[j]);
    }
  }
  return places;
}

/// Stochastic gradient descent of the cross entropy between the memberships of the points and of their places. An edge
/// of weight w is sampled in a part w / largest of the epochs, twice, as each end also moves when the other is drawn;
/// once of these with random others, which repel.
class Layout {
 public:
  Layout(const Graph& graph, std::vector<Place> places, const UmapCurve& curve, int epochs, const Philox& random)
      : graph_(graph),
        places_(std::move(places)),
        a_(static_cast<float>(curve.a)),
        b_(static_cast<float>(curve.b)),
        epochs_(epochs),
        random_(random),
        largest_(*std::max_element(graph.value.begin(), graph.value.end())) {}

  std::vector<Place> run(ThreadPool& threads) {
    std::vector<Place> moved(places_.size());
    for (int epoch = 0; epoch < epochs_; ++epoch)
      for (size_t round = 0; round < std::min(layout_rounds, places_.size()); ++round) {
        const auto members = static_cast<int64_t>((places_.size() - round + layout_rounds - 1) / layout_rounds);
        threads.for_range(members, points_a_task, [&](int64_t first, int64_t last) {
          for (int64_t i = first; i < last; ++i) {
            const size_t point = static_cast<size_t>(i) * layout_rounds + round;
            moved[point] = move(point, epoch);
          }
        });
        for (size_t point = round; point < places_.size(); point += layout_rounds) places_[point] = moved[point];
      }
    return places_;
  }

 private:
  Place move(size_t point, int epoch) const {
    Place place = places_[point];
    const float rate = 1 - static_cast<float>(epoch) / static_cast<float>(epochs_);
    uint32_t drawn = 0;
    for (auto e = static_cast<size_t>(graph_.first[point]); e < static_cast<size_t>(graph_.first[point + 1]); ++e) {
      const double part = 2.0 * graph_.value[e] / largest_;
      const auto first = static_cast<int64_t>(part * epoch), last = static_cast<int64_t>(part * (epoch + 1));
      for (int64_t sample = first; sample < last; ++sample) {
        attract(place, places_[static_cast<size_t>(graph_.to[e])], rate);
        if (sample % 2 == 0) repel_from_others(place, point, epoch, drawn, rate);
      }
    }
    return place;
  }

  void attract(Place& place, const Place& other, float rate) const {
    const float x = place[0] - other[0], y = place[1] - other[1], squared = x * x + y * y;
    if (squared <= 0) return;
    const float power = std::pow(squared, b_), factor = -2 * a_ * b_ * (power / squared) / (1 + a_ * power);
    step(place, factor * x, factor * y, rate);
  }

  void repel_from_others(Place& place, size_t point, int epoch, uint32_t& drawn, float rate) const {
    const uint64_t index = static_cast<uint64_t>(epoch) << 32 | point;
    u32x4 words{};
    for (int i = 0; i < others_a_sample; ++i) {
      if (i % 4 == 0) words = random_.draw(index, drawn++);
      const auto other = static_cast<size_t>(uint64_t{words.v[i % 4]} * places_.size() >> 32);
      if (other == point) continue;
      const float x = place[0] - places_[other][0], y = place[1] - places_[other][1], squared = x * x + y * y;
      const float factor = 2 * b_ / ((0.001f + squared) * (1 + a_ * std::pow(squared, b_)));
      step(place, factor * x, factor * y, rate);
    }
  }

  static void step(Place& place, float x, float y, float rate) {
    place[0] += rate * std::clamp(x, -longest_step, longest_step);
    place[1] += rate * std::clamp(y, -longest_step, longest_step);
  }

  const Graph& graph_;
  std::vector<Place> places_;
  float a_, b_;
  int epochs_;
  Philox random_;
  double largest_;
};

std::vector<Place> lay_out(ThreadPool& threads, const NeighbourTree& tree, std::span<const float> points, int dimension,
                           const UmapOptions& options) {
  const Philox random{options.seed, Purpose::embedding};
  auto places = start(points, dimension, random);
  if (places.size() < 3) return places;
  const int count = static_cast<int>(std::min<int64_t>(options.neighbours, tree.size())) - 1;
  const Neighbours neighbours = tree.of_each_other(threads, count);
  const Graph graph = joined(neighbours, memberships(neighbours), [](float p, float q) { return p + q - p * q; });
  const int epochs = options.epochs > 0 ? options.epochs : places.size() <= 10'000 ? 500 : 200;
  return Layout(graph, std::move(places), fit_umap_curve(options.min_distance), epochs, random).run(threads);
}

/// Points that were not laid out: the mean of their nearest neighbours' places, by membership.
Place between(std::span<const Place> places, std::span<const int32_t> index, std::span<const float> distances) {
  const Reach reach = reach_of(distances, 0);
  double sum[2] = {0, 0}, weights = 0;
  for (size_t i = 0; i < index.size(); ++i) {
    const double weight = membership(reach, distances[i]);
    for (size_t j = 0; j < 2; ++j) sum[j] += weight * places[static_cast<size_t>(index[i])][j];
    weights += weight;
  }
  return {static_cast<float>(sum[0] / weights), static_cast<float>(sum[1] / weights)};
}

}  // namespace

UmapCurve fit_umap_curve(double min_distance) {
  UmapCurve curve;
  double damping = 1e-3, error = INFINITY;
  for (int i = 0; i < 200; ++i) {  // Levenberg-Marquardt in (log a, log b)
    double sum = 0, haa = 0, hab = 0, hbb = 0, ga = 0, gb = 0;
    for (int k = 1; k < 300; ++k) {
      const double d = 3.0 * k / 299, wanted = d < min_distance ? 1 : std::exp(min_distance - d);
      const double power = curve.a * std::pow(d, 2 * curve.b), value = 1 / (1 + power), slope = -value * value * power;
      const double ja = slope, jb = slope * 2 * curve.b * std::log(d), r = wanted - value;
      sum += r * r, haa += ja * ja, hab += ja * jb, hbb += jb * jb, ga += ja * r, gb += jb * r;
    }
    const double daa = haa * (1 + damping), dbb = hbb * (1 + damping), det = daa * dbb - hab * hab;
    const double step_a = (dbb * ga - hab * gb) / det, step_b = (daa * gb - hab * ga) / det;
    damping = sum <= error ? damping / 3 : damping * 4;
    error = sum;
    curve = {curve.a * std::exp(std::clamp(step_a, -1.0, 1.0)), curve.b * std::exp(std::clamp(step_b, -1.0, 1.0))};
    if (std::abs(step_a) + std::abs(step_b) < 1e-12) break;
  }
  return curve;
}

std::vector<float> umap(ThreadPool& threads, std::span<const float> points, int dimension, const UmapOptions& options) {
  expect(dimension > 0 && !points.empty() && points.size() % static_cast<size_t>(dimension) == 0,
         "umap: whole rows are wanted");
  expect(options.neighbours >= 2 && options.most >= 1, "umap: at least 2 neighbours and 1 point are wanted");
  const auto width = static_cast<size_t>(dimension), count = points.size() / width;
  const size_t chosen = std::min(count, static_cast<size_t>(options.most));
  std::vector<float> sample;
  for (size_t i = 0; i < chosen; ++i) {
    const auto row = points.subspan(i * count / chosen * width, width);
    sample.insert(sample.end(), row.begin(), row.end());
  }
  const NeighbourTree tree(sample, dimension);
  const auto places = lay_out(threads, tree, sample, dimension, options);
  std::vector<float> out(2 * count);
  const int around = static_cast<int>(std::min<size_t>(5, chosen));
  const bool all = chosen == count;
  const Neighbours nearest = all ? Neighbours{} : tree.nearest(threads, points, around);
  for (size_t i = 0; i < count; ++i) {
    const auto first = i * static_cast<size_t>(around), n = static_cast<size_t>(around);
    const Place place = all ? places[i]
                            : between(places, std::span(nearest.index).subspan(first, n),
                                      std::span(nearest.distance).subspan(first, n));
    out[2 * i] = place[0];
    out[2 * i + 1] = place[1];
  }
  return out;
}

}  // namespace recon
