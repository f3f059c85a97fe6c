#pragma once
#include <string>

#include "engine/model/model.h"
#include "engine/pose/search.h"

namespace recon {

enum class PoseMode { given, search };
enum class SourceMode { exact, lattice };

/// σ_l of paper eq. 3. The paper's own simplification is white noise (§3.3).
enum class NoiseMode {
  white,
  shells,  ///< one σ² a shell of |k|, estimated from the residuals after every epoch with fixed poses
};

/// One stage of a run: a model trained for some epochs on the prepared images (paper §3.3, §5.1).
struct TrainConfig {
  ModelConfig model;
  PoseMode poses = PoseMode::search;
  int epochs = 30;  ///< all of them, random-pose epochs included
  int batch = 10;   ///< images a step
  double learning_rate = 1e-4;
  double encoder_learning_rate = 0;    ///< 0: as the decoder's
  double latent_learning_rate = 1e-1;  ///< of the latent table (its rows move once an epoch)
  double final_learning_rate = 1;      ///< factor at the last step, reached along a cosine; 1: constant (the paper)
  int average_steps = 0;  ///< running average of the weights over about so many steps, used for results; 0: none
  double kl_weight = 1;
  int latent_start_epoch = 0;  ///< before it every z of the table is 0: poses are found for one structure first
  /// What z the table then begins with: principal components of a linear model (LinearLatents) at the poses found, or
  /// 0.
  bool linear_latents = false;
  int kl_warmup_epochs = 0;  ///< KL weight rises linearly from 0 over so many epochs
  NoiseMode noise = NoiseMode::white;
  double train_band = 0;  ///< loss over |k| <= band (1/D); 0: D/2

  SearchConfig search;
  SourceMode source = SourceMode::lattice;
  int random_pose_epochs = 1;  ///< first epochs with random orientations
  int search_epochs = 0;       ///< epochs with search after those; the rest keep the poses; 0: all
  int search_every = 1;        ///< search in every n-th of the search epochs
  /// After the search epochs: rounds in which poses leave the grid, each image against a map of the others (one
  /// structure only). Then the network, the band and the learning rate begin anew, at these poses.
  int polish_rounds = 0;
  /// In epochs with fixed poses, but not the first of a network: Gauss-Newton steps of each image's pose against the
  /// network as it is, before it trains on the image. Clean images gain by it; noise holds a pose where it was, as the
  /// network has seen it there.
  int pose_steps = 0;
  /// Soft assignment: in all search epochs but the last, an image's pose is drawn by its probability among the
  /// candidates of the last level, in place of the best one. Joint searches take the best.
  bool drawn_poses = false;
  int macro_batch = 100;     ///< images searched between refreshes of the lattice
  double band_start = 0;     ///< largest |k| that the first search epochs use, 1/D; 0: no limit. The rest of
  int band_hold_epochs = 0;  ///< the band is let in after so many search epochs at band_start,
  int band_epochs = 0;       ///< linearly over so many more (frequency marching over epochs)
  int lattice_bins = 10;     ///< lattices a macro-batch when there is a latent
  /// In so many of the first search epochs after latent_start_epoch, images are searched against the structures of all
  /// bins of z and take the best pose with the z of the table that it was found at: an image whose pose is far off, or
  /// that stands at the wrong end of the latent, comes back by neither alone.
  int joint_search_epochs = 0;
  int joint_bins = 5;   ///< bins of z in those
  int starts = 1;       ///< random starts at most (seeds one after the other): they race until two agree (race.h)
  int race_epochs = 0;  ///< search epochs of a start, at least; 0: by the number of images
  /// Where a race would end: while half of the images still turn by more than this from one epoch to the next, degrees,
  /// the schedule waits, at most `settle_epochs` epochs in all. Each makes the search and the run an epoch longer. 0:
  /// never waits.
  double settled_degrees = 0;
  int settle_epochs = 0;
  int race_images = 0;  ///< of the images, evenly spread, that they race on; 0: all. A table of latents has to wait
  uint64_t seed = 0;
};

}  // namespace recon
