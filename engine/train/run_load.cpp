// A run's configuration as JSON, and runs opened again after training.
#include <cmath>
#include <filesystem>

#include "engine/train/checkpoint.h"
#include "engine/train/config_json.h"
#include "engine/train/run.h"
#include "io/error.h"
#include "io/npy.h"

namespace recon {
namespace {

template <class T>
void put(nlohmann::json& json, const char* key, const std::optional<T>& value) {
  if (value) json[key] = *value;
}
template <class T>
void get(const nlohmann::json& json, const char* key, std::optional<T>& value) {
  if (json.contains(key)) value = json.at(key).get<T>();
}

/// The finished model where there is one (half maps are trained after it), else the newest checkpoint.
std::optional<io::FoundCheckpoint> final_model(io::RunFolder& folder) {
  const std::string path = folder.file("model.safetensors");
  if (std::filesystem::exists(path)) return io::FoundCheckpoint{path, io::read_checkpoint(path)};
  return folder.latest_valid_checkpoint();
}

}  // namespace

nlohmann::json to_json(const RunConfig& config) {
  nlohmann::json load = {{"datadir", config.load.datadir},
                         {"ignore_ctf", config.load.ignore_ctf},
                         {"alternate_halves", config.load.alternate_halves}};
  // Files that only some runs have: a run without them keeps the configuration that it had before they existed.
  for (const auto& [key, value] :
       {std::pair{"poses", &config.load.poses}, {"ctf", &config.load.ctf}, {"subset", &config.load.subset}})
    if (!value->empty()) load[key] = *value;
  if (!config.load.passthrough.empty()) load["passthrough"] = config.load.passthrough;
  put(load, "pixel_size_angstrom", config.load.pixel_size_angstrom);
  put(load, "amplitude_contrast", config.load.amplitude_contrast);
  put(load, "voltage_kv", config.load.voltage_kv);
  put(load, "spherical_aberration_mm", config.load.spherical_aberration_mm);
  nlohmann::json json = {{"format", 1},
                         {"particles", config.particles},
                         {"load", load},
                         {"preparation", config.preparation},
                         {"stages", config.stages},
                         {"half_maps", config.half_maps},
                         {"sweep", config.sweep}};
  put(json, "latents", config.latents);
  return json;
}

RunConfig run_config_from_json(const nlohmann::json& json) {
  RunConfig config;
  config.particles = json.at("particles");
  get(json, "latents", config.latents);
  const auto& load = json.at("load");
  config.load.datadir = load.at("datadir");
  config.load.ignore_ctf = load.at("ignore_ctf");
  config.load.alternate_halves = load.at("alternate_halves");
  config.load.poses = load.value("poses", "");
  config.load.ctf = load.value("ctf", "");
  config.load.subset = load.value("subset", "");
  config.load.passthrough = load.value("passthrough", std::vector<std::string>{});
  get(load, "pixel_size_angstrom", config.load.pixel_size_angstrom);
  get(load, "amplitude_contrast", config.load.amplitude_contrast);
  get(load, "voltage_kv", config.load.voltage_kv);
  get(load, "spherical_aberration_mm", config.load.spherical_aberration_mm);
  config.preparation = json.at("preparation");
  config.stages = json.at("stages").get<std::vector<TrainConfig>>();
  config.half_maps = json.at("half_maps");
  config.sweep = json.at("sweep");
  return config;
}

LoadedRun load_run(Device& device, const std::string& path) {
  io::RunFolder folder = io::RunFolder::read_only(path);
  LoadedRun run;
  run.path = path;
  try {
    run.config = run_config_from_json(folder.config());
  } catch (const nlohmann::json::exception& error) {
    throw io::InputError({.file = folder.file("config.json"),
                          .value = error.what(),
                          .problem = "is not a run's configuration",
                          .repair = "point at a folder made by reconstruct train"});
  }
  const auto found = final_model(folder);
  if (!found)
    throw io::InputError(
        {.file = path, .problem = "holds no checkpoint yet", .repair = "let reconstruct train finish its first epoch"},
        io::no_input);
  SavedState state = saved_state(found->checkpoint, found->path);
  run.stage = state.config;
  run.pixel_size_angstrom = state.pixel_size_angstrom;
  run.images = state.images;
  run.scale = state.scale;
  run.matrices = std::move(state.matrices);
  run.shifts = std::move(state.shifts);
  const io::Tensor* encoder = found->checkpoint.find("encoder.input.weight");
  run.model = std::make_unique<Model>(device, run.stage.model, encoder ? encoder->shape.at(1) : 1, run.images);
  restore_model(found->checkpoint, found->path, *run.model);
  run.model->parameters().swap_average();
  const io::Tensor* z = found->checkpoint.find("latents.values");
  if (z && z->shape.at(0) == run.images) {
    run.z = io::tensor_values<float>(*z);
  } else if (const std::string file = folder.file("z.npy");
             run.stage.model.latent > 0 && std::filesystem::exists(file)) {
    run.z = read_latents(file, run.stage.model.latent, run.images);
  }
  return run;
}

const std::vector<float>& image_latents(const LoadedRun& run) {
  if (run.stage.model.latent > 0 && run.z.empty())
    throw io::InputError({.file = run.path + "/z.npy",
                          .problem = "the run has no latents yet",
                          .repair = "let reconstruct train finish"},
                         io::no_input);
  return run.z;
}

std::vector<float> image_latent(const LoadedRun& run, size_t image) {
  const auto first = image_latents(run).begin() + static_cast<int64_t>(image) * run.stage.model.latent;
  return {first, first + run.stage.model.latent};
}

std::vector<float> read_latents(const std::string& path, int latent, int64_t images) {
  std::vector<float> z = io::read_npy_rows<float>(path, latent);
  if (static_cast<int64_t>(z.size()) != images * latent)
    throw io::InputError({.file = path,
                          .field = "shape",
                          .value = std::to_string(z.size() / static_cast<size_t>(latent)) + " rows",
                          .problem = "not one for each of the " + std::to_string(images) + " images",
                          .repair = "give the latents of these particles, in their order"});
  return z;
}

std::vector<float> run_volume(const LoadedRun& run, const std::vector<float>& z) {
  expect(static_cast<int>(z.size()) == run.stage.model.latent,
         "run_volume: z has another length than the run's latent");
  std::vector<float> volume = run.model->volume(z, run.stage.model.side / 2.0);
  for (float& v : volume) v /= std::abs(run.scale);
  return volume;
}

std::vector<float> encode_particles(Device& device, const LoadedRun& run, const io::ParticleTable& particles,
                                    std::vector<float>* log_variances) {
  if (run.stage.model.source != LatentSource::encoder)
    throw io::InputError({.file = run.path,
                          .field = "latent",
                          .value = run.stage.model.latent == 0 ? "0" : "table",
                          .problem = "this run has no encoder",
                          .repair = "train with --zdim 1 or more and --latent encoder"});
  if (particles.side != run.stage.model.side)
    throw io::InputError(
        {.value = std::to_string(particles.side),
         .problem = "the images have another box than the run (" + std::to_string(run.stage.model.side) + ")",
         .repair = "crop or resample them to the run's box"});
  Dataset data = prepare(device, particles, run.config.preparation);
  Trainer trainer(device, data, run.stage);
  if (run.stage.poses == PoseMode::given) {
    std::vector<float> matrices, shifts;
    given_poses(particles, matrices, shifts);
    if (!matrices.empty()) trainer.set_poses(matrices, shifts);
  }
  io::RunFolder folder = io::RunFolder::read_only(run.path);
  const auto found = final_model(folder);
  restore_model(found->checkpoint, found->path, trainer.model());
  trainer.model().parameters().swap_average();
  return trainer.latents(log_variances);
}

}  // namespace recon
