#include "apps/run_particles.h"

#include <filesystem>

#include "apps/common.h"
#include "engine/train/run.h"
#include "io/npy.h"
#include "io/run_folder.h"

namespace recon::apps {
namespace {

RunConfig config_of(const std::string& run) {
  const auto folder = io::RunFolder::read_only(run);
  try {
    return run_config_from_json(folder.config());
  } catch (const nlohmann::json::exception& error) {
    throw io::InputError({.file = folder.file("config.json"),
                          .value = error.what(),
                          .problem = "is not a run's configuration",
                          .repair = "point at a folder made by reconstruct train"});
  }
}

void take_poses(const std::string& path, io::ParticleTable& particles) {
  io::ParticleTable found = io::load_particles(
      path, {.pixel_size_angstrom =
                 particles.pixel_size_angstrom > 0 ? std::optional(particles.pixel_size_angstrom) : std::nullopt,
             .metadata_only = true});
  if (found.size() != particles.size())
    throw io::InputError({.file = path,
                          .value = std::to_string(found.size()) + " rows",
                          .problem = "not one for each of the run's " + std::to_string(particles.size()) + " images",
                          .repair = "restore the run's input"});
  particles.euler_deg = std::move(found.euler_deg);
  particles.shift_px = std::move(found.shift_px);
  particles.has_poses = particles.poses_replaced = true;
}

void take_latents(const std::string& path, RunParticles& run) {
  const auto array = io::read_npy_as<float>(path);
  const auto rows = array.shape.empty() ? -1 : array.shape[0];
  if (array.shape.size() > 2 || rows != run.particles.size())
    throw io::InputError({.file = path,
                          .field = "shape",
                          .value = std::to_string(rows) + " rows",
                          .problem = "not one for each of the " + std::to_string(run.particles.size()) + " images",
                          .repair = "give the latents of these particles, [images, dimensions]"});
  run.latent = array.shape.size() == 2 ? static_cast<int>(array.shape[1]) : 1;
  run.z = io::read_npy_rows<float>(path, std::max(1, run.latent));
}

}  // namespace

std::vector<io::ExtraColumn> RunParticles::latent_columns() const {
  std::vector<io::ExtraColumn> columns;
  for (int axis = 0; axis < latent; ++axis) {
    columns.emplace_back("_cdrgnZ" + std::to_string(axis + 1), std::vector<double>{});
    for (int64_t row = 0; row < particles.size(); ++row) columns.back().second.push_back(latent_at(row, axis));
  }
  return columns;
}

RunParticles load_run_particles(const std::string& path, const io::LoadOptions& load, const std::string& latents) {
  RunParticles run;
  const bool folder = std::filesystem::is_directory(path);
  if (folder) {
    const RunConfig config = config_of(path);
    io::LoadOptions own = config.load;
    own.metadata_only = load.metadata_only;
    if (!load.datadir.empty()) own.datadir = load.datadir;
    if (load.pixel_size_angstrom) own.pixel_size_angstrom = load.pixel_size_angstrom;
    if (!load.poses.empty() || !load.ctf.empty() || !load.subset.empty() || !load.passthrough.empty())
      throw UsageError("--poses, --ctf, --ind and --passthrough are for a particle file; a run has its own");
    run.particles = io::load_particles(config.particles, own);
    if (std::filesystem::exists(path + "/poses.star")) take_poses(path + "/poses.star", run.particles);
  } else {
    run.particles = io::load_particles(path, load);
  }
  if (!latents.empty())
    take_latents(latents, run);
  else if (folder && std::filesystem::exists(path + "/z.npy"))
    take_latents(path + "/z.npy", run);
  return run;
}

}  // namespace recon::apps
