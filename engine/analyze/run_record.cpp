#include "engine/analyze/run_record.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "engine/analyze/markup.h"
#include "io/error.h"
#include "io/npy.h"
#include "io/strict_json.h"

namespace recon {
namespace {

using Json = nlohmann::json;

/// Runs `read`; what the JSON library finds missing becomes an InputError that names the file.
template <class Read>
void reading(const std::string& file, const Read& read) {
  try {
    read();
  } catch (const Json::exception& error) {
    throw io::InputError({.file = file,
                          .value = error.what(),
                          .problem = "does not hold what reconstruct writes there",
                          .repair = "restore the file, or take it away"});
  }
}

std::optional<Json> json_at(const std::string& path) {
  if (!std::filesystem::exists(path)) return {};
  return io::parse_json(io::FileSource(path));
}

EpochRecord epoch_of(const Json& event) {
  EpochRecord e{.stage = event.at("stage"),
                .epoch = event.at("epoch"),
                .kind = event.at("kind"),
                .loss = event.at("loss"),
                .kl = event.at("kl"),
                .band = event.at("band"),
                .learning_rate = event.at("learning_rate"),
                .search_seconds = event.at("search_s"),
                .train_seconds = event.at("train_s")};
  if (event.contains("pose_change_degrees")) e.pose_change_degrees = event["pose_change_degrees"].get<double>();
  if (!event.contains("search")) return e;
  for (const Json& level : event["search"])
    if (level.at("images") > 0)
      e.survivors.push_back(level.at("kept").get<double>() / level.at("images").get<double>());
  if (!e.survivors.empty()) e.survivors.pop_back();  // the last level decides, and keeps none
  return e;
}

/// A run that was stopped tells the epochs after its checkpoint twice: the later account holds.
void read_events(const std::string& path, RunRecord& record) {
  if (!std::filesystem::exists(path)) return;
  std::string whole = io::read_all(io::FileSource(path));
  whole.resize(whole.rfind('\n') + 1);  // a last line without its end is being written, or was cut by a crash
  std::istringstream lines(whole);
  std::set<std::string> told;
  for (std::string text; std::getline(lines, text);) {
    const Json event = io::parse_json(text, path);
    const std::string kind = event.at("event");
    if (kind == "epoch") {
      const EpochRecord epoch = epoch_of(event);
      std::erase_if(record.epochs, [&](const EpochRecord& e) {
        return e.stage > epoch.stage || (e.stage == epoch.stage && e.epoch >= epoch.epoch);
      });
      record.epochs.push_back(epoch);
      record.elapsed_seconds = event.at("elapsed_s");
    } else if (kind == "race" && event.contains("agreed")) {  // earlier versions went by the loss
      record.starts = event.at("losses").size();
      record.agreement = event.at("agreement");
      record.agreed = event.at("agreed");
    } else if (kind == "start" || kind == "resume") {
      record.images = event.at("images");
      record.state = "running";
    } else if (kind == "warning") {
      if (told.insert(event.at("text")).second) record.warnings.push_back(event["text"]);
    }
  }
}

std::string layers_text(const Json& model, const std::string& part) {
  const int layers = model.value(part + "_layers", 0);
  return std::to_string(layers) + (layers == 1 ? " layer of " : " layers of ") +
         std::to_string(model.value(part + "_width", 0));
}

std::string network_text(const Json& model) {
  const std::string decoder = layers_text(model, "decoder");
  return model.value("source", "none") == "encoder" ? decoder + "; encoder of " + layers_text(model, "encoder")
                                                    : decoder;
}

void read_config(const Json& config, RunRecord& record) {
  const Json& stage = config.at("stages").at(0);
  const Json& model = stage.at("model");
  const Json& load = config.at("load");
  record.particles = config.at("particles");
  record.latent = model.at("latent");
  record.searches = stage.at("poses") == "search";
  record.encoder = model.at("source") == "encoder";
  record.weighted_noise = stage.at("noise") == "shells";
  record.frozen_latents = !record.encoder && stage.at("latent_learning_rate") == 0;
  record.load.datadir = load.at("datadir");
  record.load.ignore_ctf = load.at("ignore_ctf");
  if (load.contains("pixel_size_angstrom")) record.load.pixel_size_angstrom = load["pixel_size_angstrom"].get<double>();
  auto& facts = record.facts;
  const auto fact = [&](const char* name, const std::string& text) { facts.emplace_back(name, text); };
  fact("particles", record.particles);
  if (record.images > 0) fact("images", count_text(record.images));
  record.side = model.at("side");
  std::string box = std::to_string(record.side) + " px";
  if (record.pixel_size_angstrom > 0)
    box += " of " + number_text(record.pixel_size_angstrom) + " Å (" +
           number_text(record.side * record.pixel_size_angstrom) + " Å)";
  fact("box", box);
  fact("poses", record.searches ? "searched (none were given)" : "taken from the particle file");
  fact("latent", record.latent == 0
                     ? "none: one structure"
                     : std::to_string(record.latent) + (record.latent == 1 ? " dimension, " : " dimensions, ") +
                           (record.encoder ? "from an encoder" : "one value an image from a table"));
  fact("network", network_text(model));
  const double rate = stage.at("learning_rate"), last = rate * stage.at("final_learning_rate").get<double>();
  fact("learning rate", number_text(rate) + (last == rate ? std::string() : ", falling to " + number_text(last)));
  fact("images a step", std::to_string(stage.at("batch").get<int>()));
  fact("seed", std::to_string(stage.at("seed").get<uint64_t>()));
}

/// Names of the stages as run.cpp plans them: starts that race, the stages of the configuration, half sets.
void name_stages(const Json& config, RunRecord& record) {
  const Json& first = config.at("stages").at(0);
  const int starts = record.searches && first.at("starts") > 1 ? first.at("starts").get<int>() : 0;
  for (int i = 0; i < starts; ++i) record.stage_names.push_back("start " + std::to_string(i + 1));
  for (size_t i = 0; i < config.at("stages").size(); ++i) record.stage_names.push_back(i == 0 ? "main" : "refined");
  if (config.at("half_maps").get<bool>())
    for (const char* half : {"half 1", "half 2"}) record.stage_names.emplace_back(half);
}

FscRecord fsc_of(const Json& json, const char* frequency) {
  FscRecord fsc{.frequency = json.at(frequency).get<std::vector<double>>(),
                .correlation = json.at("fsc").get<std::vector<double>>()};
  if (fsc.frequency.size() != fsc.correlation.size()) throw std::length_error("fsc");
  return fsc;
}

void read_fsc(const std::string& path, const char* frequency, std::optional<FscRecord>& into) {
  const auto json = json_at(path);
  if (!json) return;
  reading(path, [&] {
    try {
      into = fsc_of(*json, frequency);
    } catch (const std::length_error&) {
      throw io::InputError({.file = path, .field = "fsc", .problem = "has another length than its frequencies"});
    }
  });
}

std::string numbered_volume(const std::string& folder, size_t i) {
  std::string digits = std::to_string(i);
  digits.insert(0, digits.size() < 3 ? 3 - digits.size() : 0, '0');
  return folder + "/vol_" + digits + ".mrc";
}

void add_series(const std::string& name, const std::string& folder, int latent, RunRecord& record) {
  SeriesRecord series{.name = name};
  if (latent == 0) {
    if (std::filesystem::exists(folder + "/volume.mrc")) series.files = {folder + "/volume.mrc"};
  } else if (const std::string path = folder + "/z_values.npy"; std::filesystem::exists(path)) {
    const auto rows = io::read_npy_rows<float>(path, latent);
    for (auto row = rows.begin(); row != rows.end(); row += latent) {
      series.files.push_back(numbered_volume(folder, series.z.size()));
      series.z.emplace_back(row, row + latent);
    }
  }
  if (!series.files.empty()) record.series.push_back(std::move(series));
}

void read_analysis(const std::string& folder, RunRecord& record) {
  const std::string path = folder + "/summary.json";
  const auto summary = json_at(path);
  if (!summary) return;
  reading(path, [&] {
    for (const Json& entry : summary->at("series")) {
      const std::string name = entry.at("folder");
      const size_t before = record.series.size();
      add_series(name, folder + "/" + name, record.latent, record);
      if (record.series.size() > before && entry.contains("images"))
        record.series.back().images = entry["images"].get<std::vector<int64_t>>();
    }
    if (summary->contains("path")) record.path_images = summary->at("path").at("images").get<std::vector<int64_t>>();
  });
}

}  // namespace

RunRecord read_run_record(const std::string& run, const std::string& analysis, const std::string& truth) {
  RunRecord record{.path = run, .state = "just begun"};
  const std::string events = run + "/events.jsonl", config = run + "/config.json", status = run + "/status.json";
  reading(events, [&] { read_events(events, record); });
  if (const auto json = json_at(run + "/summary.json"))
    reading(run + "/summary.json", [&] { record.pixel_size_angstrom = json->at("pixel_size_angstrom"); });
  if (const auto json = json_at(status))
    reading(status, [&] {
      record.state = json->at("state");
      record.stages = json->value("stages", 1);
      record.epochs_of_stage = json->value("epochs", 0);
    });
  if (const auto json = json_at(config))
    reading(config, [&] {
      read_config(*json, record);
      name_stages(*json, record);
    });
  read_fsc(run + "/fsc_half_maps.json", "shell_frequency_cycles_per_px", record.half_maps);
  if (!truth.empty() && !std::filesystem::exists(truth))
    throw io::InputError({.file = truth, .problem = "cannot be opened", .repair = "write it with compare fsc --json"},
                         io::no_input);
  if (!truth.empty()) read_fsc(truth, "frequency_cycles_per_px", record.truth);
  if (analysis.empty() || record.latent == 0)
    add_series("volumes", run + "/volumes", record.latent, record);
  else
    read_analysis(analysis, record);
  return record;
}

}  // namespace recon
