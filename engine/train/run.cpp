#include "engine/train/run.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "engine/train/checkpoint.h"
#include "engine/train/clock.h"
#include "engine/train/config_json.h"
#include "engine/train/results.h"
#include "engine/train/run_status.h"
#include "engine/train/stages.h"
#include "engine/train/subset.h"
#include "io/error.h"
#include "io/strict_json.h"

namespace recon {
namespace {

/// A report waits for the device; between reports the host only hands it work.
constexpr double between_reports_seconds = 0.2;
constexpr double between_status_seconds = 10;
/// report.html is renewed at an epoch's end, but not more often, and for a fiftieth of the time at most.
constexpr double between_pages_seconds = 30, page_share = 50;

class Run {
 public:
  Run(Device& device, const RunConfig& config, io::ParticleTable particles, io::RunFolder& folder,
      const RunHooks& hooks)
      : device_(device), config_(config), folder_(folder), hooks_(hooks), particles_(std::move(particles)) {}

  RunOutcome go() {
    static const std::vector<std::string> may_change;
    const bool resumed = folder_.settle_config(to_json(config_), may_change);
    if (resumed && std::filesystem::exists(folder_.file("summary.json"))) return RunOutcome::already_finished;
    if (resumed) warnings_ = told_before();
    for (const auto& text : particles_.warnings) warn(Warning{.kind = "input", .text = text});
    for (const auto& warning : hooks_.found_before) warn(warning);
    note("reading " + std::to_string(particles_.size()) + " images of " + std::to_string(particles_.side) + " x " +
         std::to_string(particles_.side) + " pixels");
    folder_.write_status(status_json("reading", nullptr, device_.name(), warnings_));
    if (!read_images()) return RunOutcome::stopped;
    stages_ = plan_stages(config_, data_.count);
    start_state(resumed);
    nlohmann::json event = {{"event", resumed ? "resume" : "start"},
                            {"images", data_.count},
                            {"device", device_.name()},
                            {"stage", state_.stage},
                            {"epoch", state_.progress.epoch}};
    event.update(process_json());
    folder_.append_event(event);
    started_ = Clock::now();
    for (; state_.stage < static_cast<int>(stages_.size()); ++state_.stage) {
      const bool raced = stages_[static_cast<size_t>(state_.stage)].race && state_.race.agreed();
      if (!raced && !run_stage()) return RunOutcome::stopped;
    }
    return RunOutcome::finished;
  }

 private:
  /// False when a stop was asked for meanwhile.
  bool read_images() {
    struct Stop {};
    try {
      data_ = prepare(device_, particles_, config_.preparation, [this] {
        if (stop_asked()) throw Stop();
      });
      return true;
    } catch (const Stop&) {
      folder_.append_event({{"event", "stopped"}});
      folder_.write_status(status_json("stopped", nullptr, device_.name(), warnings_));
      return false;
    }
  }
  bool stop_asked() const { return hooks_.stop && hooks_.stop->load(); }

  void start_state(bool resumed) {
    state_.images = data_.count;
    state_.scale = data_.scale;
    state_.pixel_size_angstrom = data_.pixel_size_angstrom;
    if (resumed) found_ = folder_.latest_valid_checkpoint();
    for (const auto& text : folder_.warnings()) warn(Warning{.kind = "folder", .text = text});
    if (found_) {
      const SavedState saved = saved_state(found_->checkpoint, found_->path);
      if (saved.images != state_.images)
        throw io::InputError(
            {.file = config_.particles,
             .value = std::to_string(state_.images),
             .problem = "holds another number of images than when the run began (" + std::to_string(saved.images) + ")",
             .repair = "restore the input, or start a new run in another folder"});
      state_ = saved;
      return;
    }
    if (config_.stages.front().poses == PoseMode::given) {
      if (!particles_.has_poses)
        throw io::InputError(
            {.file = config_.particles,
             .field = "_rlnAngleRot",
             .problem = "the particles have no poses",
             .repair = "use --poses search, or a STAR file with _rlnAngleRot, _rlnAngleTilt and _rlnAnglePsi"});
      given_poses(particles_, state_.matrices, state_.shifts);
    } else {
      no_poses();
    }
  }

