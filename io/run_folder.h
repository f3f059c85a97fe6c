#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/atomic_file.h"
#include "io/checkpoint.h"

namespace recon::io {

/// Holds a folder for one process: a file `lock` made with O_EXCL and locked with flock, holding host, process and
/// start. The lock of a process that died, on this boot of this machine or before its last restart, is taken over.
class FolderLock {
 public:
  /// Throws IoError (73) naming the holder.
  explicit FolderLock(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  std::string path_;
  int fd_ = -1;
};

/// A checkpoint and where it was found.
struct FoundCheckpoint {
  std::string path;
  Checkpoint checkpoint;
};

/// A run's folder: config.json, status.json, events.jsonl, checkpoints/, volumes/. Nothing in it is ever half-written.
class RunFolder {
 public:
  /// Creates the folder where needed and locks it for this process. Throws IoError (73).
  static RunFolder open(const std::string& path);
  /// A finished or running run to look at: no lock, nothing is written. Throws InputError (66) if it is no run folder.
  static RunFolder read_only(const std::string& path);

  /// Settles the run's configuration, an object. A new folder: writes config.json and gives false. The same
  /// configuration as before: gives true, resume. Another one: throws IoError (73) with the keys that differ. Keys in
  /// `may_change` (as JSON pointers, "/epochs") are not compared; the new values are then stored.
  bool settle_config(const nlohmann::json& config, std::span<const std::string> may_change = {});
  /// Throws InputError (65, 66).
  nlohmann::json config() const;

  /// Replaces status.json.
  void write_status(const nlohmann::json& status);
  /// Adds a line to events.jsonl.
  void append_event(const nlohmann::json& event);

  /// Writes checkpoints/ckpt-EPOCH-STEP.safetensors, then deletes all but the newest two. Gives its path.
  std::string save_checkpoint(int64_t epoch, int64_t step, const std::map<std::string, std::string>& metadata,
                              std::span<const TensorView> tensors);
  std::string save_checkpoint(int64_t epoch, int64_t step, const Checkpoint& checkpoint);
  /// The newest checkpoint whose checksums agree; a damaged one is passed over with a warning. Nothing if there is
  /// none. Throws InputError (65) if there are checkpoints and all are damaged.
  std::optional<FoundCheckpoint> latest_valid_checkpoint();

  const std::string& path() const { return path_; }
  /// Path of something in the folder.
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::string volumes_path() const { return file("volumes"); }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  explicit RunFolder(std::string path) : path_(std::move(path)) {}
  std::vector<std::string> checkpoint_names() const;  // newest first
  void require_lock() const;

  std::string path_;
  std::unique_ptr<FolderLock> lock_;
  std::unique_ptr<AppendFile> events_;
  std::vector<std::string> warnings_;
};

}  // namespace recon::io
