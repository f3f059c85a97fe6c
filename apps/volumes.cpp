#include <algorithm>
#include <cmath>
#include <sstream>

#include "apps/options.h"
#include "apps/progress.h"
#include "apps/volume_files.h"
#include "engine/analyze/cluster.h"
#include "engine/analyze/statistics.h"
#include "engine/analyze/view_script.h"
#include "io/atomic_file.h"
#include "io/npy.h"

namespace recon::apps {
namespace {

Points rows_of(const std::vector<float>& values, int width) {
  Points points;
  for (auto row = values.begin(); row != values.end(); row += width) points.emplace_back(row, row + width);
  return points;
}

/// Rows of numbers between blanks or commas; # begins a comment.
Points read_text_points(const std::string& path, int width) {
  std::istringstream lines(io::read_all(io::FileSource(path)));
  Points points;
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::string where = "line " + std::to_string(++number);
    line.resize(std::min(line.size(), line.find('#')));
    std::replace(line.begin(), line.end(), ',', ' ');
    std::istringstream words(line);
    std::vector<float> row;
    for (std::string word; words >> word;) {
      char* end = nullptr;
      row.push_back(std::strtof(word.c_str(), &end));
      if (*end) throw io::InputError({.file = path, .where = where, .value = word, .problem = "not a number"});
    }
    if (row.empty()) continue;
    if (row.size() != static_cast<size_t>(width))
      throw io::InputError({.file = path,
                            .where = where,
                            .value = std::to_string(row.size()) + " numbers",
                            .problem = "a z of this run has " + std::to_string(width)});
    points.push_back(std::move(row));
  }
  return points;
}

Points cluster_points(const VolumesOptions& options, const LoadedRun& run) {
  if (*options.kmeans > run.images)
    throw UsageError("--kmeans: more clusters than images (" + std::to_string(run.images) + ")");
  ThreadPool threads(options.common.threads);
  const Clusters clusters = kmeans(threads, image_latents(run), run.stage.model.latent, *options.kmeans, options.seed);
  io::write_npy<int32_t>(options.output + "/labels.npy", clusters.labels, {run.images});
  Points points;
  for (const size_t image : clusters.representatives) points.push_back(image_latent(run, image));
  return points;
}

Points image_points(const VolumesOptions& options, const LoadedRun& run) {
  Points points;
  for (const int64_t number : options.images) {
    if (number < 1 || number > run.images)
      throw UsageError("--images: " + std::to_string(number) + " is not one of the run's images, 1 to " +
                       std::to_string(run.images));
    points.push_back(image_latent(run, static_cast<size_t>(number - 1)));
  }
  return points;
}

/// The z at which volumes are wanted.
Points choose_points(const VolumesOptions& options, const LoadedRun& run) {
  const int width = run.stage.model.latent;
  if (width == 0) {
    if (!options.z.empty() || !options.z_file.empty() || !options.images.empty() || options.sweep || options.kmeans ||
        options.component != 1)
      throw UsageError(
          "the run has one structure (--zdim 0): leave out --z, --z-file, --images, --sweep, --pc and --kmeans");
    return {{}};
  }
  if (!options.z.empty()) {
    if (options.z.size() != static_cast<size_t>(width))
      throw UsageError("--z: " + std::to_string(width) + " numbers are wanted, not " +
                       std::to_string(options.z.size()));
    return {options.z};
  }
  if (!options.z_file.empty())
    return options.z_file.ends_with(".npy") ? rows_of(io::read_npy_rows<float>(options.z_file, width), width)
                                            : read_text_points(options.z_file, width);
  if (!options.images.empty()) return image_points(options, run);
  if (options.kmeans) return cluster_points(options, run);
  if (options.component > width) throw UsageError("--pc: the latent has " + std::to_string(width) + " components");
  const PrincipalComponents components = principal_components(image_latents(run), width, options.component);
  return sweep_latents(components, options.component - 1, options.sweep.value_or(run.config.sweep));
}

}  // namespace

Json write_volumes(const LoadedRun& run, const Points& points, const std::string& folder, bool json) {
  io::create_folders(folder);
  std::vector<float> flat;
  ProgressDisplay progress(json);
  Json files = Json::array();
  std::vector<std::string> names;
  double level = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    throw_if_stopped();
    for (const float v : points[i])
      if (!std::isfinite(v)) throw UsageError("z number " + std::to_string(i) + " holds a NaN or an infinity");
    names.push_back(numbered("vol_", i, ".mrc"));
    files.push_back(folder + "/" + names.back());
    const std::vector<float> volume = run_volume(run, points[i]);
    if (i == 0) level = surface_level(volume);
    io::write_volume(files.back().get<std::string>(), volume, run.stage.model.side, run.pixel_size_angstrom);
    flat.insert(flat.end(), points[i].begin(), points[i].end());
    progress.update("volumes", static_cast<int64_t>(i + 1), static_cast<int64_t>(points.size()));
  }
  io::write_file(folder + "/view.cxc", chimerax_script(names, level, run.pixel_size_angstrom));
  if (run.stage.model.latent > 0)
    io::write_npy(folder + "/z_values.npy", flat, {static_cast<int64_t>(points.size()), run.stage.model.latent});
  return files;
}

int run_volumes(const VolumesOptions& options) {
  stop_on_signals();
  const auto device = open_device(options.common);
  const LoadedRun run = load_run(*device, options.run);
  io::create_folders(options.output);
  const Points points = choose_points(options, run);
  const Json files = write_volumes(run, points, options.output, options.common.json);
  print_result({{"volumes", files}, {"box_px", run.stage.model.side}, {"pixel_size_angstrom", run.pixel_size_angstrom}},
               options.common.json);
  return io::ok;
}

}  // namespace recon::apps
