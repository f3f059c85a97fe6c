#include "engine/train/health.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "engine/geometry/rotation.h"
#include "kernels/pose/grid.h"

namespace recon {
namespace {

template <class... Values>
Warning warning(const char* kind, const char* pattern, Values... values) {
  char text[600];
  const int length = std::snprintf(text, sizeof text, pattern, values...);
  return {kind, std::string(text, static_cast<size_t>(std::clamp(length, 0, 599)))};
}

/// Equal areas of the sphere: HEALPix pixels of nside 4, each view in that of the nearest centre.
constexpr int view_level = 2;
constexpr size_t view_areas = static_cast<size_t>(so3_pixels(view_level));

class ViewAreas {
 public:
  ViewAreas() {
    for (size_t i = 0; i < view_areas; ++i) {
      const auto d = healpix_direction<double>(static_cast<int32_t>(i), view_level);
      const double sine = 2 * d.sin_half_theta * d.cos_half_theta;
      centres_[i] = {sine * std::cos(d.phi), sine * std::sin(d.phi), 1 - 2 * d.sin_half_theta * d.sin_half_theta};
    }
  }
  size_t of(double x, double y, double z) const {
    size_t nearest = 0;
    double largest = -2;
    for (size_t i = 0; i < view_areas; ++i) {
      const double cosine = x * centres_[i][0] + y * centres_[i][1] + z * centres_[i][2];
      if (cosine > largest) largest = cosine, nearest = i;
    }
    return nearest;
  }

