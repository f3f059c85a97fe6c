#include "engine/train/run_status.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "engine/train/search_figures.h"
#include "io/process.h"

namespace recon {
namespace {

int64_t host_bytes_peak() {
  rusage usage{};
  return ::getrusage(RUSAGE_SELF, &usage) == 0 ? int64_t{usage.ru_maxrss} * 1024 : 0;
}

/// Candidates that an image keeps, a level; the last level keeps none.
nlohmann::json survivors_by_level(const SearchStatistics& search) {
  nlohmann::json out = nlohmann::json::array();
  for (size_t i = 0; i + 1 < search.levels.size(); ++i)
    out.push_back(double(search.levels[i].kept) / double(std::max<int64_t>(1, search.levels[i].images)));
  return out;
}

}  // namespace

double RunProgress::survivors() const {
  const auto& levels = epoch->search.levels;
  if (levels.size() < 2) return 0;
  const auto& last = levels[levels.size() - 2];
  return double(last.kept) / double(std::max<int64_t>(1, last.images));
}

nlohmann::json epoch_event(const RunProgress& p) {
  const EpochReport& r = *p.epoch;
  nlohmann::json event = {{"event", "epoch"},
                          {"stage", p.stage},
                          {"epoch", r.epoch},
                          {"kind", r.stage},
                          {"loss", r.loss},
                          {"kl", r.kl},
                          {"band", r.band},
                          {"learning_rate", r.learning_rate},
                          {"search_s", r.search_seconds},
                          {"train_s", r.train_seconds},
                          {"elapsed_s", p.elapsed_seconds}};
  if (r.stage == "pose search" || r.pose_change_degrees > 0) event["pose_change_degrees"] = r.pose_change_degrees;
  if (!r.search.levels.empty()) event["search"] = r.search.levels;
  return event;
}

nlohmann::json process_json() {
  nlohmann::json json = {{"time", io::utc_now()}, {"pid", ::getpid()}, {"host", io::host_name()}};
  for (const auto& [key, name] : {std::pair{"slurm_job_id", "SLURM_JOB_ID"},
                                  {"slurm_array_task_id", "SLURM_ARRAY_TASK_ID"},
                                  {"slurm_restart_count", "SLURM_RESTART_COUNT"}})
    if (const char* value = std::getenv(name)) json[key] = value;
  return json;
}

nlohmann::json status_json(const char* state, const RunProgress* progress, const std::string& device,
                           const std::vector<Warning>& warnings) {
  nlohmann::json json = process_json();
  json["state"] = state;
  json["device"] = device;
  json["warnings"] = warnings;
  if (!progress) return json;
  const RunProgress& p = *progress;
  const EpochReport& r = *p.epoch;
  json.update({{"stage", p.stage},
               {"stages", p.stages},
               {"epoch", r.epoch},
               {"epochs", p.epochs},
               {"kind", r.stage},
               {"images_done", r.images},
               {"images", p.images},
               {"images_per_second", p.images_per_second},
               {"elapsed_s", p.elapsed_seconds},
               {"stage_remaining_s", p.remaining_seconds},
               {"run_remaining_s", p.run_remaining_seconds},
               {"loss", r.loss},
               {"kl", r.kl},
               {"band", r.band},
               {"survivors_an_image", survivors_by_level(r.search)},
               {"device_bytes", p.device_bytes},
               {"device_bytes_peak", p.device_bytes_peak},
               {"host_bytes_peak", host_bytes_peak()}});
  if (r.pose_change_degrees > 0) json["pose_change_degrees"] = r.pose_change_degrees;
  return json;
}

}  // namespace recon
