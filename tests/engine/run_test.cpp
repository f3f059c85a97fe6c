#include "engine/train/run.h"

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>

#include "engine/simulate/simulate.h"
#include "engine/train/run_plan.h"
#include "engine/train/stages.h"
#include "io/strict_json.h"
#include "tests/io/support.h"

using namespace recon;

namespace {

constexpr int side = 16, images = 24, group = 8;
constexpr int groups_an_epoch = images / group;

/// A folder with particles.star and particles.mrcs beside it, of a small molecule, without noise.
class DataSet {
 public:
  explicit DataSet(Device& device) {
    const GaussianModel model = one_bond_complex(side);
    const auto truths = draw_truths({.images = images, .seed = 3, .shift_extent_px = 1});
    const Buffer<float> rendered(device, images, int64_t{side} * side);
    render(device, *projectable(model), truths, 0, rendered.view());
    auto stack = io::MrcStackWriter::create(folder_ / "particles.mrcs", side, 3);
    stack.append(rendered.download());
    stack.finish();
    io::write_simple_star(particles(), "particles.mrcs", images, side, 3, {}, {});
  }
  std::string particles() const { return folder_ / "particles.star"; }
  std::string operator/(const std::string& name) const { return folder_ / name; }

 private:
  test::TempDir folder_;
};

RunConfig config_for(const DataSet& data) {
  TrainConfig stage;
  stage.model = {.side = side, .decoder_layers = 1, .decoder_width = 12, .seed = 5};
  stage.epochs = 3, stage.batch = 4, stage.macro_batch = group, stage.learning_rate = 1e-2;
  stage.search = {.subdivisions = 2,
                  .shift_extent_px = 1,
                  .shift_grid = 3,
                  .band_min = 3,
                  .band_steps = 3,
                  .max_kept = 3,
                  .bound = Bound::none};
  stage.seed = 5;
  RunConfig config;
  config.particles = data.particles();
  config.stages = {stage};
  return config;
}

RunOutcome run(Device& device, const RunConfig& config, const std::string& path, int64_t stop_after_groups = -1) {
  io::RunFolder folder = io::RunFolder::open(path);
  return run_training(device, config, io::load_particles(config.particles), folder,
                      {.stop_after_groups = stop_after_groups});
}

/// Everything that a finished run's result rests on.
struct Outcome {
  std::vector<float> weights, first_moments, matrices, shifts, z;
  bool operator==(const Outcome&) const = default;
};

Outcome outcome_of(Device& device, const std::string& path) {
  const LoadedRun run = load_run(device, path);
  const Parameters::State state = run.model->parameters().state();
  return {state.values, state.first_moments, run.matrices, run.shifts, run.z};
}

nlohmann::json summary_of(const std::string& path) {
  return io::parse_json(test::slurp(path + "/summary.json"), "summary");
}

}  // namespace

TEST_CASE("Run: the summary tells what the last search epoch did, and a resumed run tells the same") {
  const auto device = Device::cpu(2);
  const DataSet data(*device);
  const RunConfig config = config_for(data);
  CHECK(run(*device, config, data / "whole") == RunOutcome::finished);
  const auto search = summary_of(data / "whole").at("pose_search");
  REQUIRE(search.at("candidates_an_image").size() == 3);
  CHECK(search["candidates_an_image"][0] == 576 * 9);
  CHECK(search["candidates_an_image"][1] <= 3 * 8 * 3 * 9);
  CHECK(search["candidates_an_image"][2] > 0);
  CHECK(search["part_of_images_capped"] == std::vector<double>{1, 1});  // without a bound all are below it
  CHECK(search["part_pruned_by_bound"] == std::vector<double>{0, 0});
  CHECK(search["lattice_slices_relative_error"] > 0);
  CHECK(search["lattice_slices_relative_error"] < 0.5);
  CHECK(run(*device, config, data / "stopped", 3 * groups_an_epoch - 1) == RunOutcome::stopped);
  CHECK(run(*device, config, data / "stopped") == RunOutcome::finished);
  CHECK(summary_of(data / "stopped").at("pose_search") == search);
  std::filesystem::remove(data / "whole/summary.json");  // as if it had been stopped while it wrote its results
  CHECK(run(*device, config, data / "whole") == RunOutcome::finished);
  CHECK(summary_of(data / "whole").at("pose_search") == search);
}

