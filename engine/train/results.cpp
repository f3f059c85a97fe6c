#include "engine/train/results.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "engine/analyze/fsc.h"
#include "engine/analyze/picture.h"
#include "engine/analyze/report.h"
#include "engine/analyze/statistics.h"
#include "engine/analyze/view_script.h"
#include "engine/geometry/rotation.h"
#include "engine/train/config_json.h"
#include "io/npy.h"
#include "io/png.h"
#include "io/strict_json.h"

namespace recon {
namespace {

std::vector<float> density(const Model& model, const std::vector<float>& z, float scale) {
  std::vector<float> volume = model.volume(z, model.config().side / 2.0);
  for (float& v : volume) v /= std::abs(scale);  // an inverted data set still gives bright density
  return volume;
}

constexpr int picture_size = 256;

void write_picture(const ResultContext& c, const std::vector<Picture>& pictures) {
  const Picture all = montage(pictures, 5);
  io::write_png(c.folder.volumes_path() + "/volumes.png", all.rgb, all.width, all.height);
}

void write_poses(const ResultContext& c) {
  std::vector<io::EulerDeg> euler;
  std::vector<io::ShiftPx> shifts;
  euler.reserve(static_cast<size_t>(c.state.images));
  shifts.reserve(static_cast<size_t>(c.state.images));
  for (size_t i = 0; i < static_cast<size_t>(c.state.images); ++i) {
    Matrix3 matrix;
    for (size_t j = 0; j < 9; ++j) matrix[j] = c.state.matrices[9 * i + j];
    const EulerDegrees e = matrix_to_euler(matrix);
    euler.push_back({float(e.rot), float(e.tilt), float(e.psi)});
    shifts.push_back({c.state.shifts[2 * i], c.state.shifts[2 * i + 1]});
  }
  io::write_particles_star(c.folder.file("poses.star"), c.particles, euler, shifts);
}

void write_view(const ResultContext& c, const std::vector<std::string>& names, const std::vector<float>& first) {
  io::write_file(c.folder.volumes_path() + "/view.cxc",
                 chimerax_script(names, surface_level(first), c.data.pixel_size_angstrom));
}

}  // namespace

void write_results(const ResultContext& c, Trainer& trainer) {
  const int side = c.data.side, latent = trainer.config().model.latent;
  write_poses(c);
  if (latent == 0) {
    const std::vector<float> volume = density(trainer.model(), {}, c.data.scale);
    c.warn(judge_volume(shape_of(volume, side)));
    io::write_volume(c.folder.volumes_path() + "/volume.mrc", volume, side, c.data.pixel_size_angstrom);
    write_picture(c, {render_surface(volume, side, picture_size)});
    write_view(c, {"volume.mrc"}, volume);
    return;
  }
  std::vector<float> log_variances;
  const std::vector<float> z = trainer.latents(&log_variances);
  const std::vector<int64_t> shape = {c.state.images, latent};
  io::write_npy<float>(c.folder.file("z.npy"), z, shape);
  if (!log_variances.empty()) io::write_npy<float>(c.folder.file("z_logvar.npy"), log_variances, shape);
  c.warn(judge_latents(trainer.config(), z, trainer.report().kl));
  const auto points = sweep_latents(principal_components(z, latent, 1), 0, c.config.sweep);
  std::vector<float> flat;
  std::vector<Picture> pictures;
  std::vector<std::string> names;
  std::vector<float> first;
  for (size_t i = 0; i < points.size(); ++i) {
    char name[32];
    std::snprintf(name, sizeof name, "/vol_%03zu.mrc", i);
    names.push_back(name + 1);
    const std::vector<float> volume = density(trainer.model(), points[i], c.data.scale);
    c.warn(judge_volume(shape_of(volume, side)));
    io::write_volume(c.folder.volumes_path() + name, volume, side, c.data.pixel_size_angstrom);
    pictures.push_back(render_surface(volume, side, picture_size));
    if (first.empty()) first = volume;
    flat.insert(flat.end(), points[i].begin(), points[i].end());
  }
  write_picture(c, pictures);
  write_view(c, names, first);
  io::write_npy<float>(c.folder.volumes_path() + "/z_values.npy", flat, {static_cast<int64_t>(points.size()), latent});
}

void write_half_map(const ResultContext& c, const Trainer& trainer, int half) {
  const int side = c.data.side;
  const auto path = [&](int h) { return c.folder.volumes_path() + "/half_map_" + std::to_string(h) + ".mrc"; };
  const std::vector<float> map = density(trainer.model(), {}, c.data.scale);
  io::write_volume(path(half), map, side, c.data.pixel_size_angstrom);
  if (half != 2) return;
  const io::Volume other = io::read_volume(path(1));
  const auto curve = fourier_shell_correlation(c.device, other.data, map, side);
  c.warn(judge_half_maps(curve));
  nlohmann::json json = {{"shell_frequency_cycles_per_px", nlohmann::json::array()}, {"fsc", curve}};
  for (size_t i = 0; i < curve.size(); ++i) json["shell_frequency_cycles_per_px"].push_back(double(i + 1) / side);
  json["resolution_0.5_px"] = resolution_px(curve, 0.5);
  json["resolution_0.143_px"] = resolution_px(curve, 0.143);
  io::write_file(c.folder.file("fsc_half_maps.json"), io::json_text(json, 1) + "\n");
}

void write_summary(const ResultContext& c, const Trainer& trainer) {
  const EpochReport& r = trainer.report();
  nlohmann::json json = {{"images", c.state.images},
                         {"side", c.data.side},
                         {"pixel_size_angstrom", c.data.pixel_size_angstrom},
                         {"loss", r.loss},
                         {"kl", r.kl},
                         {"elapsed_s", c.state.elapsed_seconds},
                         {"device", c.device.name()},
                         {"peak_device_bytes", c.device.bytes_peak()},
                         {"warnings", c.warnings}};
  if (!c.state.search.statistics.levels.empty()) json["pose_search"] = summary_of(c.state.search);
  io::write_file(c.folder.file("summary.json"), io::json_text(json, 1) + "\n");
}

void write_run_report(const ResultContext& c, const Trainer& trainer, const std::vector<float>& z, bool ended) {
  const auto latent = static_cast<size_t>(trainer.config().model.latent);
  // A random start on a part of the images: the others have no poses yet.
  const bool racing = trainer.config().poses == PoseMode::search && trainer.data().count < c.state.images;
  std::vector<float> so_far;
  if (!std::filesystem::exists(c.folder.volumes_path() + "/volumes.png")) {
    std::vector<double> mean(latent, 0);
    for (size_t i = 0; i < z.size(); ++i) mean[i % latent] += z[i] / (static_cast<double>(z.size()) / double(latent));
    so_far = density(trainer.model(), {mean.begin(), mean.end()}, c.data.scale);
  }
  write_report(c.folder.file("report.html"), {.run = c.folder.path(),
                                              .analysis = "",
                                              .truth = "",
                                              .particles = &c.particles,
                                              .matrices = racing ? std::vector<float>{} : c.state.matrices,
                                              .shifts = c.state.shifts,
                                              .z = z,
                                              .so_far = so_far,
                                              .ended = ended});
}

}  // namespace recon
