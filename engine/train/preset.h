#pragma once
#include <string>

#include "engine/train/config.h"

namespace recon {

/// Named sets of starting values; every option still overrules them.
enum class Preset {
  paper,   ///< the paper's network, encoding, learning rate and search
  fast,    ///< one structure, what converged soonest in our measurements: many random Fourier features, 4 layers
  motion,  ///< a continuum: poses for one structure first, then a latent table and poses in turns
};

/// Frequencies an axis of the fast preset's Gaussian encoding, in boxes: 12·D random frequency vectors give the network
/// a basis that spans the density directly, so high frequencies are learned in epochs instead of tens of epochs.
inline constexpr int fast_features_boxes = 4;
/// Part of the box's band that the fast preset finds poses in at first.
inline constexpr double fast_band_start_boxes = 0.25;

/// Throws std::invalid_argument naming the choices.
Preset preset_from_name(const std::string& name);
/// The configuration of a preset for images of `side` pixels; 0: side not known yet, values that depend on it are left
/// 0.
TrainConfig preset_config(Preset preset, int side);

}  // namespace recon
