#include <filesystem>

#include "apps/options.h"
#include "apps/progress.h"
#include "apps/volume_files.h"
#include "engine/analyze/report.h"
#include "io/atomic_file.h"
#include "io/error.h"
#include "io/npy.h"
#include "io/strict_json.h"

namespace recon::apps {
namespace {

std::vector<size_t> rows_of_images(const std::vector<int64_t>& numbers, const char* option, int64_t images) {
  std::vector<size_t> rows;
  for (const int64_t number : numbers) {
    if (number < 1 || number > images)
      throw UsageError(std::string(option) + ": " + std::to_string(number) + " is not one of the run's images, 1 to " +
                       std::to_string(images));
    rows.push_back(static_cast<size_t>(number - 1));
  }
  return rows;
}

LatentMapOptions map_options(const AnalyzeOptions& options, int latent, int64_t images) {
  LatentMapOptions map = options.map;
  if (!options.line.empty() && options.line.size() != 2) throw UsageError("--line: two images are wanted");
  if (latent < 2 && !(options.path.empty() && options.line.empty()))
    throw UsageError("--path and --line: the run's latent has " + std::to_string(latent) +
                     (latent == 1 ? " dimension, where they are its axis: leave them out" : " dimensions"));
  map.path = rows_of_images(options.path, "--path", images);
  map.line = rows_of_images(options.line, "--line", images);
  map.umap = !options.no_umap;
  map.layout.seed = options.map.seed;
  return map;
}

/// Numbers of images as people count them.
Json from_1(std::span<const int64_t> rows) {
  Json numbers = Json::array();
  for (const int64_t row : rows) numbers.push_back(row + 1);
  return numbers;
}

void write_arrays(const LoadedRun& run, const LatentMap& map, const std::string& folder) {
  const int64_t images = run.images, kept = static_cast<int64_t>(map.components.variance.size());
  io::write_npy(folder + "/pca.npy", std::vector<float>(map.components.scores.begin(), map.components.scores.end()),
                {images, kept});
  if (map.umap) io::write_npy(folder + "/umap.npy", *map.umap, {images, 2});
  io::write_npy(folder + "/labels.npy", map.clusters.labels, {images});
  std::vector<float> centres;
  for (const auto& z : map.series.front().z) centres.insert(centres.end(), z.begin(), z.end());
  io::write_npy(folder + "/centres.npy", centres,
                {static_cast<int64_t>(map.series.front().z.size()), run.stage.model.latent});
}

Json summary_of(const LoadedRun& run, const LatentMap& map) {
  Json summary = {{"run", run.path},
                  {"images", run.images},
                  {"zdim", run.stage.model.latent},
                  {"variance_of_components", map.components.variance}};
  std::vector<int64_t> sizes(map.clusters.representatives.size(), 0);
  for (const int32_t label : map.clusters.labels) ++sizes[static_cast<size_t>(label)];
  summary["cluster_sizes"] = sizes;
  summary["umap"] = map.umap.has_value();
  if (!map.path.points.empty())
    summary["path"] = {{"images", from_1(std::vector<int64_t>(map.path.points.begin(), map.path.points.end()))},
                       {"length", map.path.length},
                       {"gaps_after_step", map.path.gaps}};
  Json series = Json::array();
  for (const LatentSeries& one : map.series) {
    Json entry = {{"folder", one.name}, {"volumes", one.z.size()}};
    if (!one.images.empty()) entry["images"] = from_1(one.images);
    series.push_back(entry);
  }
  summary["series"] = series;
  return summary;
}

/// The particles' CTF stands in the report where the particle file is still there.
std::string write_report_of(const LoadedRun& run, const std::string& folder, const std::string& truth, bool json) {
  io::ParticleTable particles;
  try {
    io::LoadOptions load = run.config.load;
    load.metadata_only = true;
    particles = io::load_particles(run.config.particles, load);
    if (particles.size() != run.images) particles = {};
  } catch (const io::Error& error) {
    print_warning(std::string("the report leaves out the CTF: ") + error.what(), json);
  }
  const std::string path = folder + "/report.html";
  write_report(path, {.run = run.path,
                      .analysis = run.stage.model.latent > 0 ? folder : "",
                      .truth = truth,
                      .particles = particles.size() > 0 ? &particles : nullptr,
                      .matrices = run.matrices,
                      .shifts = run.shifts,
                      .z = run.z});
  return path;
}

}  // namespace

int run_analyze(const AnalyzeOptions& options) {
  stop_on_signals();
  const bool json = options.common.json;
  const auto device = open_device(options.common);
  const LoadedRun run = load_run(*device, options.run);
  const int latent = run.stage.model.latent;
  const LatentMapOptions wanted = map_options(options, latent, run.images);
  const std::string folder = options.output.empty() ? run.path + "/analysis" : options.output;
  Json result = {{"output", folder}};
  if (latent > 0) {
    const std::vector<float>& z = image_latents(run);
    const LatentMap map = map_latents(device->threads(), z, latent, wanted);
    io::create_folders(folder);
    write_arrays(run, map, folder);
    for (const LatentSeries& one : map.series) write_volumes(run, one.z, folder + "/" + one.name, json);
    const Json summary = summary_of(run, map);
    io::write_file(folder + "/summary.json", io::json_text(summary, 1) + "\n");
    for (const char* key : {"images", "zdim", "cluster_sizes", "umap"}) result[key] = summary[key];
    for (const Json& one : summary["series"]) result["volumes"][one["folder"].get<std::string>()] = one["volumes"];
    if (!map.path.gaps.empty())
      print_warning("the path jumps " + std::to_string(map.path.gaps.size()) +
                        " time(s) between parts of the latents that no chain of neighbours joins",
                    json);
  }
  io::create_folders(folder);
  result["report"] = write_report_of(run, folder, options.truth, json);
  print_result(result, json);
  return io::ok;
}

}  // namespace recon::apps