TEST_CASE("Run: with exact slices the bound's part is told and no error of lattice slices" *
          doctest::test_suite("slow")) {
  const auto device = Device::cpu(2);
  const DataSet data(*device);
  RunConfig config = config_for(data);
  TrainConfig& stage = config.stages.front();
  stage.source = SourceMode::exact, stage.epochs = 2;
  stage.search.bound = Bound::paper, stage.search.max_kept = 576, stage.search.band_min = 7;
  config.stages.push_back(stage);  // a stage with the poses kept changes nothing of that
  config.stages.back().epochs = 1;
  run(*device, config, data / "run");
  const auto search = summary_of(data / "run").at("pose_search");
  CHECK_FALSE(search.contains("lattice_slices_relative_error"));
  CHECK(search["part_pruned_by_bound"][0] > 0);
  CHECK(search["part_pruned_by_bound"][0] < 1);
  CHECK(search["part_of_images_capped"][0] == 0);
}

TEST_CASE("Run: poses.star finds the images from the run's folder, wherever that is") {
  const auto device = Device::cpu(2);
  const DataSet data(*device);
  RunConfig config = config_for(data);
  config.stages.front().epochs = 2;
  const test::TempDir elsewhere;
  run(*device, config, elsewhere / "run");
  const io::ParticleTable poses = io::load_particles(elsewhere / "run/poses.star");
  CHECK(poses.has_poses);
  CHECK(poses.files == std::vector<std::string>{data / "particles.mrcs"});
  CHECK(poses.images == io::load_particles(data.particles()).images);
}

TEST_CASE("Run: of random starts that do not agree the one of lowest loss goes on, with the bits of its seed alone") {
  const auto device = Device::cpu(2);
  const DataSet data(*device);
  RunConfig config = config_for(data);
  TrainConfig& stage = config.stages.front();
  stage.starts = 3, stage.race_epochs = 1;
  CHECK(run(*device, config, data / "race") == RunOutcome::finished);
  nlohmann::json race;
  std::istringstream events(test::slurp(data / "race/events.jsonl"));
  for (std::string line; std::getline(events, line);)
    if (const auto event = io::parse_json(line, "event"); event.at("event") == "race") race = event;
  const auto losses = race.at("losses").get<std::vector<double>>();
  REQUIRE(losses.size() == 3);
  const auto lowest = static_cast<uint64_t>(std::min_element(losses.begin(), losses.end()) - losses.begin());
  MESSAGE("losses " << losses[0] << ", " << losses[1] << ", " << losses[2]);
  CHECK(race.at("seed") == stage.seed + lowest);

  RunConfig alone = config;
  alone.stages.front().starts = 1;
  alone.stages.front().seed = alone.stages.front().model.seed = stage.seed + lowest;
  run(*device, alone, data / "alone");
  CHECK(outcome_of(*device, data / "race") == outcome_of(*device, data / "alone"));
}

TEST_CASE("Run: starts on a part of the images go on with all of them, resumed or not") {
  const auto device = Device::cpu(2);
  const DataSet data(*device);
  RunConfig config = config_for(data);
  TrainConfig& stage = config.stages.front();
  stage.starts = 2, stage.race_epochs = 1, stage.race_images = images / 2;
  stage.latent_start_epoch = 3, stage.epochs = 4;
  for (const LatentSource source : {LatentSource::none, LatentSource::table}) {
    stage.model.source = source, stage.model.latent = source == LatentSource::none ? 0 : 1;
    const std::string path = data / ("part" + std::to_string(stage.model.latent)), stopped = path + "-stopped";
    CHECK(run(*device, config, path) == RunOutcome::finished);
    const Outcome wanted = outcome_of(*device, path);
    for (size_t i = 0; i < wanted.matrices.size(); i += 9) CHECK_FALSE(wanted.matrices[i] == 1);  // all were searched
    constexpr int64_t start = 2 * 2;  // two epochs of two groups, of 8 and of 4 images
    for (const int64_t stop : {int64_t{1}, start, 2 * start + 1}) {
      std::filesystem::remove_all(stopped);
      CHECK(run(*device, config, stopped, stop) == RunOutcome::stopped);
      const bool has_latents = stop > 2 * start && source == LatentSource::table;
      CHECK(load_run(*device, stopped).z.empty() == !has_latents);
      CHECK(run(*device, config, stopped) == RunOutcome::finished);
      CHECK(outcome_of(*device, stopped) == wanted);
    }
    RunConfig waiting = config;  // images in the host's memory
    waiting.preparation.placement = Placement::host;
    CHECK(run(*device, waiting, path + "-host") == RunOutcome::finished);
    CHECK(outcome_of(*device, path + "-host") == wanted);
  }
}

