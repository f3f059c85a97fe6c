#include <filesystem>
#include <numbers>
#include <sstream>

#include "apps/options.h"
#include "apps/run_particles.h"
#include "io/atomic_file.h"
#include "io/npy.h"
#include "io/pickle.h"
#include "io/rotation.h"
#include "io/run_folder.h"
#include "io/strict_json.h"

namespace recon::apps {
namespace {

io::NpyArray floats(const std::vector<float>& values, std::vector<int64_t> shape) {
  const auto bytes = std::as_bytes(std::span(values));
  return {io::NpyType::f4, std::move(shape), {bytes.begin(), bytes.end()}};
}

/// (rotations [N, 3, 3], translations [N, 2] in boxes).
io::PickledArrays poses_of(const io::ParticleTable& particles) {
  std::vector<float> rotations, translations;
  for (size_t i = 0; i < particles.euler_deg.size(); ++i) {
    for (const double v : io::matrix_of_euler(particles.euler_deg[i])) rotations.push_back(static_cast<float>(v));
    for (const double v : particles.shift_px[i]) translations.push_back(static_cast<float>(v / particles.side));
  }
  const int64_t n = particles.size();
  return {{floats(rotations, {n, 3, 3}), floats(translations, {n, 2})}, true};
}

io::PickledArrays ctf_of(const io::ParticleTable& particles) {
  std::vector<float> rows;
  constexpr double degrees = 180 / std::numbers::pi;
  for (const io::Ctf& c : particles.ctf)
    for (const double v :
         {double(particles.side), particles.pixel_size_angstrom, double(c.defocus_u_angstrom),
          double(c.defocus_v_angstrom), c.defocus_angle_rad * degrees, double(c.voltage_kv),
          double(c.spherical_aberration_mm), double(c.amplitude_contrast), c.phase_shift_rad * degrees})
      rows.push_back(static_cast<float>(v));
  return {{floats(rows, {particles.size(), 9})}, false};
}

/// Means, then log variances in a pickle of their own where the run has an encoder.
std::vector<io::PickledArrays> latents_of(const RunParticles& run, const std::string& folder) {
  const std::vector<int64_t> shape = {run.particles.size(), run.latent};
  std::vector<io::PickledArrays> pickles = {{{floats(run.z, shape)}, false}};
  const std::string path = folder + "/z_logvar.npy";
  if (std::filesystem::exists(path))
    pickles.push_back({{floats(io::read_npy_rows<float>(path, run.latent), shape)}, false});
  return pickles;
}

/// What cryoDRGN's analysis asks of a config.yaml. JSON texts are YAML too.
std::string config_text(const RunParticles& run, const std::string& folder, const RunConfig& config) {
  const auto path = [&](const char* name, bool there) {
    return there ? Json(std::filesystem::absolute(folder + "/" + name).string()) : Json(nullptr);
  };
  const Json sections = {{"dataset_args",
                          {{"particles", path("particles.star", true)},
                           {"norm", {0.0, 1.0}},
                           {"invert_data", config.preparation.invert},
                           {"ind", nullptr},
                           {"keepreal", false},
                           {"window", config.preparation.window},
                           {"window_r", config.preparation.window_inner},
                           {"datadir", nullptr},
                           {"ctf", path("ctf.pkl", run.particles.has_ctf)},
                           {"poses", path("pose.pkl", run.particles.has_poses)},
                           {"do_pose_sgd", false}}},
                         {"lattice_args", {{"D", run.particles.side + 1}, {"extent", 0.5}, {"ignore_DC", false}}},
                         {"model_args", {{"zdim", run.latent}, {"encode_mode", "resid"}, {"domain", "hartley"}}},
                         {"seed", config.stages.front().seed},
                         {"version", "reconstruct"},
                         {"cmd", {"reconstruct", "export", "--cryodrgn"}}};
  return "# Written by reconstruct export --cryodrgn for cryodrgn analyze --skip-vol; there are no weights.\n" +
         io::json_text(sections, 2) + "\n";
}

/// cryoDRGN's analysis takes the losses out of the lines of run.log that hold "====" and "total loss = ".
std::string log_text(const std::string& events) {
  std::string text = "Written by reconstruct export --cryodrgn.\n";
  if (!std::filesystem::exists(events)) return text;
  std::istringstream lines(io::read_all(io::FileSource(events)));
  int64_t epoch = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto event = io::parse_json(line, events);
    if (event.value("event", "") != "epoch") continue;
    char row[160];
    std::snprintf(row, sizeof row, "====> epoch %lld: KL = %.6f, total loss = %.6f\n", static_cast<long long>(++epoch),
                  event.value("kl", 0.0), event.value("loss", 0.0));
    text += row;
  }
  return text;
}

}  // namespace

int run_export(const ExportOptions& options) {
  if (!std::filesystem::is_directory(options.run))
    throw io::InputError({.file = options.run, .problem = "not a folder", .repair = "give a run's folder"},
                         io::no_input);
  const RunParticles run = load_run_particles(options.run, options.load, "");
  print_warnings(run.particles.warnings, options.json);
  const RunConfig config = run_config_from_json(io::RunFolder::read_only(options.run).config());
  if (!run.particles.has_poses)
    throw io::InputError({.file = options.run + "/poses.star",
                          .problem = "the run has no poses yet",
                          .repair = "let reconstruct train finish"},
                         io::no_input);
  int epochs = 0;
  for (const TrainConfig& stage : config.stages) epochs += stage.epochs;
  const std::string& out = options.output;
  io::create_folders(out);
  Json result = {{"folder", out}, {"images", run.particles.size()}, {"latents", run.latent}};
  io::write_particles(out + "/particles.star", run.particles, run.latent_columns());
  io::write_pickles(out + "/pose.pkl", {poses_of(run.particles)});
  if (run.particles.has_ctf) io::write_pickles(out + "/ctf.pkl", {ctf_of(run.particles)});
  if (run.latent > 0) {
    const std::string number = std::to_string(epochs);
    io::write_pickles(out + "/z." + number + ".pkl", latents_of(run, options.run));
    // cryoDRGN 4.3 puts pictures into folders that it makes itself only when it writes volumes.
    for (int axis = 1; run.latent > 1 && axis <= run.latent; ++axis)
      io::create_folders(out + "/analyze." + number + "/pc" + std::to_string(axis));
    result["then"] = "cryodrgn analyze " + out + " " + number + " --skip-vol";
  }
  io::write_file(out + "/run.log", log_text(options.run + "/events.jsonl"));
  io::write_file(out + "/config.yaml", config_text(run, out, config));
  print_result(result, options.json);
  return io::ok;
}

}  // namespace recon::apps
