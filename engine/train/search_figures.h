#pragma once
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/pose/search.h"

namespace recon {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SearchStatistics::Level, images, scored, competing, below_bound, kept, capped)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SearchStatistics, levels)

/// What a finished pose search tells of itself: how hard it pruned, and how good its slices were.
struct SearchFigures {
  SearchStatistics statistics;          ///< of the last epoch with search; no levels: nothing was searched
  std::optional<double> lattice_error;  ///< relative L2 error of lattice slices; none with exact ones
};

void to_json(nlohmann::json& json, const SearchFigures& figures);
void from_json(const nlohmann::json& json, SearchFigures& figures);

/// For summary.json. Lists hold one entry a level: "candidates_an_image" scored, "part_pruned_by_bound" of those that
/// competed, "part_of_images_capped" (the cap on survivors bit). The last level has no survivors: the latter two leave
/// it out. "lattice_slices_relative_error" stands alone.
nlohmann::json summary_of(const SearchFigures& figures);

}  // namespace recon
