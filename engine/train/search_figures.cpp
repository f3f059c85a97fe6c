#include "engine/train/search_figures.h"

#include <algorithm>

namespace recon {

void to_json(nlohmann::json& json, const SearchFigures& figures) {
  json = {{"statistics", figures.statistics}, {"lattice_error", nullptr}};
  if (figures.lattice_error) json["lattice_error"] = *figures.lattice_error;
}

void from_json(const nlohmann::json& json, SearchFigures& figures) {
  json.at("statistics").get_to(figures.statistics);
  figures.lattice_error.reset();
  if (!json.at("lattice_error").is_null()) figures.lattice_error = json.at("lattice_error").get<double>();
}

nlohmann::json summary_of(const SearchFigures& figures) {
  nlohmann::json json = {{"candidates_an_image", nlohmann::json::array()},
                         {"part_pruned_by_bound", nlohmann::json::array()},
                         {"part_of_images_capped", nlohmann::json::array()}};
  const auto part = [](int64_t some, int64_t all) { return double(some) / double(std::max<int64_t>(1, all)); };
  const auto& levels = figures.statistics.levels;
  for (const auto& level : levels) {
    json["candidates_an_image"].push_back(part(level.scored, level.images));
    if (&level == &levels.back()) break;
    json["part_pruned_by_bound"].push_back(part(level.competing - level.below_bound, level.competing));
    json["part_of_images_capped"].push_back(part(level.capped, level.images));
  }
  if (figures.lattice_error) json["lattice_slices_relative_error"] = *figures.lattice_error;
  return json;
}

}  // namespace recon
