#include <algorithm>
#include <cmath>
#include <filesystem>
#include <sstream>

#include "apps/options.h"
#include "apps/progress.h"
#include "engine/train/results.h"
#include "io/atomic_file.h"
#include "io/npy.h"
#include "kernels/runtime/philox.h"

namespace recon::apps {
namespace {

using Points = std::vector<std::vector<float>>;

[[noreturn]] void refuse_width(const std::string& file, size_t found, int wanted, const std::string& where = {}) {
  throw io::InputError({.file = file,
                        .where = where,
                        .value = std::to_string(found) + " numbers",
                        .problem = "a z of this run has " + std::to_string(wanted)});
}

Points read_npy_points(const std::string& path, int width) {
  const auto array = io::read_npy_as<float>(path);
  const bool one_row = array.shape.size() == 1;
  const size_t found = static_cast<size_t>(array.shape.empty() ? 0 : array.shape.back());
  if (array.shape.size() > 2 || (found != static_cast<size_t>(width) && !(one_row && width == 1)))
    refuse_width(path, found, width);
  Points points;
  for (size_t at = 0; at < array.values.size(); at += static_cast<size_t>(width))
    points.emplace_back(array.values.begin() + static_cast<int64_t>(at),
                        array.values.begin() + static_cast<int64_t>(at) + width);
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
    if (row.size() != static_cast<size_t>(width)) refuse_width(path, row.size(), width, where);
    points.push_back(std::move(row));
  }
  return points;
}

double squared_distance(const float* a, const float* b, size_t width) {
  double sum = 0;
  for (size_t j = 0; j < width; ++j) sum += (double(a[j]) - b[j]) * (double(a[j]) - b[j]);
  return sum;
}

/// k-means (Lloyd from k-means++ centres, Arthur & Vassilvitskii 2007) of rows [N, width].
struct Clusters {
  std::vector<int32_t> labels;       ///< [N]
  std::vector<size_t> representant;  ///< the row nearest to each centre
};

Points first_centres(const std::vector<float>& rows, size_t width, int wanted, uint64_t seed) {
  const size_t count = rows.size() / width;
  const Philox random{seed, Purpose::clustering};
  const auto row = [&](size_t i) { return std::vector<float>(&rows[i * width], &rows[i * width] + width); };
  const auto uniform = [&](uint64_t draw) { return uniform01_double(random.draw(draw).v[0], random.draw(draw).v[1]); };
  Points centres = {row(std::min(count - 1, static_cast<size_t>(uniform(0) * static_cast<double>(count))))};
  std::vector<double> nearest(count, INFINITY);
  while (centres.size() < static_cast<size_t>(wanted)) {
    double total = 0;
    for (size_t i = 0; i < count; ++i) {
      nearest[i] = std::min(nearest[i], squared_distance(&rows[i * width], centres.back().data(), width));
      total += nearest[i];
    }
    double left = uniform(centres.size()) * total;
    size_t chosen = 0;
    for (size_t i = 0; i < count; ++i) {
      if (nearest[i] > 0) chosen = i;
      left -= nearest[i];
      if (left <= 0 && nearest[i] > 0) break;
    }
    centres.push_back(row(chosen));
  }
  return centres;
}

/// Assigns rows to their nearest centres and moves the centres; gives whether a label changed.
bool lloyd_step(const std::vector<float>& rows, size_t width, Points& centres, std::vector<int32_t>& labels) {
  bool changed = false;
  std::vector<std::vector<double>> sums(centres.size(), std::vector<double>(width + 1, 0.0));
  for (size_t i = 0; i < labels.size(); ++i) {
    int32_t best = 0;
    double least = INFINITY;
    for (size_t c = 0; c < centres.size(); ++c)
      if (const double d = squared_distance(&rows[i * width], centres[c].data(), width); d < least) {
        least = d;
        best = static_cast<int32_t>(c);
      }
    changed |= labels[i] != best;
    labels[i] = best;
    auto& sum = sums[static_cast<size_t>(best)];
    for (size_t j = 0; j < width; ++j) sum[j] += rows[i * width + j];
    ++sum[width];
  }
  for (size_t c = 0; c < centres.size(); ++c)
    for (size_t j = 0; j < width && sums[c][width] > 0; ++j)
      centres[c][j] = static_cast<float>(sums[c][j] / sums[c][width]);
  return changed;
}

Clusters kmeans(const std::vector<float>& rows, size_t width, int wanted, uint64_t seed) {
  const size_t count = rows.size() / width;
  if (static_cast<size_t>(wanted) > count)
    throw UsageError("--kmeans: more clusters than images (" + std::to_string(count) + ")");
  Points centres = first_centres(rows, width, wanted, seed);
  Clusters clusters;
  clusters.labels.assign(count, -1);
  for (int round = 0; round < 300 && lloyd_step(rows, width, centres, clusters.labels); ++round) {
  }
  for (const auto& centre : centres) {
    size_t best = 0;
    double least = INFINITY;
    for (size_t i = 0; i < count; ++i)
      if (const double d = squared_distance(&rows[i * width], centre.data(), width); d < least) {
        least = d;
        best = i;
      }
    clusters.representant.push_back(best);
  }
  return clusters;
}

/// The images' z: a checkpoint holds those of a table; an encoder's are in the finished run's z.npy.
void read_latents(LoadedRun& run) {
  if (run.stage.model.latent == 0 || !run.z.empty()) return;
  const std::string path = run.path + "/z.npy";
  if (std::filesystem::exists(path)) run.z = io::read_npy_as<float>(path).values;
}

Points cluster_points(const VolumesOptions& options, const LoadedRun& run) {
  const auto width = static_cast<size_t>(run.stage.model.latent);
  const Clusters clusters = kmeans(run.z, width, *options.kmeans, options.seed);
  io::write_npy<int32_t>(options.output + "/labels.npy", clusters.labels,
                         {static_cast<int64_t>(clusters.labels.size())});
  Points points;
  for (const size_t row : clusters.representant) points.emplace_back(&run.z[row * width], &run.z[row * width] + width);
  return points;
}

/// The z at which volumes are wanted.
Points choose_points(const VolumesOptions& options, const LoadedRun& run) {
  const int width = run.stage.model.latent;
  if (width == 0) {
    if (!options.z.empty() || !options.z_file.empty() || options.sweep || options.kmeans || options.component != 1)
      throw UsageError("the run has one structure (--zdim 0): leave out --z, --z-file, --sweep, --pc and --kmeans");
    return {{}};
  }
  if (!options.z.empty()) {
    if (options.z.size() != static_cast<size_t>(width))
      throw UsageError("--z: " + std::to_string(width) + " numbers are wanted, not " +
                       std::to_string(options.z.size()));
    return {options.z};
  }
  if (!options.z_file.empty())
    return options.z_file.ends_with(".npy") ? read_npy_points(options.z_file, width)
                                            : read_text_points(options.z_file, width);
  if (run.z.empty())
    throw io::InputError({.file = run.path + "/z.npy",
                          .problem = "the run has no latents yet",
                          .repair = "let reconstruct train finish, or give --z or --z-file"},
                         io::no_input);
  if (options.kmeans) return cluster_points(options, run);
  if (options.component > width) throw UsageError("--pc: the latent has " + std::to_string(width) + " components");
  return sweep_latents(run.z, width, options.component - 1, options.sweep.value_or(run.config.sweep));
}

}  // namespace

