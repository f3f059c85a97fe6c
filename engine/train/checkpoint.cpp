#include "engine/train/checkpoint.h"

#include "engine/train/config_json.h"
#include "io/error.h"
#include "io/strict_json.h"

namespace recon {
namespace {

template <class T>
io::Tensor tensor(const std::string& name, const std::vector<T>& values, std::vector<int64_t> extents) {
  return io::make_tensor<T>(name, values, std::move(extents));
}

template <class T>
std::vector<T> values_of(const io::Checkpoint& checkpoint, const std::string& name, const std::string& file,
                         int64_t size = -1) {
  const io::Tensor* found = checkpoint.find(name);
  if (!found || (size >= 0 && static_cast<int64_t>(found->bytes.size() / sizeof(T)) != size))
    throw io::InputError({.file = file,
                          .field = name,
                          .problem = found ? "has another size than this run's model" : "is missing",
                          .repair = "resume with the version and the options that wrote the checkpoint"});
  return io::tensor_values<T>(*found);
}

}  // namespace

io::Checkpoint to_checkpoint(const SavedState& state, Trainer& trainer) {
  io::Checkpoint out;
  out.metadata["format"] = "reconstruct-checkpoint-1";
  out.metadata["state"] = io::json_text(nlohmann::json{{"stage", state.stage},
                                                       {"epoch", state.progress.epoch},
                                                       {"cursor", state.progress.cursor},
                                                       {"loss_sum", state.progress.loss_sum},
                                                       {"kl_sum", state.progress.kl_sum},
                                                       {"search_so_far", state.progress.search},
                                                       {"scale", state.scale},
                                                       {"pixel_size_angstrom", state.pixel_size_angstrom},
                                                       {"images", state.images},
                                                       {"elapsed_seconds", state.elapsed_seconds},
                                                       {"epochs_before", state.epochs_before},
                                                       {"race", state.race},
                                                       {"search", state.search},
                                                       {"config", state.config}});
  const Parameters& parameters = trainer.model().parameters();
  const Parameters::State weights = parameters.state();
  for (const auto& t : parameters.tensors()) {
    const auto first = weights.values.begin() + t.offset;
    out.tensors.push_back(tensor(t.name, std::vector<float>(first, first + t.size()), {t.rows, t.cols}));
  }
  const auto flat = [](const std::vector<float>& v) { return std::vector<int64_t>{static_cast<int64_t>(v.size())}; };
  out.tensors.push_back(tensor("adam.first_moments", weights.first_moments, flat(weights.first_moments)));
  out.tensors.push_back(tensor("adam.second_moments", weights.second_moments, flat(weights.second_moments)));
  out.tensors.push_back(tensor("adam.average", weights.average, flat(weights.average)));
  out.tensors.push_back(tensor("adam.steps", std::vector<int64_t>{weights.steps, weights.average_steps}, {2}));
  out.tensors.push_back(tensor("poses.matrices", state.matrices, {state.images, 3, 3}));
  out.tensors.push_back(tensor("poses.shifts_px", state.shifts, {state.images, 2}));
  const std::vector<float> weights_of_noise = trainer.weights();
  out.tensors.push_back(tensor("noise.root_weights", weights_of_noise, flat(weights_of_noise)));
  const Model::Table& table = trainer.model().table();
  if (!table.values.empty()) {
    const int64_t rows = table.values.view().rows, cols = table.values.view().cols;
    out.tensors.push_back(tensor("latents.values", table.values.download(), {rows, cols}));
    out.tensors.push_back(tensor("latents.first_moments", table.first_moments.download(), {rows, cols}));
    out.tensors.push_back(tensor("latents.second_moments", table.second_moments.download(), {rows, cols}));
    out.tensors.push_back(tensor("latents.steps", table.steps.download(), {rows}));
  }
  return out;
}

SavedState saved_state(const io::Checkpoint& checkpoint, const std::string& file) {
  SavedState state;
  const auto found = checkpoint.metadata.find("state");
  try {
    if (found == checkpoint.metadata.end()) throw std::invalid_argument("no state");
    const auto json = io::parse_json(found->second, file);
    state.stage = json.at("stage");
    state.progress = {.epoch = json.at("epoch"),
                      .cursor = json.at("cursor"),
                      .loss_sum = json.at("loss_sum"),
                      .kl_sum = json.at("kl_sum"),
                      .search = json.value("search_so_far", SearchStatistics{})};
    state.scale = json.at("scale");
    state.pixel_size_angstrom = json.at("pixel_size_angstrom");
    state.images = json.at("images");
    state.elapsed_seconds = json.at("elapsed_seconds");
    state.epochs_before = json.value("epochs_before", int64_t{0});
    state.race = json.value("race", Race{});
    state.search = json.value("search", SearchFigures{});
    state.config = json.at("config");
  } catch (const std::exception& error) {
    throw io::InputError({.file = file,
                          .field = "state",
                          .value = error.what(),
                          .problem = "is not a checkpoint of this program",
                          .repair = "point at a run folder made by reconstruct train"});
  }
  state.matrices = values_of<float>(checkpoint, "poses.matrices", file, 9 * state.images);
  state.shifts = values_of<float>(checkpoint, "poses.shifts_px", file, 2 * state.images);
  return state;
}

void restore_model(const io::Checkpoint& checkpoint, const std::string& file, Model& model) {
  Parameters::State weights;
  Parameters& parameters = model.parameters();
  for (const auto& t : parameters.tensors()) {
    const auto values = values_of<float>(checkpoint, t.name, file, t.size());
    weights.values.insert(weights.values.end(), values.begin(), values.end());
  }
  weights.first_moments = values_of<float>(checkpoint, "adam.first_moments", file, parameters.size());
  weights.second_moments = values_of<float>(checkpoint, "adam.second_moments", file, parameters.size());
  weights.average = values_of<float>(checkpoint, "adam.average", file, parameters.size());
  const auto steps = values_of<int64_t>(checkpoint, "adam.steps", file, 2);
  weights.steps = steps[0];
  weights.average_steps = steps[1];
  parameters.restore(weights);
  Model::Table& table = model.table();
  const io::Tensor* rows = checkpoint.find("latents.steps");
  const bool of_a_part = rows && rows->shape.at(0) < table.steps.size();
  if (table.values.empty() || of_a_part) return;
  table.values.upload(values_of<float>(checkpoint, "latents.values", file, table.values.size()));
  table.first_moments.upload(values_of<float>(checkpoint, "latents.first_moments", file, table.values.size()));
  table.second_moments.upload(values_of<float>(checkpoint, "latents.second_moments", file, table.values.size()));
  table.steps.upload(values_of<int32_t>(checkpoint, "latents.steps", file, table.steps.size()));
}

void restore_noise(const io::Checkpoint& checkpoint, const std::string& file, Trainer& trainer) {
  trainer.set_weights(values_of<float>(checkpoint, "noise.root_weights", file, trainer.data().pixel_count()));
}

}  // namespace recon
