#pragma once
#include <string>
#include <vector>

#include "engine/train/run.h"

namespace recon {

/// How long a run will take, from a few of its steps done on the device: an estimate. It takes the first two random
/// starts to agree, and poses to settle in the least number of epochs.
struct TimePlan {
  double seconds = 0;           ///< of the whole run
  double start_seconds = 0;     ///< of a further random start; 0: there is no race
  double prepare_seconds = 0;   ///< of that, reading and preparing the images
  double measured_seconds = 0;  ///< spent on measuring
  int64_t sample = 0;           ///< images measured with
  size_t peak = 0;              ///< the most memory that the device held meanwhile (or before), bytes
  /// What the run's epochs do, and how fast.
  struct Part {
    std::string what;   ///< "pose search to |k| <= 16", "latents' linear start"
    double images = 0;  ///< that it passes over, epochs and stages together
    double images_per_second = 0;
  };
  std::vector<Part> parts;
};

/// Prepares the first few images and trains on them for two groups of every kind of epoch that the run has. Throws as
/// prepare().
TimePlan plan_time(Device& device, const io::ParticleTable& particles, const RunConfig& config);

/// What a run folder will take, bytes.
struct DiskPlan {
  size_t most = 0;   ///< while the run goes on: checkpoints are kept twice, once more while one is written,
                     ///< and once a random start while they race
  size_t final = 0;  ///< when it is finished
  size_t checkpoint = 0;
  /// What the file system of the folder (or of the first of its parents that exists) has free; 0: not known.
  size_t free = 0;
};

/// `parameters`: weights of the networks of the largest stage. Nothing is written.
DiskPlan plan_disk(const RunConfig& config, const io::ParticleTable& particles, int64_t parameters,
                   const std::string& folder);

/// Weights of the largest stage's networks.
int64_t count_parameters(Device& device, const RunConfig& config);

}  // namespace recon
