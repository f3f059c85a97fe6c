#include "engine/train/run_plan.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "engine/geometry/lattice.h"
#include "engine/train/clock.h"
#include "engine/train/stages.h"

namespace recon {
namespace {

/// A group that takes longer than this is not timed again.
constexpr double long_group_seconds = 15;
/// Kinds of epochs of a stage that are timed; the others take the time of the nearest.
constexpr size_t most_kinds = 4;

io::ParticleTable first_images(const io::ParticleTable& all, int64_t count) {
  io::ParticleTable some = all;
  const auto cut = [&](auto& values) { values.resize(std::min(values.size(), static_cast<size_t>(count))); };
  cut(some.images);
  cut(some.ctf);
  cut(some.euler_deg);
  cut(some.shift_px);
  cut(some.half_set);
  return some;
}

/// Epochs that are alike take the same time an image.
std::string kind_of(const Trainer& trainer, int epoch) {
  const Trainer::Stage stage = trainer.stage(epoch);
  std::string text = stage == Trainer::Stage::random   ? "random poses"
                     : stage == Trainer::Stage::fixed  ? "fixed poses"
                     : trainer.searches_jointly(epoch) ? "search for pose and latent"
                                                       : "pose search";
  return text + " to |k| = " + std::to_string(std::lround(trainer.band(epoch)));
}

/// A stage on the first images of the set.
class Sample {
 public:
  Sample(Device& device, const io::ParticleTable& particles, const PreparationConfig& preparation,
         const TrainConfig& stage, int64_t count) {
    const auto start = Clock::now();
    const io::ParticleTable some = first_images(particles, count);
    data_ = prepare(device, some, preparation);
    prepare_seconds_ = seconds_since(start);
    trainer_ = std::make_unique<Trainer>(device, data_, stage);
    std::vector<float> matrices, shifts;
    given_poses(some, matrices, shifts);
    if (stage.poses == PoseMode::given && !matrices.empty()) trainer_->set_poses(matrices, shifts);
  }

  Trainer& trainer() { return *trainer_; }
  double prepare_seconds() const { return prepare_seconds_; }
  int64_t images() const { return data_.count; }

  /// Seconds an image of an epoch that is under way; the first group only warms up.
  double seconds_an_image(int epoch) {
    double seconds = 0;
    int64_t images = 0;
    for (int turn = 0; turn < 2 && seconds < long_group_seconds; ++turn) {
      if (turn == 0 || trainer_->epoch() != epoch) trainer_->restore({.epoch = epoch, .cursor = 1});
      const int64_t before = trainer_->progress().cursor;
      const auto start = Clock::now();
      trainer_->step_group();
      (void)trainer_->report();  // waits for the device
      seconds = seconds_since(start);
      images = trainer_->report().images - before;
    }
    return seconds / static_cast<double>(std::max<int64_t>(1, images));
  }

  /// Seconds that the beginning of an epoch takes before its first group.
  double seconds_to_begin(int epoch, double an_image) {
    trainer_->restore({.epoch = epoch});
    const auto start = Clock::now();
    trainer_->step_group();
    const double images = static_cast<double>(trainer_->report().images);
    return std::max(0.0, seconds_since(start) - images * an_image);
  }