  void no_poses() {
    state_.matrices.assign(static_cast<size_t>(9 * data_.count), 0.0f);
    for (size_t i = 0; i < state_.matrices.size(); ++i) state_.matrices[i] = i % 9 % 4 == 0 ? 1.0f : 0.0f;
    state_.shifts.assign(static_cast<size_t>(2 * data_.count), 0.0f);
  }

  bool run_stage() {
    PlannedStage& stage = stages_[static_cast<size_t>(state_.stage)];
    take_winner(stage);
    if (found_) stage.config = state_.config;
    state_.config = stage.config;
    members_ =
        stage.half > 0 ? half_set(particles_, stage.half) : spread_images(data_.count, stage.images(data_.count));
    const bool whole = static_cast<int64_t>(members_.size()) == data_.count;
    const Dataset part = whole ? Dataset{} : subset(device_, data_, members_);
    if (stage.race && !found_) no_poses();
    Trainer trainer(device_, whole ? data_ : part, stage.config);
    state_.config = trainer.config();
    trainer.set_poses(rows_of(state_.matrices, members_, 9), rows_of(state_.shifts, members_, 2));
    const bool resumed = found_ && !taken_;
    if (found_) {
      restore_model(found_->checkpoint, found_->path, trainer.model());
      restore_noise(found_->checkpoint, found_->path, trainer);
      trainer.restore(state_.progress);
      found_.reset();
    } else if (config_.latents) {
      trainer.set_latents(read_latents(*config_.latents, stage.config.model.latent, data_.count));
    }
    StageWatch watch(trainer, resumed);
    taken_ = false;
    if (!train(trainer, stage, watch)) return false;
    finish_stage(trainer, stage);
    state_.epochs_before += trainer.epoch();
    state_.progress = {};
    return true;
  }

  std::string race_file(int start) const { return folder_.file("race-" + std::to_string(start + 1) + ".safetensors"); }

  /// A random start has ended: its state is kept until the race is decided.
  void finish_race(Trainer& trainer) {
    Race& race = state_.race;
    const int start = static_cast<int>(race.losses.size());
    race.losses.push_back(trainer.report().loss);
    for (int earlier = 0; earlier < start; ++earlier) {
      const SavedState other = saved_state(io::read_checkpoint(race_file(earlier)), race_file(earlier));
      race.compare(earlier, start, rows_of(other.matrices, members_, 9), rows_of(state_.matrices, members_, 9));
    }
    io::write_checkpoint(race_file(start), to_checkpoint(state_, trainer));
  }

  /// The first full stage goes on from the state of the start that won the race, as if it had been the only one.
  void take_winner(const PlannedStage& stage) {
    const Race& race = state_.race;
    if (race.losses.empty() || stage.race || found_ || !stages_[static_cast<size_t>(state_.stage) - 1].race) return;
    const std::string file = race_file(race.winner());
    found_ = io::FoundCheckpoint{.path = file, .checkpoint = io::read_checkpoint(file)};
    const SavedState best = saved_state(found_->checkpoint, found_->path);
    state_.config = best.config;
    state_.progress = best.progress;
    state_.matrices = best.matrices;
    state_.shifts = best.shifts;
    taken_ = true;
    nlohmann::json event = race;
    event.update({{"event", "race"}, {"seed", best.config.seed}, {"agreed", race.agreed()}});
    folder_.append_event(event);
    note(race_text(race) + "; going on with seed " + std::to_string(best.config.seed));
    if (const auto warning = judge_race(race)) warn(*warning);
  }

