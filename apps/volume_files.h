#pragma once
#include <string>
#include <vector>

#include "apps/common.h"
#include "engine/train/run.h"

namespace recon::apps {

/// Values of z, one after the other.
using Points = std::vector<std::vector<float>>;

/// Makes the folder and writes a run's volumes at `points` there, vol_000.mrc ..., view.cxc (ChimeraX) and
/// z_values.npy; gives the maps' paths. Throws UsageError for a z that is not finite, Stopped after a signal.
Json write_volumes(const LoadedRun& run, const Points& points, const std::string& folder, bool json);

}  // namespace recon::apps
