#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/options.h"
#include "apps/progress.h"
#include "io/atomic_file.h"
#include "io/mrc.h"
#include "io/npy.h"
#include "io/strict_json.h"

namespace recon::apps {
namespace {

constexpr int64_t chunk_bytes = 64 << 20;
constexpr int continuous_volumes = 10;  ///< written of a continuum

/// What is projected, and what is written of it.
struct Scene {
  GaussianModel model;  ///< without blobs: maps
  std::vector<std::vector<float>> maps;
  int side = 0;
  double pixel_size_angstrom = 0;
  bool is_model() const { return !model.blobs.empty(); }
};

bool ends_with(const std::string& path, const char* extension) {
  std::string end = path.size() > 5 ? path.substr(path.size() - 5) : path;
  std::transform(end.begin(), end.end(), end.begin(), [](unsigned char c) { return std::tolower(c); });
  return end.ends_with(extension);
}

GaussianModel read_model(const SimulateOptions& options, const std::string& path) {
  const io::FileSource file(path);
  const std::string text = io::read_all(file);
  try {
    if (!ends_with(path, ".pdb")) return model_from_json(text);
    PdbOptions pdb = options.pdb;
    if (options.pdb_chain.size() > 1) throw UsageError("--pdb-chain: one letter is wanted");
    if (!options.pdb_chain.empty()) pdb.chain = options.pdb_chain.front();
    pdb.box = options.box.value_or(pdb.box);
    pdb.pixel_size_angstrom = options.pixel_size_angstrom.value_or(pdb.pixel_size_angstrom);
    return model_from_pdb(text, pdb);
  } catch (const std::invalid_argument& error) {
    throw io::InputError({.file = path, .problem = error.what()});
  }
}

Scene model_scene(const SimulateOptions& options, const std::string& path) {
  Scene scene;
  if (options.inputs.size() != 1) throw UsageError("INPUT: one model, or maps only");
  if (options.box.value_or(2) % 2 != 0) throw UsageError("--box: an even number is wanted");
  scene.model = read_model(options, path);
  if (scene.model.blobs.empty()) throw io::InputError({.file = path, .field = "blobs", .problem = "none"});
  const int box = options.box.value_or(scene.model.box);
  const double extent = scene.model.pixel_size_angstrom * scene.model.box;
  scene.model.pixel_size_angstrom =
      options.pixel_size_angstrom.value_or(box == scene.model.box ? scene.model.pixel_size_angstrom : extent / box);
  scene.model.box = scene.side = box;
  scene.pixel_size_angstrom = scene.model.pixel_size_angstrom;
  return scene;
}

Scene map_scene(const SimulateOptions& options) {
  Scene scene;
  if (options.truth.states != 1) throw UsageError("--states: is for models; give one map a state");
  if (options.box) throw UsageError("--box: maps are projected at their own box; it is for models");
  for (const std::string& path : options.inputs) {
    if (ends_with(path, ".json") || ends_with(path, ".pdb")) throw UsageError("INPUT: one model, or maps only");
    io::Volume map = io::read_volume(path);
    if (map.side % 2 != 0)
      throw io::InputError({.file = path, .field = "NX", .value = std::to_string(map.side), .problem = "an odd box"});
    if (scene.side != 0 && map.side != scene.side)
      throw io::InputError({.file = path,
                            .field = "NX",
                            .value = std::to_string(map.side),
                            .problem = "another box than the first map's " + std::to_string(scene.side)});
    if (scene.side == 0) scene.pixel_size_angstrom = options.pixel_size_angstrom.value_or(map.pixel_size_angstrom);
    scene.side = map.side;
    scene.maps.push_back(std::move(map.data));
  }
  if (scene.pixel_size_angstrom <= 0)
    throw io::InputError({.file = options.inputs.front(),
                          .field = "CELLA",
                          .problem = "the map does not say its pixel size",
                          .repair = "give --apix"});
  return scene;
}

Scene read_scene(const SimulateOptions& options) {
  const std::string& first = options.inputs.front();
  if (!ends_with(first, ".pdb") &&
      (!options.pdb_chain.empty() || options.pdb.sigma_angstrom != PdbOptions().sigma_angstrom))
    throw UsageError("--pdb-sigma and --pdb-chain are for a .pdb");
  return ends_with(first, ".json") || ends_with(first, ".pdb") ? model_scene(options, first) : map_scene(options);
}

/// Poses, CTFs and states of the images; `with_ctf` tells whether the CTF is to be applied.
std::vector<ImageTruth> make_truths(const SimulateOptions& options, const Scene& scene, bool& with_ctf) {
  TruthOptions truth = options.truth;
  if (truth.defocus_min_angstrom > truth.defocus_max_angstrom)
    throw UsageError("--defocus-min is larger than --defocus-max");
  truth.images = options.images.value_or(truth.images);
  if (!scene.is_model()) truth.states = static_cast<int>(scene.maps.size());
  with_ctf = options.random_ctf;
  if (options.poses.empty()) return draw_truths(truth);

  const auto table = io::load_particles(options.poses, {.passthrough = options.passthrough, .metadata_only = true});
  print_warnings(table.warnings, options.common.json);
  if (!table.has_poses)
    throw io::InputError({.file = options.poses,
                          .field = "_rlnAngleRot",
                          .problem = "the file has no poses",
                          .repair = "give a file with _rlnAngleRot, _rlnAngleTilt and _rlnAnglePsi"});
  if (table.pixel_size_angstrom > 0 && std::abs(table.pixel_size_angstrom / scene.pixel_size_angstrom - 1) > 0.01)
    print_warning("the pixel size of --poses differs from the input's; shifts are taken in pixels",
                  options.common.json);
  truth.images = std::min(options.images.value_or(table.size()), table.size());
  std::vector<ImageTruth> truths = draw_truths(truth);
  const auto ctf = ctf_parameters(table);
  with_ctf = !ctf.empty() && !options.no_ctf;
  for (size_t i = 0; i < truths.size(); ++i) {
    const auto& e = table.euler_deg[i];
    truths[i].rotation = euler_to_matrix({e[0], e[1], e[2]});
    truths[i].shift_px = {table.shift_px[i][0], table.shift_px[i][1]};
    if (with_ctf) truths[i].ctf = ctf[i];
  }
  return truths;
}

struct Written {
  double signal_variance = 0, noise_sigma = 0;
};

/// Renders, adds noise and writes particles.mrcs. The signal is measured on the first chunk.
Written write_images(const SimulateOptions& options, Device& device, const Scene& scene,
                     const std::vector<ImageTruth>& truths, bool with_ctf) {
  const auto particle = scene.is_model() ? projectable(scene.model) : projectable(device, scene.maps, scene.side);
  const int64_t area = int64_t{scene.side} * scene.side, count = static_cast<int64_t>(truths.size());
  const int64_t chunk = std::clamp<int64_t>(chunk_bytes / (area * 4), 1, std::min<int64_t>(1000, count));
  Buffer<float> images(device, chunk, area);
  ProgressDisplay progress(options.common.json);
  auto stack = io::MrcStackWriter::create(options.output + "/particles.mrcs", scene.side, scene.pixel_size_angstrom);
  Written written;
  for (int64_t first = 0; first < count; first += chunk) {
    throw_if_stopped();
    const int64_t n = std::min(chunk, count - first);
    const std::span some(truths.data() + first, static_cast<size_t>(n));
    render(device, *particle, some, with_ctf ? static_cast<float>(scene.pixel_size_angstrom) : 0.0f, images.rows(0, n));
    std::vector<float> host = images.download();
    host.resize(static_cast<size_t>(n * area));
    if (first == 0) {
      written.signal_variance = variance(host);
      if (options.snr > 0) written.noise_sigma = std::sqrt(written.signal_variance / options.snr);
    }
    if (written.noise_sigma > 0) {
      add_noise(device, images.rows(0, n), first, written.noise_sigma, options.truth.seed);
      host = images.download();
      host.resize(static_cast<size_t>(n * area));
    }
    stack.append(host);
    progress.update("images", first + n, count);
  }
  stack.finish();
  return written;
}

void write_stars(const SimulateOptions& options, const Scene& scene, const std::vector<ImageTruth>& truths,
                 bool with_ctf) {
  std::vector<io::EulerDeg> euler;
  std::vector<io::ShiftPx> shifts;
  std::vector<io::Ctf> ctf;
  std::vector<double> states;
  for (const ImageTruth& t : truths) {
    const EulerDegrees e = matrix_to_euler(t.rotation);
    euler.push_back({float(e.rot), float(e.tilt), float(e.psi)});
    shifts.push_back({float(t.shift_px[0]), float(t.shift_px[1])});
    states.push_back(t.state);
    if (with_ctf)
      ctf.push_back({.defocus_u_angstrom = t.ctf.defocus_u_angstrom,
                     .defocus_v_angstrom = t.ctf.defocus_v_angstrom,
                     .defocus_angle_rad = t.ctf.defocus_angle_rad,
                     .voltage_kv = t.ctf.voltage_kv,
                     .spherical_aberration_mm = t.ctf.spherical_aberration_mm,
                     .amplitude_contrast = t.ctf.amplitude_contrast,
                     .phase_shift_rad = t.ctf.phase_shift_rad,
                     .b_factor_angstrom2 = t.ctf.b_factor_angstrom2,
                     .scale = t.ctf.scale});
  }
  const auto count = static_cast<int64_t>(truths.size());
  io::write_npy(options.output + "/truth/states.npy", states, {count});
  for (const char* name : {"/truth/poses.star", "/particles.star"})
    io::write_simple_star(options.output + name, "particles.mrcs", count, scene.side, scene.pixel_size_angstrom, euler,
                          shifts, ctf);
}

/// Writes truth/state_NNN.mrc and the model as it was projected; gives the maps' states.
std::vector<double> write_volumes(const SimulateOptions& options, Device& device, const Scene& scene) {
  const int states = options.truth.states;
  const int count = !scene.is_model() ? static_cast<int>(scene.maps.size()) : states == 0 ? continuous_volumes : states;
  const std::string model_path = options.output + "/truth/model.json";
  if (scene.is_model())
    io::write_file(model_path, model_to_json(scene.model) + "\n");
  else
    std::filesystem::remove(model_path);  // of an earlier set in this folder
  std::vector<double> values;
  for (int k = 0; k < count; ++k) {
    throw_if_stopped();
    values.push_back(state_of(k, count));
    const auto path = options.output + "/" + numbered("truth/state_", static_cast<size_t>(k), ".mrc");
    const auto map = scene.is_model() ? model_volume(device, scene.model, values.back()) : scene.maps[size_t(k)];
    io::write_volume(path, map, scene.side, scene.pixel_size_angstrom);
  }
  return values;
}

}  // namespace

int run_simulate(const SimulateOptions& options) {
  stop_on_signals();
  const auto device = open_device(options.common);
  const Scene scene = read_scene(options);
  bool with_ctf = false;
  const auto truths = make_truths(options, scene, with_ctf);
  io::create_folders(options.output + "/truth");
  const auto states = write_volumes(options, *device, scene);
  const Written written = write_images(options, *device, scene, truths, with_ctf);
  write_stars(options, scene, truths, with_ctf);  // last: with it the data set is complete
  Json result = {{"particles", options.output + "/particles.star"},
                 {"images", truths.size()},
                 {"box_px", scene.side},
                 {"pixel_size_angstrom", scene.pixel_size_angstrom},
                 {"ctf", with_ctf},
                 {"signal_variance", written.signal_variance},
                 {"noise_sigma", written.noise_sigma},
                 {"seed", options.truth.seed},
                 {"truth_volumes", options.output + "/truth"},
                 {"truth_volume_states", states}};
  io::write_file(options.output + "/truth/truth.json", io::json_text(result, 1) + "\n");
  print_result(result, options.common.json);
  return io::ok;
}

}  // namespace recon::apps
