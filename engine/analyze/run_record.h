#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/particles.h"

namespace recon {

/// What a run told at an epoch's end (events.jsonl).
struct EpochRecord {
  int stage = 0, epoch = 0;
  std::string kind;  ///< "random poses", "pose search", "fixed poses"
  double loss = 0, kl = 0, band = 0, learning_rate = 0, search_seconds = 0, train_seconds = 0;
  std::optional<double> pose_change_degrees;
  std::vector<double> survivors;  ///< an image, one a level of the search but the last; empty: nothing was searched
};

/// A Fourier shell correlation: frequencies in cycles a pixel.
struct FscRecord {
  std::vector<double> frequency, correlation;
};

/// Volumes in a folder, in their order.
struct SeriesRecord {
  std::string name;  ///< volumes, kmeans, pc1, path, line
  std::vector<std::string> files;
  std::vector<std::vector<float>> z;  ///< empty for one structure
  std::vector<int64_t> images;        ///< whose z each is, from 1; empty where none is
};

/// What stands in a run's folder and in the folder of its analysis: all that a report needs but the numbers of images.
struct RunRecord {
  std::string path, state;  ///< state: running, stopped, finished, or "just begun"
  int stages = 1, epochs_of_stage = 0;
  double elapsed_seconds = 0;
  std::vector<EpochRecord> epochs;
  std::vector<std::string> stage_names;  ///< one a stage that has begun
  size_t starts = 0;                     ///< random starts that raced
  double agreement = 0;                  ///< part of the images that two of them agree on
  bool agreed = false;                   ///< that is enough
  std::vector<std::string> warnings;
  std::vector<std::pair<std::string, std::string>> facts;  ///< data and settings, for people
  int64_t images = 0;
  int latent = 0, side = 0;
  double pixel_size_angstrom = 0;  ///< 0: not known yet
  bool searches = false, encoder = false, weighted_noise = false, frozen_latents = false;
  io::LoadOptions load;
  std::string particles;  ///< path as the run was told
  std::optional<FscRecord> half_maps, truth;
  std::vector<SeriesRecord> series;
  std::vector<int64_t> path_images;  ///< all images on the path, from 1
};

/// Reads a run's folder, the folder of its analysis (or "") and a comparison with the truth (compare fsc --json, or
/// ""). What is not there yet stays empty. Throws io::InputError (65, 66) for files that are not what they should be.
RunRecord read_run_record(const std::string& run, const std::string& analysis = "", const std::string& truth = "");

}  // namespace recon
