#pragma once
#include <nlohmann/json.hpp>

#include "engine/data/dataset.h"
#include "engine/train/config.h"

// The configuration of a run as JSON: config.json of the run folder and the metadata of checkpoints. Names are the
// members' names.
namespace recon {

NLOHMANN_JSON_SERIALIZE_ENUM(LatentSource, {{LatentSource::none, "none"},
                                            {LatentSource::encoder, "encoder"},
                                            {LatentSource::table, "table"}})
NLOHMANN_JSON_SERIALIZE_ENUM(Encoding, {{Encoding::geometric, "geometric"},
                                        {Encoding::geometric_low, "geometric-low"},
                                        {Encoding::gaussian, "gaussian"}})
NLOHMANN_JSON_SERIALIZE_ENUM(PoseMode, {{PoseMode::given, "given"}, {PoseMode::search, "search"}})
NLOHMANN_JSON_SERIALIZE_ENUM(SourceMode, {{SourceMode::exact, "exact"}, {SourceMode::lattice, "lattice"}})
NLOHMANN_JSON_SERIALIZE_ENUM(Bound, {{Bound::none, "none"}, {Bound::paper, "paper"}, {Bound::noise, "noise"}})
NLOHMANN_JSON_SERIALIZE_ENUM(NoiseMode, {{NoiseMode::white, "white"}, {NoiseMode::shells, "shells"}})
NLOHMANN_JSON_SERIALIZE_ENUM(CtfMode,
                             {{CtfMode::none, "none"}, {CtfMode::model, "model"}, {CtfMode::phase_flip, "phase-flip"}})

NLOHMANN_JSON_SERIALIZE_ENUM(Precision, {{Precision::fp32, "fp32"},
                                         {Precision::bf16, "bf16"},
                                         {Precision::fp16, "fp16"},
                                         {Precision::tf32, "tf32"}})

// What a run's config.json of an earlier version does not name keeps its default.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ModelConfig, side, latent, source, decoder_layers, decoder_width,
                                                encoder_layers, encoder_width, residual, half_space, encoding,
                                                encoding_per_axis, encoding_sigma, seed, precision)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SearchConfig, base_level, subdivisions, shift_extent_px, shift_grid, band_min,
                                   band_max, band_steps, max_kept, bound, per_rotation, overlapping_shifts, finalists,
                                   chunk_images)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(TrainConfig, model, poses, epochs, batch, learning_rate,
                                                encoder_learning_rate, latent_learning_rate, final_learning_rate,
                                                average_steps, kl_weight, latent_start_epoch, linear_latents,
                                                kl_warmup_epochs, noise, train_band, search, source, random_pose_epochs,
                                                search_epochs, search_every, polish_rounds, pose_steps, drawn_poses,
                                                macro_batch, band_start, band_hold_epochs, band_epochs, lattice_bins,
                                                joint_search_epochs, joint_bins, starts, race_images, race_epochs,
                                                settled_degrees, settle_epochs, seed)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(PreparationConfig, window, window_inner, window_outer, invert, ctf,
                                                band, half_precision)

}  // namespace recon