 private:
  std::array<Vector3, view_areas> centres_;
};

/// exp(entropy): how many equally filled areas would be as uneven.
double effective_areas(const std::array<int64_t, view_areas>& counts) {
  double sum = 0, entropy = 0;
  for (const int64_t c : counts) sum += static_cast<double>(c);
  for (const int64_t c : counts)
    if (c > 0) entropy -= static_cast<double>(c) / sum * std::log(static_cast<double>(c) / sum);
  return std::exp(entropy);
}

/// Areas of the views of at most so many images, and of as many even ones.
std::pair<double, double> areas_seen(std::span<const float> matrices) {
  constexpr size_t most = 20000;
  const size_t n = matrices.size() / 9, stride = std::max<size_t>(1, n / most);
  const ViewAreas areas;
  std::array<int64_t, view_areas> seen = {}, even = {};
  for (size_t i = 0; i < n; i += stride) {
    const auto view = matrices.subspan(9 * i + 6, 3);  // Rᵀ (0, 0, 1)ᵀ
    ++seen[areas.of(view[0], view[1], view[2])];
    const Matrix3 drawn = random_rotation({0, Purpose::random_pose}, i);
    ++even[areas.of(drawn[6], drawn[7], drawn[8])];
  }
  return {effective_areas(seen), effective_areas(even)};
}

/// Averages of a volume's cells over cubes, so that about 24 an axis remain: fine detail and noise are gone.
struct Coarse {
  std::vector<double> cells;
  size_t side = 0;
  double centre = 0;  ///< in cells
};

Coarse coarse(std::span<const float> volume, int side) {
  const size_t d = static_cast<size_t>(side), factor = std::max<size_t>(1, d / 24), n = d / factor;
  const size_t first = (d - n * factor) / 2;
  Coarse out{.cells = std::vector<double>(n * n * n, 0.0), .side = n};
  out.centre = (static_cast<double>(d / 2 - first) + 0.5) / static_cast<double>(factor) - 0.5;
  for (size_t z = 0; z < n * factor; ++z)
    for (size_t y = 0; y < n * factor; ++y)
      for (size_t x = 0; x < n * factor; ++x)
        out.cells[((z / factor) * n + y / factor) * n + x / factor] +=
            volume[((z + first) * d + y + first) * d + x + first];
  return out;
}

}  // namespace

void to_json(nlohmann::json& json, const Warning& one) { json = {{"kind", one.kind}, {"text", one.text}}; }
void from_json(const nlohmann::json& json, Warning& one) {
  one = {.kind = json.at("kind").get<std::string>(), .text = json.at("text").get<std::string>()};
}

std::optional<Warning> judge_contrast(const ContrastReport& report, bool inverted) {
  if (!report.inverted()) return {};
  return warning("contrast",
                 "the contrast is probably inverted, and the density will come out negative: in %lld images the centre "
                 "is %s than the rim (by %.0f standard errors)%s; %s",
                 static_cast<long long>(report.images), report.dark() ? "darker" : "brighter",
                 std::abs(report.centre_minus_rim_sigma),
                 report.ctf_negative > 0.5 ? ", where the CTF makes a particle darker than its surroundings" : "",
                 inverted ? "leave out --invert" : "give --invert");
}

double view_spread(std::span<const float> matrices) {
  const auto [seen, even] = areas_seen(matrices);
  return seen / even;
}

std::optional<Warning> judge_views(std::span<const float> matrices) {
  constexpr double least_spread = 0.1;
  constexpr size_t least_images = 30;
  if (matrices.size() / 9 < least_images) return {};
  const auto [seen, even] = areas_seen(matrices);
  if (seen >= least_spread * even) return {};
  return warning(
      "views",
      "most images were given the same few orientations: their views fill %.1f parts of the sphere, where "
      "even views would fill %.0f. Either the particles show few sides (look at class averages), or the pose "
      "search has collapsed: try another --seed, more --starts or a smaller --band-start",
      seen, even);
}

std::optional<Warning> judge_race(const Race& race) {
  if (race.losses.size() < 2 || race.agreed()) return {};
  return warning("starts",
                 "%s: the structure is probably wrong. Try more --starts, another --band-start, or more images",
                 race_text(race).c_str());
}

std::optional<Warning> judge_search(const SearchStatistics& statistics, double pose_change_degrees, int searched) {
  constexpr double restless_degrees = 60, nearly_all = 0.99;
  constexpr int settled_after = 4;  // epochs of search
  const auto& levels = statistics.levels;
  if (searched < settled_after || pose_change_degrees < restless_degrees || levels.size() < 2) return {};
  const bool always = std::all_of(levels.begin(), levels.end() - 1, [](const auto& level) {
    return static_cast<double>(level.capped) >= nearly_all * static_cast<double>(level.images);
  });
  if (!always) return {};
  return warning("search",
                 "the images do not tell orientations apart: after %d epochs of search half of them still turn by more "
                 "than %.0f degrees an epoch, and at every level more candidates were as good as --keep lets through. "
                 "Raise --keep, search with a smaller --band-max, give poses, or use images with more contrast",
                 searched, pose_change_degrees);
}

std::optional<Warning> judge_loss(double first, double last, int epochs_between) {
  constexpr double least_fall = 1e-4;
  constexpr int enough = 3;
  if (epochs_between < enough || first - last >= least_fall * first) return {};
  return warning(
      "loss",
      "the loss has not fallen in %d epochs (%.6f, then %.6f): the model has learned nothing from the images. "
      "Change --lr (1e-4 to 1e-3 is usual); if that does not help, check the poses, the CTF and the images",
      epochs_between, first, last);
}

std::optional<Warning> judge_latents(const TrainConfig& config, std::span<const float> z, double kl) {
  constexpr double least_kl = 0.1;      // nats a dimension
  constexpr double least_spread = 0.1;  // standard deviation of a table's values
  const bool table = config.model.source == LatentSource::table;
  if (config.model.latent == 0 || (table && config.latent_learning_rate == 0)) return {};
  if (!table && kl / config.model.latent < least_kl)
    return warning("latent",
                   "the latent has collapsed to the prior (KL %.3f nats a dimension): the encoder tells the images "
                   "nothing apart. Train longer, lower --kl-weight, or use --latent table",
                   kl / config.model.latent);
  double mean = 0, squares = 0;
  for (const float v : z) mean += v, squares += double(v) * v;
  const double n = static_cast<double>(z.size()),
               deviation = std::sqrt(std::max(0.0, squares / n - mean / n * (mean / n)));
  if (!table || deviation >= least_spread) return {};
  return warning("latent",
                 "the latent table has not spread (standard deviation %.3f): no heterogeneity was found. Train longer, "
                 "or raise --latent-lr",
                 deviation);
}

std::optional<Warning> judge_half_maps(std::span<const double> fsc) {
  constexpr double least_agreement = 0.5;
  const size_t last = std::min(fsc.size(), std::max<size_t>(4, fsc.size() / 4));  // to a quarter of Nyquist
  double sum = 0;
  for (size_t i = 1; i < last; ++i) sum += fsc[i];
  const double mean = last > 1 ? sum / static_cast<double>(last - 1) : 1;
  if (mean >= least_agreement) return {};
  return warning(
      "half_maps",
      "the half maps do not agree: their mean correlation up to a quarter of Nyquist is %.2f, so the map "
      "shows noise or wrong poses rather than a structure. Check the poses, use more images, or search again "
      "with another --seed",
      mean);
}

VolumeShape shape_of(std::span<const float> volume, int side) {
  const Coarse v = coarse(volume, side);
  std::vector<double> sums, counts;
  double sum = 0, squares = 0, all = 0;
  for (size_t z = 0; z < v.side; ++z)
    for (size_t y = 0; y < v.side; ++y)
      for (size_t x = 0; x < v.side; ++x) {
        const double r = std::hypot(static_cast<double>(x) - v.centre, static_cast<double>(y) - v.centre,
                                    static_cast<double>(z) - v.centre);
        if (r > static_cast<double>(v.side) / 2) continue;
        const auto shell = static_cast<size_t>(std::lround(r));
        if (shell >= sums.size()) sums.resize(shell + 1, 0), counts.resize(shell + 1, 0);
        const double value = v.cells[(z * v.side + y) * v.side + x];
        sums[shell] += value, counts[shell] += 1;
        sum += value, squares += value * value, all += 1;
      }
  const double mean = sum / all, variance = squares - all * mean * mean;
  double explained = 0, largest = -1e300;
  for (size_t i = 0; i < sums.size(); ++i) {
    if (counts[i] == 0) continue;
    const double average = sums[i] / counts[i];
    explained += counts[i] * (average - mean) * (average - mean);
    largest = std::max(largest, average);
  }
  const double rim = sums.back() / counts.back(), middle = (sums[0] + sums[1]) / (counts[0] + counts[1]);
  return {.round = variance > 0 ? explained / variance : 0,
          .centre = largest > rim ? (middle - rim) / (largest - rim) : 0};
}

std::optional<Warning> judge_volume(const VolumeShape& shape) {
  constexpr double round = 0.8, hollow = 0.3;
  if (shape.round < round) return {};
  return warning(
      "volume",
      "the volume is a %s: %.0f %% of its density looks the same from all sides. Unless the particle is one, "
      "its orientations were not found: try another --seed or more --starts (with --poses given: check the "
      "poses), and look for images that hold no particle",
      shape.centre < hollow ? "hollow shell" : "ball without features", 100 * shape.round);
}

StageWatch::StageWatch(const Trainer& trainer, bool resumed) : resumed_(resumed) {
  for (int epoch = 0; epoch < trainer.epoch(); ++epoch) searched_ += trainer.stage(epoch) == Trainer::Stage::search;
}

std::vector<Warning> StageWatch::epoch_ended(const Trainer& trainer) {
  std::vector<Warning> found;
  const auto add = [&](std::optional<Warning> one) {
    if (one) found.push_back(std::move(*one));
  };
  const EpochReport& r = trainer.report();
  if (r.epoch == trainer.polish_epoch() || r.band != band_) {
    if (band_ > 0) resumed_ = false;
    first_loss_ = r.loss, first_epoch_ = r.epoch, band_ = r.band;
  }
  if (!resumed_ && trainer.config().noise == NoiseMode::white)
    add(judge_loss(first_loss_, r.loss, r.epoch - first_epoch_));
  if (trainer.stage(r.epoch) != Trainer::Stage::search) return found;
  ++searched_;
  // At first, against a model that is a blob yet, images turn and views cluster, and come right.
  constexpr int settled_after = 8;
  int later = r.epoch + 1;
  while (later < trainer.config().epochs && trainer.stage(later) != Trainer::Stage::search) ++later;
  const bool last = later == trainer.config().epochs && searched_ > 1;
  if (!last && searched_ < settled_after) return found;
  add(judge_search(r.search, r.pose_change_degrees, searched_));
  add(judge_views(trainer.matrices()));
  return found;
}

}  // namespace recon
