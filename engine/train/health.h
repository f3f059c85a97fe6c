#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/data/contrast.h"
#include "engine/train/race.h"
#include "engine/train/trainer.h"

// What tells, while a run goes on and at its end, that it went wrong. Each judgement is silent on healthy data and ends
// with what to do.
namespace recon {

/// Something a user must know of a run: one line in plain words, with its remedy.
struct Warning {
  std::string kind;  ///< for machines: "contrast", "views", "search", "starts", "loss", "latent", "half_maps",
                     ///< "volume", "input"
  std::string text;
};

void to_json(nlohmann::json& json, const Warning& warning);    ///< {"kind", "text"}
void from_json(const nlohmann::json& json, Warning& warning);  ///< throws nlohmann's exceptions

/// Density that will probably come out negative. `inverted`: by --invert.
std::optional<Warning> judge_contrast(const ContrastReport& report, bool inverted);

/// Poses found by a search, [N·9]: most images share few views. Views are counted in 192 equal areas of the sphere, as
/// exp(entropy), against as many views drawn evenly.
std::optional<Warning> judge_views(std::span<const float> matrices);
/// That count over the one of even views: 1 for even views, 1/192 where all images show the same one.
double view_spread(std::span<const float> matrices);

/// After an epoch of search, the `searched`-th: the cap on survivors decided at every level and for nearly every image,
/// and images still change their orientations as if at random.
std::optional<Warning> judge_search(const SearchStatistics& statistics, double pose_change_degrees, int searched);

/// No two of several random starts agree.
std::optional<Warning> judge_race(const Race& race);

/// Losses of the first and the last epoch that used the same band and the same network.
std::optional<Warning> judge_loss(double first, double last, int epochs_between);

/// Latents of all images, [N·Z], and the KL divergence an image of the last epoch.
std::optional<Warning> judge_latents(const TrainConfig& config, std::span<const float> z, double kl);

/// The FSC of half maps of images of side D: shells 1 … D/2.
std::optional<Warning> judge_half_maps(std::span<const double> fsc);

/// How a density [z][y][x] is spread, at low resolution, within the sphere of the box.
struct VolumeShape {
  /// Part of its variance that its average at each distance from the centre explains: 1 for what looks the same from
  /// all sides, about a half for molecules.
  double round = 0;
  /// The average at the centre over the largest average at any distance: about 0 for a shell, 1 for a ball.
  double centre = 0;
};
VolumeShape shape_of(std::span<const float> volume, int side);
std::optional<Warning> judge_volume(const VolumeShape& shape);

/// Judges a stage at the end of each of its epochs.
class StageWatch {
 public:
  /// `resumed`: the stage's earlier epochs were another process's, so losses are compared from the next band on.
  StageWatch(const Trainer& trainer, bool resumed);
  std::vector<Warning> epoch_ended(const Trainer& trainer);

 private:
  bool resumed_ = false;
  double first_loss_ = 0, band_ = 0;  ///< of the first epoch at this band; band 0: none yet
  int first_epoch_ = 0, searched_ = 0;
};

}  // namespace recon