  bool train(Trainer& trainer, PlannedStage& stage, StageWatch& watch) {
    auto last_checkpoint = Clock::now(), last_told = last_checkpoint;
    while (!trainer.finished() && trainer.epoch() < stage.epochs()) {
      trainer.step_group();
      ++groups_;
      const bool stop = stop_asked() || (hooks_.stop_after_groups >= 0 && groups_ >= hooks_.stop_after_groups);
      const bool due = seconds_since(last_checkpoint) >= hooks_.checkpoint_seconds;
      const bool saved = trainer.epoch_finished() || due || stop;
      if (trainer.epoch_finished()) stage.config = state_.config = trainer.config();
      if (!saved && seconds_since(last_told) < between_reports_seconds) continue;
      if (!std::isfinite(trainer.report().loss))
        throw std::runtime_error("the loss is not finite in epoch " + std::to_string(trainer.report().epoch) +
                                 ": lower --lr, or look for images of extreme values with reconstruct validate");
      if (trainer.epoch_finished() && !stage.race)
        for (const Warning& warning : watch.epoch_ended(trainer)) warn(warning);
      tell(trainer, stage);
      last_told = Clock::now();
      if (saved) save(trainer);
      if (saved) last_checkpoint = Clock::now();
      if (trainer.epoch_finished()) renew_report(trainer);
      if (stop && !trainer.finished() && trainer.epoch() < stage.epochs()) {
        folder_.append_event({{"event", "stopped"}, {"epoch", trainer.epoch()}});
        status("stopped", trainer, stage);
        page_cost_ = -1;
        renew_report(trainer);
        return false;
      }
    }
    return true;
  }

  void save(Trainer& trainer) {
    state_.progress = trainer.progress();
    state_.elapsed_seconds += seconds_since(started_);
    started_ = Clock::now();
    put_rows(state_.matrices, members_, 9, trainer.matrices());
    put_rows(state_.shifts, members_, 2, trainer.shifts());
    folder_.save_checkpoint(state_.epochs_before + trainer.epoch(), state_.progress.cursor,
                            to_checkpoint(state_, trainer));
  }

  RunProgress progress_of(const Trainer& trainer, const PlannedStage& stage) {
    const EpochReport& r = trainer.report();
    RunProgress p{.stage = state_.stage,
                  .stages = static_cast<int>(stages_.size()),
                  .epoch = &r,
                  .images = trainer.data().count,
                  .epochs = stage.epochs()};
    p.epoch_finished = trainer.epoch_finished();
    p.elapsed_seconds = state_.elapsed_seconds + seconds_since(started_);
    const double spent = r.search_seconds + r.train_seconds, per_image = spent / std::max<double>(1, double(r.images));
    p.images_per_second = per_image > 0 ? 1 / per_image : 0;
    pace_.saw(trainer.stage(r.epoch), per_image);
    p.remaining_seconds = pace_.of_stage(stage, r.epoch, r.images, p.images);
    p.run_remaining_seconds =
        p.remaining_seconds + pace_.of_stages_after(stages_, static_cast<size_t>(state_.stage), data_.count);
    p.device_bytes = device_.bytes_in_use();
    p.device_bytes_peak = device_.bytes_peak();
    return p;
  }

  void tell(const Trainer& trainer, const PlannedStage& stage) {
    const RunProgress p = progress_of(trainer, stage);
    if (hooks_.progress) hooks_.progress(p);
    const bool due = seconds_since(status_written_) >= between_status_seconds;
    if (p.epoch_finished) folder_.append_event(epoch_event(p));
    if (p.epoch_finished || due) status("running", trainer, stage);
  }

  void status(const char* state, const Trainer& trainer, const PlannedStage& stage) {
    const RunProgress progress = progress_of(trainer, stage);
    folder_.write_status(status_json(state, &progress, device_.name(), warnings_));
    status_written_ = Clock::now();
  }

