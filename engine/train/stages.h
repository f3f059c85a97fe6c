#pragma once
#include <map>
#include <vector>

#include "engine/train/run.h"

namespace recon {

/// The stages as they are run: random starts that race, the configured stages, one a half set when half maps are
/// wanted.
struct PlannedStage {
  TrainConfig config;
  int half = 0;            ///< 1 or 2: trains on that half set
  bool race = false;       ///< a random start: it ends early, and only the best one's state is kept
  bool last_full = false;  ///< the stage whose model is the run's result
  /// After which the stage ends. Grows while the configuration does (TrainConfig::settled_degrees).
  int epochs() const;
  /// Of `all` images, those that it trains on; half sets of a file may be a little larger or smaller.
  int64_t images(int64_t all) const;
};

/// The stages of a run on so many images, in order.
std::vector<PlannedStage> plan_stages(const RunConfig& config, int64_t images);

/// How long what is left of a run will take: an epoch to come lasts as long an image as the last one of its kind did,
/// or, before there was one, as the epoch at hand.
class Pace {
 public:
  /// Of the epoch at hand, so far.
  void saw(Trainer::Stage kind, double seconds_an_image);
  /// Seconds for what is left of the epoch at hand, of which `done` of `images` are done, and of its stage's others.
  double of_stage(const PlannedStage& stage, int epoch, int64_t done, int64_t images) const;
  /// Seconds for the stages after `current`, where random starts agree as soon as there are two.
  double of_stages_after(const std::vector<PlannedStage>& stages, size_t current, int64_t images) const;

 private:
  double seconds(const TrainConfig& config, int first, int last, double images) const;
  std::map<Trainer::Stage, double> an_image_;
  double now_ = 0;
};

}  // namespace recon
