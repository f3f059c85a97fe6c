#include "apps/options.h"
#include "io/npy.h"

namespace recon::apps {

int run_encode(const EncodeOptions& options) {
  const auto device = open_device(options.common);
  const LoadedRun run = load_run(*device, options.run);
  if (run.stage.model.source != LatentSource::encoder)
    throw UsageError(run.stage.model.latent == 0
                         ? "the run has one structure (--zdim 0) and no encoder"
                         : "the run has a latent table and no encoder; its own images' z are in " + options.run +
                               "/z.npy");
  io::LoadOptions load = run.config.load;
  if (options.particles != run.config.particles) load.poses = load.ctf = load.subset = "", load.passthrough.clear();
  const io::LoadOptions& given = options.load;
  for (const auto file :
       {&io::LoadOptions::datadir, &io::LoadOptions::poses, &io::LoadOptions::ctf, &io::LoadOptions::subset})
    if (!(given.*file).empty()) load.*file = given.*file;
  if (!given.passthrough.empty()) load.passthrough = given.passthrough;
  if (given.pixel_size_angstrom) load.pixel_size_angstrom = given.pixel_size_angstrom;
  const auto particles = load_for_engine(options.particles, load);
  print_warnings(particles.warnings, options.common.json);
  if (particles.side != run.stage.model.side)
    throw io::InputError({.file = options.particles,
                          .field = "box",
                          .value = std::to_string(particles.side),
                          .problem = "the run was trained with " + std::to_string(run.stage.model.side) + " px",
                          .repair = "bring the images to that box and pixel size"});
  std::vector<float> log_variances;
  const auto z = encode_particles(*device, run, particles, &log_variances);
  const std::vector<int64_t> shape = {particles.size(), run.stage.model.latent};
  io::write_npy(options.output, z, shape);
  if (!options.log_variances.empty()) io::write_npy(options.log_variances, log_variances, shape);
  print_result({{"latents", options.output}, {"images", particles.size()}, {"dimensions", run.stage.model.latent}},
               options.common.json);
  return io::ok;
}

}  // namespace recon::apps
