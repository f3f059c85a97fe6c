#pragma once
#include <nlohmann/json.hpp>

#include "engine/train/run.h"

// What a run folder tells machines while a run goes on; apps/README.md lists the fields.
namespace recon {

/// A line of events.jsonl for the epoch that ended.
nlohmann::json epoch_event(const RunProgress& progress);

/// When, by which process, on which machine, in which Slurm job.
nlohmann::json process_json();

/// status.json; `state`: reading (without progress), running, stopped or finished.
nlohmann::json status_json(const char* state, const RunProgress* progress, const std::string& device,
                           const std::vector<Warning>& warnings);

}  // namespace recon
