#include "engine/train/stages.h"

#include <algorithm>

namespace recon {
namespace {

/// Search epochs of a race, at least: enough steps to tell a right basin from a wrong one (bench/results/, random
/// starts).
int race_epochs(const TrainConfig& config, int64_t images) {
  constexpr int64_t passes = 2500;  // of images, an epoch or several
  const int64_t wanted =
      config.race_epochs > 0 ? config.race_epochs : std::max<int64_t>(2, (passes + images - 1) / images);
  const int most = config.search_epochs > 0 ? config.search_epochs : config.epochs;
  return static_cast<int>(std::min<int64_t>(wanted, most));
}

}  // namespace

int PlannedStage::epochs() const {
  return race ? std::min(config.epochs, config.random_pose_epochs + config.race_epochs) : config.epochs;
}

int64_t PlannedStage::images(int64_t all) const {
  if (half > 0) return (all + 1) / 2;
  return race && config.race_images > 0 ? std::min<int64_t>(all, config.race_images) : all;
}

std::vector<PlannedStage> plan_stages(const RunConfig& config, int64_t images) {
  std::vector<PlannedStage> stages;
  TrainConfig first = config.stages.front();
  const int64_t some = first.race_images > 0 ? std::min<int64_t>(images, first.race_images) : images;
  first.race_epochs = race_epochs(first, some);
  // After a race on a part of the images the others have neither pose nor row in a latent table: the next epoch has to
  // search, and the table must not have begun.
  const int next = first.random_pose_epochs + first.race_epochs;
  const bool early_table =
      first.model.source == LatentSource::table && (config.latents || first.latent_start_epoch <= next);
  if (next >= first.epochs || Trainer::stage_of(first, next) != Trainer::Stage::search || early_table)
    first.race_images = 0;
  for (int start = 0; first.poses == PoseMode::search && first.starts > 1 && start < first.starts; ++start) {
    PlannedStage race{.config = first, .race = true};
    race.config.seed = race.config.model.seed = first.seed + static_cast<uint64_t>(start);
    stages.push_back(race);
  }
  for (const TrainConfig& stage : config.stages) {
    const bool is_first = &stage == &config.stages.front();
    stages.push_back({.config = is_first ? first : stage});
    if (!is_first) stages.back().config.poses = PoseMode::given;
  }
  stages.back().last_full = true;
  for (int half = 1; config.half_maps && half <= 2; ++half) {
    stages.push_back({.config = config.stages.back(), .half = half});
    // Networks that began with the same weights would agree in what no image shows.
    stages.back().config.seed = stages.back().config.model.seed = first.seed + static_cast<uint64_t>(half);
    stages.back().config.poses = PoseMode::given;
  }
  return stages;
}

void Pace::saw(Trainer::Stage kind, double seconds_an_image) { an_image_[kind] = now_ = seconds_an_image; }

double Pace::seconds(const TrainConfig& config, int first, int last, double images) const {
  double sum = 0;
  for (int epoch = first; epoch < last; ++epoch) {
    const auto known = an_image_.find(Trainer::stage_of(config, epoch));
    sum += images * (known == an_image_.end() ? now_ : known->second);
  }
  return sum;
}

double Pace::of_stage(const PlannedStage& stage, int epoch, int64_t done, int64_t images) const {
  return now_ * static_cast<double>(images - done) +
         seconds(stage.config, epoch + 1, stage.epochs(), static_cast<double>(images));
}

double Pace::of_stages_after(const std::vector<PlannedStage>& stages, size_t current, int64_t images) const {
  double sum = 0;
  for (size_t i = current + 1; i < stages.size(); ++i) {
    if (stages[i].race && i > 1) continue;
    // The stage after a race goes on where the best start stands.
    const int first = stages[i - 1].race && !stages[i].race ? stages[i - 1].epochs() : 0;
    sum += seconds(stages[i].config, first, stages[i].epochs(), static_cast<double>(stages[i].images(images)));
  }
  return sum;
}

}  // namespace recon
