#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/train/health.h"
#include "engine/train/trainer.h"
#include "io/particles.h"
#include "io/run_folder.h"

namespace recon {

/// All that decides a run's result. Stored as config.json; a run folder is resumed only with the same.
struct RunConfig {
  std::string particles;               ///< path as given
  std::optional<std::string> latents;  ///< path as given: where the latent table starts
  io::LoadOptions load;
  PreparationConfig preparation;
  std::vector<TrainConfig> stages;  ///< the first finds poses (or is given them); each later one starts anew from the
                                    ///< poses of the one before
  bool half_maps = false;  ///< afterwards train two decoders on the half sets with the final poses: half maps and FSC
  int sweep = 10;          ///< volumes along the latent's first principal component
};

/// What a run tells while it goes on.
struct RunProgress {
  int stage = 0, stages = 1;
  const EpochReport* epoch = nullptr;
  int64_t images = 0;  ///< of the data set
  int epochs = 0;
  bool epoch_finished = false;
  double elapsed_seconds = 0, remaining_seconds = 0, images_per_second = 0;  ///< remaining: of this stage
  double run_remaining_seconds = 0;                                          ///< of all stages; see Pace in stages.h
  size_t device_bytes = 0, device_bytes_peak = 0;
  /// Candidates that an image keeps at the last level that has survivors; 0 without search.
  double survivors() const;
};

struct RunHooks {
  std::function<void(const RunProgress&)> progress;  ///< after every macro-batch
  std::function<void(const Warning&)> warning;       ///< things a user must know; each once
  std::function<void(const std::string&)> note;      ///< what is being done: one line
  std::vector<Warning> found_before = {};            ///< by who calls: they belong to the run's record too
  const std::atomic<bool>* stop = nullptr;           ///< set by a signal: return, with a checkpoint once there is
                                                     ///< something to keep
  double checkpoint_seconds = 600;                   ///< also at the end of every epoch
  int64_t stop_after_groups = -1;                    ///< for tests: stop after so many macro-batches
};

enum class RunOutcome { finished, stopped, already_finished };

/// Trains in a run folder: resumes from its last checkpoint, writes checkpoints, events.jsonl, status.json, and at the
/// end poses.star, z.npy, volumes/ and summary.json. `particles`: config.particles as config.load has them read.
/// Throws io::Error, DeviceError.
RunOutcome run_training(Device& device, const RunConfig& config, io::ParticleTable particles, io::RunFolder& folder,
                        const RunHooks& hooks);

nlohmann::json to_json(const RunConfig& config);
RunConfig run_config_from_json(const nlohmann::json& json);

/// A finished or stopped run opened for use: volumes, latents.
struct LoadedRun {
  std::string path;
  RunConfig config;
  TrainConfig stage;  ///< of the loaded checkpoint
  double pixel_size_angstrom = 0;
  int64_t images = 0;
  std::unique_ptr<Model> model;         ///< with its averaged weights where there are some
  std::vector<float> matrices, shifts;  ///< [N·9], [N·2] px
  std::vector<float> z;                 ///< [N·Z]; empty while an encoder's run is not finished
  float scale = 1;                      ///< images were multiplied by it
};
/// Throws io::InputError (65, 66) when the folder holds no usable checkpoint.
LoadedRun load_run(Device& device, const std::string& path);

/// run.z. Throws io::InputError (66) where the run has a latent and does not know its images' z yet.
const std::vector<float>& image_latents(const LoadedRun& run);
/// z of one image, from 0; empty for one structure. Throws as image_latents.
std::vector<float> image_latent(const LoadedRun& run, size_t image);

/// One z an image out of a .npy file: [N, Z], or [N] where Z is 1. Throws io::InputError (65, 66).
std::vector<float> read_latents(const std::string& path, int latent, int64_t images);

/// Density at z, in the images' own units (the data scale is undone), [z][y][x].
std::vector<float> run_volume(const LoadedRun& run, const std::vector<float>& z);

/// Latents of (other) particles from the run's encoder: means [N·Z] and log variances.
std::vector<float> encode_particles(Device& device, const LoadedRun& run, const io::ParticleTable& particles,
                                    std::vector<float>* log_variances);

}  // namespace recon
