#pragma once
#include <vector>

#include "engine/train/race.h"
#include "engine/train/search_figures.h"
#include "engine/train/trainer.h"
#include "io/checkpoint.h"

namespace recon {

/// A run between two macro-batches: which stage, how far, and every number that later steps depend on.
struct SavedState {
  int stage = 0;
  Trainer::Progress progress;
  TrainConfig config;                   ///< of the stage
  std::vector<float> matrices, shifts;  ///< poses of all images of the run, [N·9], [N·2] px
  float scale = 1;                      ///< images were multiplied by it
  double pixel_size_angstrom = 0;
  int64_t images = 0;  ///< of the whole run
  double elapsed_seconds = 0;
  int64_t epochs_before = 0;  ///< of the stages that are over
  Race race;                  ///< of the random starts
  SearchFigures search;       ///< of the stage that searched, once it is over
};

/// Weights under their names (decoder.hidden1.weight …), the optimiser's moments as flat arrays, poses, latent table.
io::Checkpoint to_checkpoint(const SavedState& state, Trainer& trainer);

/// The part of a checkpoint that needs no model. Throws io::InputError (65) naming what is missing.
SavedState saved_state(const io::Checkpoint& checkpoint, const std::string& file);
/// Loads weights, moments and latent table into a model of the same shape. The table of a race on a part of the images
/// stays out: it has not begun.
void restore_model(const io::Checkpoint& checkpoint, const std::string& file, Model& model);
/// Loads the noise model's weights.
void restore_noise(const io::Checkpoint& checkpoint, const std::string& file, Trainer& trainer);

}  // namespace recon
