#include "engine/train/stages.h"

#include <algorithm>

namespace recon {
namespace {

/// Search epochs of a race: enough steps to tell a right basin from a wrong one (bench/results/, random starts).
int race_epochs(const TrainConfig& config, int64_t images) {
  constexpr int64_t race_images = 2500;
  const int64_t wanted =
      config.race_epochs > 0 ? config.race_epochs : std::max<int64_t>(2, (race_images + images - 1) / images);
  const int most = config.search_epochs > 0 ? config.search_epochs : config.epochs;
  return static_cast<int>(std::min<int64_t>(wanted, most));
}

}  // namespace

std::vector<PlannedStage> plan_stages(const RunConfig& config, int64_t images) {
  std::vector<PlannedStage> stages;
  const TrainConfig& first = config.stages.front();
  for (int start = 0; first.poses == PoseMode::search && first.starts > 1 && start < first.starts; ++start) {
    PlannedStage race{.config = first, .race = true};
    race.config.seed = race.config.model.seed = first.seed + static_cast<uint64_t>(start);
    race.epochs = std::min(first.epochs, first.random_pose_epochs + race_epochs(first, images));
    stages.push_back(race);
  }
  for (const TrainConfig& stage : config.stages) {
    stages.push_back({.config = stage, .epochs = stage.epochs});
    if (&stage != &config.stages.front()) stages.back().config.poses = PoseMode::given;
  }
  stages.back().last_full = true;
  for (int half = 1; config.half_maps && half <= 2; ++half) {
    stages.push_back({.config = config.stages.back(), .half = half, .epochs = config.stages.back().epochs});
    // Networks that began with the same weights would agree in what no image shows.
    stages.back().config.seed = stages.back().config.model.seed = first.seed + static_cast<uint64_t>(half);
    stages.back().config.poses = PoseMode::given;
  }
  return stages;
}

}  // namespace recon
