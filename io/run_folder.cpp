#include "io/run_folder.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "io/error.h"
#include "io/strict_json.h"

namespace recon::io {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr size_t kKeptCheckpoints = 2;

bool is_there(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

/// Removes what killed processes left half-written; whoever holds the lock may do so.
void remove_temporaries(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const size_t mark = name.find(".tmp.");
    std::error_code ignored;
    if (mark != std::string::npos && name.find_first_not_of("0123456789.", mark + 5) == std::string::npos)
      fs::remove(entry.path(), ignored);
  }
}

/// The differences between two configurations as `key: old (there), new (now)`, at most five written out.
std::string differences(const json& before, const json& now, std::span<const std::string> may_change) {
  const json a = before.flatten(), b = now.flatten();
  std::vector<std::string> keys;
  for (const auto& [key, value] : a.items())
    if (!b.contains(key) || b[key] != value) keys.push_back(key);
  for (const auto& [key, value] : b.items())
    if (!a.contains(key)) keys.push_back(key);
  std::erase_if(keys, [&](const std::string& key) {
    return std::find(may_change.begin(), may_change.end(), key) != may_change.end();
  });
  const auto shown = [](const json& flat, const std::string& key) {
    return flat.contains(key) ? printable(json_text(flat[key]), 60) : std::string("absent");
  };
  std::string out;
  for (size_t i = 0; i < keys.size() && i < 5; ++i) {
    if (i) out += "; ";
    out.append(keys[i].substr(std::min<size_t>(1, keys[i].size()))).append(": ").append(shown(a, keys[i]));
    out.append(" there, ").append(shown(b, keys[i])).append(" now");
  }
  if (keys.size() > 5) out += "; and " + std::to_string(keys.size() - 5) + " more";
  return out;
}

}  // namespace

RunFolder RunFolder::open(const std::string& path) {
  RunFolder run(path);
  create_folders(path);
  run.lock_ = std::make_unique<FolderLock>(path);
  create_folders(run.file("checkpoints"));
  create_folders(run.volumes_path());
  for (const std::string& folder : {path, run.file("checkpoints"), run.volumes_path()}) remove_temporaries(folder);
  run.events_ = std::make_unique<AppendFile>(run.file("events.jsonl"), "events");
  return run;
}

RunFolder RunFolder::read_only(const std::string& path) {
  RunFolder run(path);
  if (!is_there(run.file("config.json")))
    throw InputError({.file = path,
                      .problem = "not a run folder: it holds no config.json",
                      .repair = "give the folder that a run was written to"},
                     no_input);
  return run;
}

void RunFolder::require_lock() const {
  if (!lock_) throw std::logic_error("RunFolder: opened for reading only");
}

json RunFolder::config() const { return parse_json(FileSource(file("config.json"))); }

bool RunFolder::settle_config(const json& config, std::span<const std::string> may_change) {
  require_lock();
  if (!config.is_object()) throw std::invalid_argument("RunFolder: the configuration must be an object");
  const std::string stored = file("config.json");
  const std::string text = json_text(config, 2) + "\n";
  if (!is_there(stored)) {
    if (!checkpoint_names().empty())
      throw IoError({.file = path_,
                     .problem = "there are checkpoints of a run whose config.json is gone",
                     .repair = "choose another folder, or restore config.json"},
                    cannot_create);
    write_file(stored, text, "config");
    return false;
  }
  // Compared as it would be read back, so that 1 and 1.0 or replaced bytes make no difference.
  const json before = this->config(), now = parse_json(text, stored);
  const std::string different = differences(before, now, may_change);
  if (!different.empty())
    throw IoError({.file = stored,
                   .problem = "the folder holds a run with another configuration: " + different,
                   .repair = "choose another folder, or run with the same options to resume"},
                  cannot_create);
  if (before != now) write_file(stored, text, "config");
  return true;
}

void RunFolder::write_status(const json& status) {
  require_lock();
  write_file(file("status.json"), json_text(status, 2) + "\n", "status");
}

void RunFolder::append_event(const json& event) {
  require_lock();
  events_->append_line(json_text(event));
}

std::vector<std::string> RunFolder::checkpoint_names() const {
  std::vector<std::pair<std::pair<int64_t, int64_t>, std::string>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(file("checkpoints"), error)) {
    const std::string name = entry.path().filename().string();
    int64_t epoch = 0, step = 0;
    int used = 0;
    if (std::sscanf(name.c_str(), "ckpt-%" SCNd64 "-%" SCNd64 ".safetensors%n", &epoch, &step, &used) == 2 &&
        used == static_cast<int>(name.size()))
      found.push_back({{epoch, step}, name});
  }
  std::sort(found.rbegin(), found.rend());
  std::vector<std::string> names;
  for (auto& one : found) names.push_back(std::move(one.second));
  return names;
}

std::string RunFolder::save_checkpoint(int64_t epoch, int64_t step, const std::map<std::string, std::string>& metadata,
                                       std::span<const TensorView> tensors) {
  require_lock();
  char name[80];
  std::snprintf(name, sizeof name, "ckpt-%06" PRId64 "-%09" PRId64 ".safetensors", epoch, step);
  const std::string path = file("checkpoints/") + name;
  write_checkpoint(path, metadata, tensors);
  const std::vector<std::string> names = checkpoint_names();
  std::error_code ignored;  // an old checkpoint that cannot be removed does no harm
  for (size_t i = kKeptCheckpoints; i < names.size(); ++i) fs::remove(file("checkpoints/") + names[i], ignored);
  return path;
}

std::string RunFolder::save_checkpoint(int64_t epoch, int64_t step, const Checkpoint& checkpoint) {
  std::vector<TensorView> views;
  for (const Tensor& tensor : checkpoint.tensors)
    views.push_back({tensor.name, tensor.dtype, tensor.shape, tensor.bytes});
  return save_checkpoint(epoch, step, checkpoint.metadata, views);
}

std::optional<FoundCheckpoint> RunFolder::latest_valid_checkpoint() {
  const std::vector<std::string> names = checkpoint_names();
  std::vector<std::string> damaged;
  for (const std::string& name : names) {
    const std::string path = file("checkpoints/") + name;
    try {
      FoundCheckpoint found{path, read_checkpoint(path)};
      // Out of the count of newest two, or it would crowd out a good one. Only once a good one is known.
      std::error_code ignored;
      for (const std::string& bad : damaged)
        if (lock_) fs::rename(bad, bad + ".damaged", ignored);
      return found;
    } catch (const InputError& error) {
      warnings_.push_back(std::string("passed over a damaged checkpoint: ") + error.what());
      damaged.push_back(path);
    }
  }
  if (names.empty()) return std::nullopt;
  throw InputError({.file = file("checkpoints"),
                    .problem = "all " + std::to_string(names.size()) + " checkpoints are damaged",
                    .repair = "restore one, or start the run in another folder"});
}

}  // namespace recon::io
