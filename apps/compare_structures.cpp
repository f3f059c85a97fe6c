#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <numeric>

#include "apps/compare.h"
#include "apps/progress.h"
#include "engine/analyze/fsc.h"
#include "engine/analyze/statistics.h"
#include "engine/analyze/structures.h"
#include "engine/simulate/truth.h"

namespace recon::apps {
namespace {

/// A finished run and where its images stand in the truth.
struct JudgedRun {
  LoadedRun run;
  PosePairs poses;
  std::vector<double> states;  ///< true ones of the run's images
};

JudgedRun open_run(Device& device, const std::string& path, const SimulatedTruth& truth) {
  JudgedRun judged{.run = load_run(device, path), .poses = {}, .states = {}};
  const int side = judged.run.stage.model.side;
  if (side != truth.side())
    throw io::InputError({.file = path,
                          .field = "box",
                          .value = std::to_string(side),
                          .problem = "another box than the truth's " + std::to_string(truth.side())});
  const std::string poses = path + "/poses.star";
  if (!std::filesystem::exists(poses))
    throw io::InputError(
        {.file = poses, .problem = "the run has no poses yet", .repair = "let reconstruct train finish"}, io::no_input);
  judged.poses = read_poses(poses, truth.poses_path());
  for (const int64_t row : judged.poses.true_rows) {
    if (row >= static_cast<int64_t>(truth.states().size()))
      throw io::InputError({.file = truth.poses_path(),
                            .value = "row " + std::to_string(row + 1),
                            .problem = "states.npy has " + std::to_string(truth.states().size()) + " numbers only",
                            .repair = "point at the folder truth/ of one simulated set"});
    judged.states.push_back(truth.states()[static_cast<size_t>(row)]);
  }
  return judged;
}

std::vector<StructurePair> structures(Device& device, const JudgedRun& judged, const SimulatedTruth& truth,
                                      const std::vector<size_t>& images, ProgressDisplay& progress) {
  std::vector<StructurePair> pairs;
  for (const size_t image : images) {
    throw_if_stopped();
    pairs.push_back({.found = run_volume(judged.run, image_latent(judged.run, image)),
                     .truth = truth.map(device, judged.states[image])});
    progress.update("structures", static_cast<int64_t>(pairs.size()), static_cast<int64_t>(images.size()));
  }
  return pairs;
}

std::vector<double> resolutions_px(const StructureErrors& errors, double threshold) {
  std::vector<double> all;
  for (const auto& curve : errors.curves) all.push_back(resolution_px(curve, threshold));
  return all;
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Mean and median over the images.
Json summary(const StructureErrors& errors, double pixel_size_angstrom) {
  Json result;
  for (const auto& [threshold, name] : fsc_thresholds) {
    const auto pixels = resolutions_px(errors, threshold);
    const std::string at = name;
    result["mean_resolution_px_at_" + at] = mean(pixels);
    result["median_resolution_px_at_" + at] = median(pixels);
    if (pixel_size_angstrom <= 0) continue;
    result["mean_resolution_angstrom_at_" + at] = mean(pixels) * pixel_size_angstrom;
    result["median_resolution_angstrom_at_" + at] = median(pixels) * pixel_size_angstrom;
  }
  result["mean_fsc"] = mean_correlation(errors.mean_curve);
  return result;
}

Json by_image(const StructureErrors& errors, const JudgedRun& judged, const std::vector<size_t>& images,
              double pixel_size_angstrom) {
  Json all = Json::array();
  for (size_t i = 0; i < images.size(); ++i) {
    Json one = {{"image", images[i] + 1}, {"state", judged.states[images[i]]}};
    for (const auto& [threshold, name] : fsc_thresholds) {
      const double pixels = resolution_px(errors.curves[i], threshold);
      one[std::string("resolution_px_at_") + name] = pixels;
      if (pixel_size_angstrom > 0) one[std::string("resolution_angstrom_at_") + name] = pixels * pixel_size_angstrom;
    }
    one["fsc"] = errors.curves[i];
    all.push_back(one);
  }
  return all;
}

/// 0.999 0.998 ...: a curve that a person reads in a terminal.
std::string curve_text(const std::vector<double>& curve) {
  std::string text;
  for (const double value : curve) {
    char number[16];
    std::snprintf(number, sizeof number, "%.3f", value);
    text.append(text.empty() ? "" : " ").append(number);
  }
  return text;
}

Json judge(Device& device, const std::string& path, const SimulatedTruth& truth,
           const CompareStructuresOptions& options) {
  ProgressDisplay progress(options.common.json);
  const JudgedRun judged = open_run(device, path, truth);
  const auto images = spread_over(judged.states, static_cast<size_t>(options.images));
  const PosePairs& poses = judged.poses;
  const Alignment start = align_poses(poses.rotations, poses.truth, poses.shifts, poses.true_shifts).alignment;
  const auto pairs = structures(device, judged, truth, images, progress);
  const StructureErrors errors =
      compare_structures(device, pairs, truth.side(), start, read_mask(options.mask, truth.side()), options.align_each);
  const double pixel_size = truth.pixel_size_angstrom();
  Json result = {{"run", path}, {"images", images.size()}};
  result.update(summary(errors, pixel_size));
  result["frequency_cycles_per_px"] = shell_frequencies(truth.side());
  result["fsc"] = options.common.json ? Json(errors.mean_curve) : Json(curve_text(errors.mean_curve));
  result["alignment"] = alignment_result(errors.alignment);
  if (options.common.json) result["by_image"] = by_image(errors, judged, images, pixel_size);
  return result;
}

}  // namespace

int run_compare_structures(const CompareStructuresOptions& options) {
  stop_on_signals();
  const auto device = open_device(options.common);
  const SimulatedTruth truth(options.truth);
  Json result = judge(*device, options.run, truth, options);
  result["truth"] = options.truth;
  if (!options.against.empty()) {
    const Json other = judge(*device, options.against, truth, options);
    for (const auto& [threshold, name] : fsc_thresholds) {
      const std::string key = std::string("mean_resolution_px_at_") + name;
      result[std::string("ratio_of_mean_resolutions_at_") + name] =
          result[key].get<double>() / other[key].get<double>();
    }
    result["against"] = other;
  }
  print_result(result, options.common.json);
  return io::ok;
}

}  // namespace recon::apps