TEST_CASE("Run: one that is stopped within the race of its starts and resumed ends with the bits of an untouched one") {
  const auto device = Device::cpu(2);
  const DataSet data(*device);
  RunConfig config = config_for(data);
  TrainConfig& stage = config.stages.front();
  stage.starts = 3, stage.race_epochs = 1, stage.settled_degrees = 1e-9, stage.settle_epochs = 1;
  run(*device, config, data / "untouched");
  const Outcome wanted = outcome_of(*device, data / "untouched");
  constexpr int64_t start = 3 * groups_an_epoch;  // one epoch of random poses, one of search, one that waits
  // Within the first start, at its end, within the next, before the end of the last, and in the run in full.
  for (const int64_t stop : {int64_t{1}, start, start + 2, 3 * start - 1, 3 * start + 1}) {
    const std::string path = data / ("stopped" + std::to_string(stop));
    CHECK(run(*device, config, path, stop) == RunOutcome::stopped);
    CHECK(run(*device, config, path) == RunOutcome::finished);
    CHECK(outcome_of(*device, path) == wanted);
  }
}

TEST_CASE("Run: a stop that is asked for while images are read leaves no checkpoint, and the run begins again") {
  const auto device = Device::cpu(1);
  const DataSet data(*device);
  const RunConfig config = config_for(data);
  CHECK(run(*device, config, data / "untouched") == RunOutcome::finished);
  const std::string path = data / "stopped";
  {
    const std::atomic<bool> stop = true;
    io::RunFolder folder = io::RunFolder::open(path);
    auto particles = io::load_particles(config.particles);
    CHECK(run_training(*device, config, std::move(particles), folder, {.stop = &stop}) == RunOutcome::stopped);
    CHECK_FALSE(folder.latest_valid_checkpoint());
    CHECK(io::parse_json(io::FileSource(folder.file("status.json"))).at("state") == "stopped");
  }
  CHECK(run(*device, config, path) == RunOutcome::finished);
  CHECK(outcome_of(*device, path) == outcome_of(*device, data / "untouched"));
}

TEST_CASE("Run: its page is there after the first epoch with the structure so far, and says at the end that it ended") {
  const auto device = Device::cpu(2);
  const DataSet data(*device);
  const RunConfig config = config_for(data);
  CHECK(run(*device, config, data / "run", groups_an_epoch + 1) == RunOutcome::stopped);
  const std::string stopped = test::slurp(data / "run/report.html");
  CHECK(stopped.find("It was stopped before its end.") != std::string::npos);
  CHECK(stopped.find("As it stands while the run goes on") != std::string::npos);
  CHECK(run(*device, config, data / "run") == RunOutcome::finished);
  const std::string finished = test::slurp(data / "run/report.html");
  CHECK(finished.find("The run is finished") != std::string::npos);
  CHECK(finished.find("As it stands while the run goes on") == std::string::npos);
  CHECK(finished.find(data / "run/volumes") != std::string::npos);
}

namespace {

nlohmann::json json_of(const std::string& path) { return io::parse_json(test::slurp(path), path); }

size_t bytes_of(const std::string& folder) {
  size_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) bytes += entry.file_size();
  return bytes;
}

}  // namespace

TEST_CASE("Run: a warning is told once and stands in status, events and summary, after a stop too") {
  const auto device = Device::cpu(2);
  const DataSet data(*device);
  RunConfig config = config_for(data);
  config.stages.front().learning_rate = 1e-12;
  config.stages.front().epochs = 6;
  config.stages.front().search_epochs = 1;
  const Warning before{.kind = "contrast", .text = "told by who calls"};
  std::vector<std::string> told;
  const auto go = [&](int64_t groups) {
    io::RunFolder folder = io::RunFolder::open(data / "run");
    return run_training(*device, config, io::load_particles(config.particles), folder,
                        {.warning = [&](const Warning& w) { told.push_back(w.kind); },
                         .found_before = {before},
                         .stop_after_groups = groups});
  };
  CHECK(go(5 * groups_an_epoch + 1) == RunOutcome::stopped);
  CHECK(std::count(told.begin(), told.end(), "contrast") == 1);
  CHECK(std::count(told.begin(), told.end(), "loss") == 1);
  const auto stopped = json_of(data / "run/status.json");
  CHECK(stopped.at("state") == "stopped");
  CHECK(stopped.at("pid") == getpid());
  CHECK(stopped.at("images_done") == group);
  CHECK(stopped.at("run_remaining_s") > 0);
  told.clear();
  CHECK(go(-1) == RunOutcome::finished);
  CHECK(std::count(told.begin(), told.end(), "contrast") == 0);
  CHECK(std::count(told.begin(), told.end(), "loss") == 0);
  const auto listed = summary_of(data / "run").at("warnings");
  CHECK(listed == json_of(data / "run/status.json").at("warnings"));
  CHECK(listed.at(0).at("kind") == "contrast");
  CHECK(listed.at(1).at("kind") == "loss");
  const std::string events = test::slurp(data / "run/events.jsonl");
  CHECK(events.find("\"kind\":\"loss\"") != std::string::npos);
}