 private:
  Dataset data_;
  std::unique_ptr<Trainer> trainer_;
  double prepare_seconds_ = 0;
};

/// Of one configured stage: what every epoch takes an image, and what some take to begin.
struct StageTimes {
  std::vector<double> an_image;         ///< an epoch
  std::vector<std::string> what;        ///< an epoch
  std::map<int, double> begins_images;  ///< epoch -> seconds an image of the set
  std::map<int, std::string> begins_what;
};

/// The kinds' first epochs, thinned out.
std::vector<int> epochs_to_time(const std::vector<std::string>& what) {
  std::vector<int> first;
  std::map<std::string, bool> known;
  for (size_t e = 0; e < what.size(); ++e)
    if (!std::exchange(known[what[e]], true)) first.push_back(static_cast<int>(e));
  std::vector<int> some;
  const size_t count = std::min(first.size(), most_kinds);
  for (size_t i = 0; i < count; ++i) some.push_back(first[count > 1 ? i * (first.size() - 1) / (count - 1) : 0]);
  return some;
}

/// Epochs that do more than train before their first group.
std::map<int, std::string> beginnings(const Trainer& trainer) {
  const TrainConfig& c = trainer.config();
  std::map<int, std::string> out;
  if (trainer.polish_epoch() < c.epochs) out[trainer.polish_epoch()] = "poses off the grid";
  if (c.linear_latents && c.latent_start_epoch < c.epochs) out[c.latent_start_epoch] = "linear start of latents";
  return out;
}

/// Seconds an image of every epoch; of kinds that were not timed, of the nearest epoch that was.
std::vector<double> seconds_of_epochs(Sample& sample, const std::vector<std::string>& what) {
  std::map<int, double> timed;
  for (const int epoch : epochs_to_time(what)) timed[epoch] = sample.seconds_an_image(epoch);
  std::map<std::string, double> by_kind;
  for (const auto& [epoch, seconds] : timed) by_kind[what[static_cast<size_t>(epoch)]] = seconds;
  std::vector<double> out;
  for (int epoch = 0; epoch < static_cast<int>(what.size()); ++epoch) {
    const auto same = by_kind.find(what[static_cast<size_t>(epoch)]);
    const auto nearest = std::min_element(timed.begin(), timed.end(), [&](const auto& a, const auto& b) {
      return std::abs(a.first - epoch) < std::abs(b.first - epoch);
    });
    out.push_back(same != by_kind.end() ? same->second : nearest->second);
  }
  return out;
}

StageTimes time_stage(Device& device, const io::ParticleTable& particles, const RunConfig& config,
                      const TrainConfig& stage, TimePlan& plan) {
  const int64_t group = stage.poses == PoseMode::given ? 50 * stage.batch : stage.macro_batch;
  const int64_t count = std::min(particles.size(), 2 * group + 2), few = std::max<int64_t>(2, count / 2);
  const double all = static_cast<double>(particles.size());
  plan.sample = std::max(plan.sample, count);
  StageTimes times;
  std::map<int, double> begun;
  {
    Sample sample(device, particles, config.preparation, stage, count);
    plan.prepare_seconds = sample.prepare_seconds() * all / static_cast<double>(count);
    for (int epoch = 0; epoch < stage.epochs; ++epoch) times.what.push_back(kind_of(sample.trainer(), epoch));
    times.an_image = seconds_of_epochs(sample, times.what);
    times.begins_what = beginnings(sample.trainer());
    for (const auto& [epoch, what] : times.begins_what)
      begun[epoch] = sample.seconds_to_begin(epoch, times.an_image[static_cast<size_t>(epoch)]);
  }
  if (begun.empty()) return times;
  // What does not grow with the set (maps, transforms) is told from what does by half as many images.
  Sample half(device, particles, config.preparation, stage, few);
  for (const auto& [epoch, whole] : begun) {
    const double part = half.seconds_to_begin(epoch, times.an_image[static_cast<size_t>(epoch)]);
    const double slope = std::max(0.0, (whole - part) / static_cast<double>(std::max<int64_t>(1, count - few)));
    times.begins_images[epoch] = slope + std::max(0.0, whole - slope * static_cast<double>(count)) / all;
  }
  return times;
}

}  // namespace

TimePlan plan_time(Device& device, const io::ParticleTable& particles, const RunConfig& config) {
  const auto start = Clock::now();
  TimePlan plan;
  std::vector<StageTimes> times;
  for (const TrainConfig& stage : config.stages) times.push_back(time_stage(device, particles, config, stage, plan));
  std::map<std::string, std::pair<double, double>> spent;  // images, seconds
  std::vector<std::string> order;
  const auto spend = [&](const std::string& what, double images, double seconds) {
    if (!spent.contains(what)) order.push_back(what);
    spent[what].first += images;
    spent[what].second += seconds;
  };
  int races = 0, race = 0;
  size_t full = 0;
  for (const PlannedStage& stage : plan_stages(config, particles.size())) {
    if (stage.race && ++race > 2) continue;
    // A stage after races goes on where the best of them stands.
    const bool first = !stage.race && full == 0 && stage.half == 0;
    const StageTimes& t = times[stage.half > 0 ? times.size() - 1 : full];
    const double images = static_cast<double>(stage.images(particles.size()));
    for (int epoch = first ? races : 0; epoch < stage.epochs(); ++epoch) {
      // Half maps keep the poses, whatever the configured stage does.
      const size_t at = stage.half > 0 ? t.an_image.size() - 1 : static_cast<size_t>(epoch);
      spend(t.what[at], images, images * t.an_image[at]);
      if (stage.race && race == 1) plan.start_seconds += images * t.an_image[at];
      if (const auto begins = t.begins_images.find(epoch); begins != t.begins_images.end() && stage.half == 0)
        spend(t.begins_what.at(epoch), images, images * begins->second);
    }
    if (stage.race) races = stage.epochs();
    if (!stage.race && stage.half == 0) ++full;
  }
  plan.seconds = plan.prepare_seconds;
  for (const std::string& what : order) {
    const auto [images, seconds] = spent[what];
    plan.seconds += seconds;
    plan.parts.push_back({what, images, seconds > 0 ? images / seconds : 0});
  }
  plan.measured_seconds = seconds_since(start);
  plan.peak = device.bytes_peak();
  return plan;
}

int64_t count_parameters(Device& device, const RunConfig& config) {
  const auto counting = Device::counting(device);
  int64_t most = 0;
  for (const TrainConfig& stage : config.stages) {
    const auto inputs = static_cast<int64_t>(circular_pixels(stage.model.side, stage.model.side / 2.0).size());
    Model model(counting ? *counting : device, stage.model, inputs, 1);
    most = std::max(most, model.parameters().size());
  }
  return most;
}

DiskPlan plan_disk(const RunConfig& config, const io::ParticleTable& particles, int64_t parameters,
                   const std::string& folder) {
  constexpr size_t header = 16384, picture = 200000, event = 2000, mrc_header = 1024;
  const auto n = static_cast<size_t>(particles.size());
  const TrainConfig& last = config.stages.back();
  const auto side = static_cast<size_t>(particles.side), latent = static_cast<size_t>(last.model.latent);
  const size_t volume = 4 * side * side * side + mrc_header;
  DiskPlan plan;
  // Weights, two moments and their average; poses; noise weights; the latent table with its moments and steps.
  plan.checkpoint = header + 16 * static_cast<size_t>(parameters) + 44 * n + 4 * side * side +
                    (last.model.source == LatentSource::table ? (12 * latent + 4) * n : 0);
  const size_t columns = 80, new_row = 140;  // five pose columns; all of a row where the input is a bare stack
  std::error_code error;
  const auto star = particles.source.empty() ? uintmax_t{0} : std::filesystem::file_size(config.particles, error);
  const size_t poses = star > 0 && !error ? static_cast<size_t>(star) + columns * n : new_row * n;
  size_t epochs = 0;
  for (const PlannedStage& stage : plan_stages(config, particles.size()))
    epochs += static_cast<size_t>(stage.epochs() + stage.config.settle_epochs);
  const size_t volumes = latent > 0 ? static_cast<size_t>(config.sweep) : config.half_maps ? 3 : 1;
  const size_t page =
      std::min<size_t>(5'000'000, 100'000 + 30'000 * volumes + (latent > 1 ? 4 * n : 0));  // report.html
  plan.final =
      3 * plan.checkpoint + poses + volumes * volume + picture + page + (epochs + 10) * event + header + 8 * latent * n;
  const TrainConfig& first = config.stages.front();
  const size_t starts = first.poses == PoseMode::search && first.starts > 1 ? static_cast<size_t>(first.starts) : 0;
  plan.most = plan.final + (1 + starts) * plan.checkpoint;
  std::filesystem::path place = std::filesystem::absolute(folder, error);
  while (!place.empty() && !std::filesystem::exists(place, error) && place != place.parent_path())
    place = place.parent_path();
  struct statvfs disk {};
  if (::statvfs(place.c_str(), &disk) == 0)
    plan.free = static_cast<size_t>(disk.f_bavail) * static_cast<size_t>(disk.f_frsize);
  return plan;
}

}  // namespace recon