  void finish_stage(Trainer& trainer, const PlannedStage& stage) {
    if (stage.race) return finish_race(trainer);
    for (int start = 0; start < static_cast<int>(state_.race.losses.size()); ++start)
      std::filesystem::remove(race_file(start));
    if (stage.config.poses == PoseMode::search)
      state_.search = {.statistics = trainer.progress().search, .lattice_error = trainer.lattice_error()};
    const bool last_full = stage.last_full;
    if (last_full) io::write_checkpoint(folder_.file("model.safetensors"), to_checkpoint(state_, trainer));
    trainer.model().parameters().swap_average();
    ResultContext context = result_context();
    if (stage.half > 0)
      write_half_map(context, trainer, stage.half);
    else if (last_full)
      write_results(context, trainer);
    if (state_.stage + 1 == static_cast<int>(stages_.size())) {
      context.warnings = warnings_;
      const int latent = stages_.front().config.model.latent;
      const auto z = latent > 0 ? read_latents(folder_.file("z.npy"), latent, data_.count) : std::vector<float>{};
      write_run_report(context, trainer, z, true);
      write_summary(context, trainer);
      status("finished", trainer, stage);
      folder_.append_event({{"event", "finished"}, {"elapsed_s", state_.elapsed_seconds}});
    }
  }

  ResultContext result_context() {
    return {.device = device_,
            .config = config_,
            .particles = particles_,
            .data = data_,
            .folder = folder_,
            .state = state_,
            .warn = [this](const std::optional<Warning>& w) {
              if (w) warn(*w);
            }};
  }

  /// The page for people, while the run goes on. A latent table is at hand; an encoder would have to see all images.
  void renew_report(Trainer& trainer) {
    if (page_cost_ >= 0 && seconds_since(page_written_) < std::max(between_pages_seconds, page_share * page_cost_))
      return;
    const auto begin = Clock::now();
    const ModelConfig& model = trainer.config().model;
    const bool known = model.source == LatentSource::table && trainer.data().count == data_.count;
    try {
      write_run_report(result_context(), trainer, known ? trainer.latents() : std::vector<float>{});
    } catch (const io::InputError& error) {
      note(std::string("report.html was not renewed: ") + error.what());
    }
    page_written_ = Clock::now();
    page_cost_ = seconds_since(begin);
  }

  /// Each kind once; of the input as many as there are.
  void warn(const Warning& warning) {
    for (const Warning& known : warnings_)
      if (known.kind == warning.kind && (warning.kind != "input" || known.text == warning.text)) return;
    warnings_.push_back(warning);
    folder_.append_event({{"event", "warning"}, {"kind", warning.kind}, {"text", warning.text}});
    if (hooks_.warning) hooks_.warning(warning);
  }
  /// What the run told before it was stopped.
  std::vector<Warning> told_before() const {
    try {
      return io::parse_json(io::FileSource(folder_.file("status.json"))).at("warnings");
    } catch (const std::exception&) {
      return {};  // stopped before its first epoch's end, or written by an earlier version
    }
  }
  void note(const std::string& text) {
    if (hooks_.note) hooks_.note(text);
  }

  Device& device_;
  const RunConfig& config_;
  io::RunFolder& folder_;
  const RunHooks& hooks_;
  std::vector<PlannedStage> stages_;
  io::ParticleTable particles_;
  Dataset data_;
  SavedState state_;
  std::vector<int32_t> members_;  ///< images of the stage at hand
  std::optional<io::FoundCheckpoint> found_;
  std::vector<Warning> warnings_;
  Pace pace_;
  Clock::time_point started_, status_written_ = {};
  bool taken_ = false;  ///< what was found is the state of a race's winner
  int64_t groups_ = 0;
  Clock::time_point page_written_;
  double page_cost_ = -1;  // seconds; none was written yet
};

}  // namespace

RunOutcome run_training(Device& device, const RunConfig& config, io::ParticleTable particles, io::RunFolder& folder,
                        const RunHooks& hooks) {
  expect(!config.stages.empty(), "run: a run needs a stage");
  expect(!config.half_maps || config.stages.back().model.latent == 0, "run: half maps need a homogeneous model");
  expect(!config.latents || config.stages.front().model.source == LatentSource::table,
         "run: latents to start from need a latent table");
  return Run(device, config, std::move(particles), folder, hooks).go();
}

}  // namespace recon
