#include "engine/train/preset.h"

#include <stdexcept>

namespace recon {

Preset preset_from_name(const std::string& name) {
  if (name == "paper") return Preset::paper;
  if (name == "fast") return Preset::fast;
  if (name == "motion") return Preset::motion;
  throw std::invalid_argument("preset '" + name + "' is unknown; choose paper, fast or motion");
}

TrainConfig preset_config(Preset preset, int side) {
  TrainConfig config;
  config.search.bound = Bound::none;
  if (preset == Preset::paper) return config;
  config.learning_rate = 1e-3;
  config.starts = 6;
  config.race_images = 10000;
  config.settled_degrees = 5;
  config.settle_epochs = 8;
  config.search.base_level = 2;
  config.search.subdivisions = 4;
  if (preset == Preset::motion) {
    config.model.latent = 1;
    config.model.source = LatentSource::table;
    config.model.decoder_layers = 6;
    config.model.encoder_layers = 3;
    config.latent_learning_rate = 0.3;
    config.final_learning_rate = 0.1;
    config.epochs = 40;
    config.latent_start_epoch = 5;
    config.search_every = 2;
    config.joint_search_epochs = 5;
    config.pose_steps = 1;
    config.linear_latents = true;
    return config;
  }
  config.model.decoder_layers = 4;
  config.model.encoding = Encoding::gaussian;
  config.model.encoding_sigma = 1;
  config.model.encoding_per_axis = fast_features_boxes * side;
  config.final_learning_rate = 0.05;
  config.epochs = 13;
  config.search_epochs = 5;
  config.polish_rounds = 3;
  config.average_steps = 200;
  config.band_start = fast_band_start_boxes * side;
  config.band_hold_epochs = config.search_epochs;
  return config;
}

}  // namespace recon
