#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "apps/dry_run.h"
#include "apps/progress.h"
#include "engine/train/health.h"
#include "engine/train/trainer.h"
#include "io/run_folder.h"
#include "io/strict_json.h"

namespace recon::apps {
namespace {

/// Shifts are searched within this part of the box (5 px of a box of 64: the paper's 10 px of 128).
constexpr double shift_extent_boxes = 5.0 / 64;
/// The authors' beam: survivors of a level.
constexpr int paper_kept = 24;

SearchConfig search_config(const TrainOptions& options, int side) {
  SearchConfig search = options.stage.search;
  const bool paper = options.preset == SearchPreset::paper;
  search.bound = options.bound.value_or(paper ? Bound::paper : Bound::none);
  if (paper) {
    search.per_rotation = false;
    search.overlapping_shifts = false;
    search.max_kept = paper_kept;
  }
  search.max_kept = options.keep.value_or(search.max_kept);
  search.shift_extent_px = options.shift_extent_px.value_or(shift_extent_boxes * side);
  return search;
}

TrainConfig first_stage(const TrainOptions& options, int side) {
  TrainConfig stage = options.stage;
  const TrainConfig preset = preset_config(options.start, side);  // values that depend on the box
  if (stage.model.encoding_per_axis == 0) stage.model.encoding_per_axis = preset.model.encoding_per_axis;
  if (stage.band_start == 0) stage.band_start = preset.band_start;
  ModelConfig& model = stage.model;
  model.side = side;
  model.source = model.latent > 0 ? options.latent : LatentSource::none;
  model.residual = !options.no_residual;
  model.half_space = !options.full_space;
  model.seed = stage.seed;
  if (model.source != LatentSource::table || options.run.latents) stage.latent_start_epoch = 0;
  if (model.source != LatentSource::table) stage.joint_search_epochs = 0;
  if (model.source != LatentSource::table || options.run.latents) stage.linear_latents = false;
  stage.search = search_config(options, side);
  return stage;
}

TrainConfig second_stage(const TrainConfig& first, const RefineOptions& refine) {
  TrainConfig stage = first;
  stage.poses = PoseMode::given;
  stage.epochs = refine.epochs;
  stage.model.decoder_layers = stage.model.encoder_layers = refine.layers;
  stage.model.decoder_width = stage.model.encoder_width = refine.width;
  if (refine.learning_rate > 0) stage.learning_rate = refine.learning_rate;
  return stage;
}

void check(const TrainOptions& options) {
  check_window(options.run.preparation);
  if (options.run.half_maps && options.stage.model.latent > 0)
    throw UsageError("--half-maps: half maps need one structure (--zdim 0)");
  if (options.stage.poses == PoseMode::search && options.stage.epochs <= options.stage.random_pose_epochs)
    throw UsageError("--epochs: " + std::to_string(options.stage.random_pose_epochs) +
                     " of them have random poses (--random-epochs); give more");
  const auto& search = options.stage.search;
  if (search.band_max > 0 && search.band_min > search.band_max)
    throw UsageError("--band-min is larger than --band-max");
}

RunConfig run_config(const TrainOptions& options, int side) {
  RunConfig config = options.run;
  config.stages = {first_stage(options, side)};
  if (options.refine.enabled) config.stages.push_back(second_stage(config.stages.front(), options.refine));
  return config;
}

void tell(ProgressDisplay& display, const Json& d, bool json) {
  if (json)
    print_result({{"event", "input"}, {"input", d}}, true);
  else
    display.note(io::json_text(d["images"]) + " images of " + io::json_text(d["box_px"]) + " px, " +
                 io::json_text(d["pixel_size_angstrom"]) + " A/px; CTF: " + d["ctf"]["use"].get<std::string>() +
                 "; poses: " + d["poses"].get<std::string>() +
                 "; density would be: " + d["contrast"]["density_would_be"].get<std::string>());
}

/// 225,792
std::string with_commas(int64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

/// For people, a warning is its text.
void put_warnings_in_words(Json& summary) {
  if (!summary.contains("warnings")) return;
  Json texts = Json::array();
  for (const Json& warning : summary["warnings"]) texts.push_back(warning["text"]);
  summary["warnings"] = texts;
}

/// The search's figures (engine/train/search_figures.h) for people: a sentence for the candidates, one for the slices.
void put_search_in_words(Json& summary) {
  if (!summary.contains("pose_search")) return;
  const Json search = summary["pose_search"];
  const auto levels = [&](const char* name, double scale) {
    std::vector<std::string> texts;
    for (const Json& value : search[name]) texts.push_back(with_commas(std::llround(scale * value.get<double>())));
    if (std::equal(texts.begin() + 1, texts.end(), texts.begin())) return texts.front();
    std::string all = texts.front();
    for (size_t i = 1; i < texts.size(); ++i) all.append(" | ").append(texts[i]);
    return all;
  };
  summary["pose_search"] = "level by level, last epoch: " + levels("candidates_an_image", 1) +
                           " candidates an image; the cap on survivors bit on " + levels("part_of_images_capped", 100) +
                           " % of images; the bound pruned " + levels("part_pruned_by_bound", 100) + " %";
  if (!search.contains("lattice_slices_relative_error")) return;
  char text[80];
  std::snprintf(text, sizeof text, "differ from exact ones by %.2g %%",
                100 * search["lattice_slices_relative_error"].get<double>());
  summary["lattice_slices"] = text;
}

Json outcome_json(RunOutcome outcome, const io::RunFolder& folder) {
  const char* name = outcome == RunOutcome::finished  ? "finished"
                     : outcome == RunOutcome::stopped ? "stopped"
                                                      : "already finished";
  Json result = {{"event", "end"}, {"outcome", name}, {"run", folder.path()}};
  const std::string summary = folder.file("summary.json");
  if (outcome != RunOutcome::stopped && std::filesystem::exists(summary))
    result["summary"] = io::parse_json(io::FileSource(summary));
  return result;
}

}  // namespace

int run_train(const TrainOptions& given) {
  TrainOptions options = given;
  check(options);
  const std::atomic<bool>* stop = options.dry_run ? nullptr : &stop_on_signals();
  options.run.load.ignore_ctf = options.run.preparation.ctf == CtfMode::none;
  options.run.load.allow_missing_ctf = !options.ctf_wanted;
  const bool json = options.common.json;
  const auto device = open_device(options.common);
  auto particles =
      options.dry_run ? load_or_list_missing(options) : load_for_engine(options.run.particles, options.run.load);
  RunConfig config = run_config(options, particles.side);
  if (config.latents && !std::filesystem::exists(options.output + "/config.json"))  // a resumed run has its table
    read_latents(*config.latents, config.stages.front().model.latent, particles.size());
  tell_contrast_of_file(particles, config.preparation, json);
  if (!decodes_in(*device, config.stages.front().model.precision))
    throw UsageError("--precision: " + device->name() +
                     " has no products of such operands; leave it out for fp32, or use --device cuda");
  if (options.dry_run) {
    print_warnings(particles.warnings, json);
    return dry_run(*device, options, particles, config);
  }

  ProgressDisplay display(json);
  throw_if_stopped();
  auto folder = io::RunFolder::open(options.output);
  const ContrastReport contrast = contrast_of(particles, config.preparation);
  tell(display, describe(particles, config, contrast), json);
  if (device->state_or_null()) {
    const MemoryPlan plan = memory_plan(*device, particles, config);
    check_memory(plan, *device);
    config.preparation.placement = plan.placement;
    const Json memory = memory_json(plan, *device);
    if (json)
      print_result({{"event", "memory"}, {"memory", memory}}, true);
    else
      display.note(device->name() + ": " + bytes_text(double(plan.peak)) + " planned, " +
                   bytes_text(double(plan.free)) + " free; " + bytes_text(double(plan.images)) + " of images in the " +
                   (plan.placement == Placement::host ? "host's memory" : "device's memory"));
  }

  std::vector<Warning> found_before;
  if (auto warning = judge_contrast(contrast, config.preparation.invert)) found_before.push_back(*warning);
  const RunHooks hooks{.progress = [&](const RunProgress& p) { display.update(p); },
                       .warning = [&](const Warning& warning) { display.warning(warning); },
                       .note = [&](const std::string& text) { display.note(text); },
                       .found_before = found_before,
                       .stop = stop,
                       .checkpoint_seconds = options.checkpoint_seconds};
  const RunOutcome outcome = run_training(*device, config, std::move(particles), folder, hooks);
  Json result = outcome_json(outcome, folder);
  if (!json && result.contains("summary")) {
    put_search_in_words(result["summary"]);
    put_warnings_in_words(result["summary"]);
  }
  print_result(result, json);
  if (outcome != RunOutcome::stopped) return io::ok;
  if (!json) display.note("stopped: run the same command again to go on");
  return io::stopped;
}

}  // namespace recon::apps
