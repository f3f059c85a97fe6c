#pragma once
#include <functional>
#include <string>

#include "engine/train/checkpoint.h"
#include "engine/train/health.h"
#include "engine/train/run.h"

namespace recon {

/// What the writers of a run's results see.
struct ResultContext {
  Device& device;
  const RunConfig& config;
  const io::ParticleTable& particles;
  const Dataset& data;
  io::RunFolder& folder;
  const SavedState& state;
  std::function<void(const std::optional<Warning>&)> warn;
  std::vector<Warning> warnings = {};  ///< of the run, for its summary
};

/// poses.star, z.npy (and z_logvar.npy), volumes/volume.mrc or volumes/vol_000.mrc … along the first principal
/// component. Warns when the latent has collapsed, or a structure looks the same from all sides.
void write_results(const ResultContext& context, Trainer& trainer);
/// volumes/half_map_{1,2}.mrc, and after the second their FSC as fsc_half_maps.json. Warns when they do not agree.
void write_half_map(const ResultContext& context, const Trainer& trainer, int half);
/// summary.json: written last, so it marks a finished run.
void write_summary(const ResultContext& context, const Trainer& trainer);

/// report.html of what there is so far (engine/analyze/report.h), with `z` [N, Z] where it is known. The structure is
/// shown as `trainer` has it (at the mean z) where the run has no volumes yet; `ended`: this is the last one.
void write_run_report(const ResultContext& context, const Trainer& trainer, const std::vector<float>& z,
                      bool ended = false);

}  // namespace recon