int run_volumes(const VolumesOptions& options) {
  stop_on_signals();
  const auto device = open_device(options.common);
  LoadedRun run = load_run(*device, options.run);
  read_latents(run);
  io::create_folders(options.output);
  const Points points = choose_points(options, run);
  const int side = run.stage.model.side;
  std::vector<float> flat;
  ProgressDisplay progress(options.common.json);
  Json files = Json::array();
  for (size_t i = 0; i < points.size(); ++i) {
    throw_if_stopped();
    for (const float v : points[i])
      if (!std::isfinite(v)) throw UsageError("z number " + std::to_string(i) + " holds a NaN or an infinity");
    files.push_back(options.output + "/" + numbered("vol_", i, ".mrc"));
    io::write_volume(files.back().get<std::string>(), run_volume(run, points[i]), side, run.pixel_size_angstrom);
    flat.insert(flat.end(), points[i].begin(), points[i].end());
    progress.update("volumes", static_cast<int64_t>(i + 1), static_cast<int64_t>(points.size()));
  }
  if (run.stage.model.latent > 0)
    io::write_npy(options.output + "/z_values.npy", flat,
                  {static_cast<int64_t>(points.size()), run.stage.model.latent});
  print_result({{"volumes", files}, {"box_px", side}, {"pixel_size_angstrom", run.pixel_size_angstrom}},
               options.common.json);
  return io::ok;
}

}  // namespace recon::apps