TEST_CASE("Run: one that learns warns of nothing, and its last epoch's search is in the status") {
  const auto device = Device::cpu(2);
  const DataSet data(*device);
  RunConfig config = config_for(data);
  config.stages.front().epochs = 6;
  CHECK(run(*device, config, data / "run") == RunOutcome::finished);
  CHECK(summary_of(data / "run").at("warnings").empty());
  const auto status = json_of(data / "run/status.json");
  CHECK(status.at("state") == "finished");
  CHECK(status.at("survivors_an_image") == std::vector<double>{3, 3});
}

TEST_CASE("Plan: the folder takes the disk that was planned, and time counts every pass over the images") {
  const auto device = Device::cpu(2);
  const DataSet data(*device);
  RunConfig config = config_for(data);
  config.half_maps = true;
  TrainConfig& stage = config.stages.front();
  stage.starts = 2, stage.race_epochs = 1;
  const auto particles = io::load_particles(config.particles);
  const DiskPlan disk = plan_disk(config, particles, count_parameters(*device, config), data / "a/folder/to/be");
  CHECK(disk.free > 0);
  CHECK_FALSE(std::filesystem::exists(data / "a"));
  const TimePlan time = plan_time(*device, particles, config);
  double passes = 0, seconds = time.prepare_seconds;
  for (const auto& part : time.parts) {
    CHECK(part.images_per_second > 0);
    passes += part.images, seconds += part.images / part.images_per_second;
  }
  // Two starts of 2 epochs, the better one's third, and half maps of 3 epochs with half of the images each.
  CHECK(passes == images * (2 * 2 + 1 + 3));
  CHECK(time.seconds == doctest::Approx(seconds));
  CHECK(run(*device, config, data / "run") == RunOutcome::finished);
  const size_t taken = bytes_of(data / "run");
  CHECK(disk.final >= taken);
  CHECK(disk.final < taken + 500000);  // pictures and events are taken at their largest
  for (const auto& file : std::filesystem::directory_iterator(data / "run/checkpoints")) {
    CHECK(file.file_size() <= disk.checkpoint);
    CHECK(file.file_size() > disk.checkpoint / 2);
  }
}

TEST_CASE("Plan: what is left takes as long as epochs of its kind took") {
  RunConfig config;
  TrainConfig stage;
  stage.epochs = 6, stage.random_pose_epochs = 1, stage.search_epochs = 2, stage.starts = 2, stage.race_epochs = 1;
  config.stages = {stage};
  config.half_maps = true;
  const auto stages = plan_stages(config, 100);  // two races of 2 epochs, 6 epochs, two half maps of 6
  REQUIRE(stages.size() == 5);
  Pace pace;
  pace.saw(Trainer::Stage::random, 1);
  CHECK(pace.of_stage(stages[0], 0, 40, 100) == 60 + 100);  // a search's pace is not known yet
  pace.saw(Trainer::Stage::search, 10);
  CHECK(pace.of_stage(stages[0], 1, 50, 100) == 500);
  CHECK(pace.of_stages_after(stages, 1, 100) == (10 + 3 * 10) * 100 + 2 * 6 * 50 * 10);
  pace.saw(Trainer::Stage::fixed, 2);
  CHECK(pace.of_stages_after(stages, 0, 100) == (1 + 10) * 100 + (10 + 3 * 2) * 100 + 2 * 6 * 50 * 2);
  CHECK(pace.of_stage(stages[2], 4, 100, 100) == 200);
}
