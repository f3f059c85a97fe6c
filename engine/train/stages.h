#pragma once
#include <vector>

#include "engine/train/run.h"

namespace recon {

/// The stages as they are run: random starts that race, the configured stages, one a half set when half maps are
/// wanted.
struct PlannedStage {
  TrainConfig config;
  int half = 0;            ///< 1 or 2: trains on that half set
  bool race = false;       ///< a random start: it ends early, and only the best one's state is kept
  int epochs = 0;          ///< after which the stage ends
  bool last_full = false;  ///< the stage whose model is the run's result
};

/// The stages of a run on so many images, in order.
std::vector<PlannedStage> plan_stages(const RunConfig& config, int64_t images);

}  // namespace recon
