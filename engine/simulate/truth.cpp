#include "engine/simulate/truth.h"

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "io/error.h"
#include "io/mrc.h"
#include "io/npy.h"
#include "io/strict_json.h"

namespace recon {
namespace {

constexpr double same_state = 1e-9;

std::vector<double> map_states(const std::string& path) {
  try {
    return io::parse_json(io::FileSource(path)).at("truth_volume_states").get<std::vector<double>>();
  } catch (const nlohmann::json::exception& error) {
    throw io::InputError({.file = path,
                          .field = "truth_volume_states",
                          .value = error.what(),
                          .problem = "is not what reconstruct simulate writes",
                          .repair = "point at the folder truth/ of a simulated set"});
  }
}

std::string map_path(const std::string& folder, size_t number) {
  char name[32];
  std::snprintf(name, sizeof name, "/state_%03zu.mrc", number);
  return folder + name;
}

}  // namespace

SimulatedTruth::SimulatedTruth(const std::string& folder)
    : folder_(folder),
      states_(io::read_npy_rows<double>(folder + "/states.npy", 1)),
      map_states_(map_states(folder + "/truth.json")) {
  const std::string path = folder + "/model.json";
  if (std::filesystem::exists(path)) {
    try {
      model_ = model_from_json(io::read_all(io::FileSource(path)));
    } catch (const std::invalid_argument& error) {
      throw io::InputError({.file = path, .problem = error.what()});
    }
    side_ = model_.box;
    pixel_size_angstrom_ = model_.pixel_size_angstrom;
    return;
  }
  const io::Volume first = io::read_volume(map_path(folder, 0));
  side_ = first.side;
  pixel_size_angstrom_ = first.pixel_size_angstrom;
}

std::vector<float> SimulatedTruth::map(Device& device, double state) const {
  if (!model_.blobs.empty()) return model_volume(device, model_, state);
  for (size_t k = 0; k < map_states_.size(); ++k) {
    if (std::abs(map_states_[k] - state) > same_state) continue;
    const std::string path = map_path(folder_, k);
    io::Volume map = io::read_volume(path);
    if (map.side != side_)
      throw io::InputError({.file = path,
                            .field = "NX",
                            .value = std::to_string(map.side),
                            .problem = "another box than the first map's " + std::to_string(side_)});
    return std::move(map.data);
  }
  throw io::InputError({.file = folder_ + "/model.json",
                        .problem = "is missing, and no map of the folder shows the state " + std::to_string(state),
                        .repair = "put the model there that was projected, with the images' box and pixel size, or "
                                  "simulate again"});
}

}  // namespace recon
