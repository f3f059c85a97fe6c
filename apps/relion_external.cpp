// A run as a RELION External job: RELION calls the program in the project's folder, waits for one of the files
// RELION_JOB_EXIT_…, and asks for an end by RELION_JOB_ABORT_NOW.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <stop_token>
#include <thread>

#include "apps/command_line.h"
#include "apps/compare.h"
#include "engine/analyze/fsc.h"
#include "io/atomic_file.h"
#include "io/mrc.h"
#include "io/strict_json.h"

namespace recon::apps {
namespace {

namespace fs = std::filesystem;

std::string folder_name(std::string path) { return path.ends_with('/') ? path : path + "/"; }

/// The files by which RELION and a job speak to each other.
class JobControl {
 public:
  explicit JobControl(const std::string& folder) : folder_(folder) {
    for (const char* end : {"SUCCESS", "FAILURE", "ABORTED"}) fs::remove(exit_file(end));  // of an earlier go
    watcher_ = std::jthread([this](std::stop_token done) { watch(done); });
  }
  /// Ends the job: SUCCESS, FAILURE or ABORTED.
  void end(const char* how) {
    io::write_file(exit_file(how), "");
    fs::remove(abort_file());
  }

 private:
  std::string exit_file(const std::string& how) const { return folder_ + "RELION_JOB_EXIT_" + how; }
  std::string abort_file() const { return folder_ + "RELION_JOB_ABORT_NOW"; }
  void watch(std::stop_token done) {
    constexpr std::chrono::milliseconds pause{500};
    std::unique_lock lock(mutex_);
    std::error_code error;  // a file system that is away for a moment asks for nothing
    while (!wake_.wait_for(lock, done, pause, [] { return false; }) && !done.stop_requested())
      if (fs::exists(abort_file(), error)) request_stop();
  }

  std::string folder_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread watcher_;
};

/// A file that the pipeline shows: its type as RELION 3.1 numbers it and as later versions name it.
struct Node {
  std::string file;
  int type;
  std::string label;
};

/// RELION finds the second half map by the first one's name.
std::string half_map(int half) { return "reconstruct_half" + std::to_string(half) + "_unfil.mrc"; }

std::vector<Node> nodes_of(const std::string& job) {
  constexpr int particles = 3, map = 6, halves = 10;
  std::vector<Node> nodes = {{job + "poses.star", particles, "ParticleGroupMetadata.star.relion"}};
  std::vector<std::string> volumes;
  for (const auto& entry : fs::directory_iterator(job + "volumes")) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".mrc") && name.starts_with("vol")) volumes.push_back(job + "volumes/" + name);
  }
  std::sort(volumes.begin(), volumes.end());
  for (const std::string& volume : volumes) nodes.push_back({volume, map, "DensityMap.mrc"});
  if (fs::exists(job + half_map(1))) nodes.push_back({job + half_map(1), halves, "DensityMap.mrc.halfmap"});
  return nodes;
}

void write_nodes(const std::string& job) {
  std::string text =
      "# written by reconstruct relion-external\n\ndata_output_nodes\n\nloop_\n_rlnPipeLineNodeName #1\n"
      "_rlnPipeLineNodeType #2\n_rlnPipeLineNodeTypeLabel #3\n";
  for (const Node& node : nodes_of(job)) text += node.file + " " + std::to_string(node.type) + " " + node.label + "\n";
  io::write_file(job + "RELION_OUTPUT_NODES.star", text + "\n");
}

/// Half maps under RELION's names, and their FSC within a mask.
void hand_over_half_maps(const RelionOptions& options, const std::string& job) {
  const std::string from = job + "volumes/half_map_";
  if (!fs::exists(from + "2.mrc")) return;
  for (const int half : {1, 2})
    fs::copy_file(from + std::to_string(half) + ".mrc", job + half_map(half), fs::copy_options::overwrite_existing);
  if (options.mask.empty()) return;
  io::Volume a = io::read_volume(from + "1.mrc"), b = io::read_volume(from + "2.mrc");
  const auto mask = read_mask({.mask = options.mask}, a.side);
  apply_mask(a.data, mask);
  apply_mask(b.data, mask);
  const auto device = Device::cpu(options.threads);
  const Json fsc =
      fsc_result(fourier_shell_correlation(*device, a.data, b.data, a.side), a.side, a.pixel_size_angstrom);
  io::write_file(job + "fsc_half_maps_masked.json", io::json_text(fsc, 1) + "\n");
}

/// `reconstruct train` with RELION's names translated.
Command train_command(const RelionOptions& options, const std::string& job) {
  std::vector<std::string> words = {
      "reconstruct", "train", options.particles, "-o", job, "--threads", std::to_string(options.threads)};
  words.insert(words.end(), options.rest.begin(), options.rest.end());
  if (options.json) words.push_back("--json");
  std::vector<const char*> pointers;
  for (const std::string& word : words) pointers.push_back(word.c_str());
  return parse_command_line(static_cast<int>(pointers.size()), pointers.data());
}

void check(const RelionOptions& options) {
  const bool halves = std::find(options.rest.begin(), options.rest.end(), "--half-maps") != options.rest.end();
  if (!options.mask.empty() && !halves)
    throw UsageError("--in_mask: is for the FSC of half maps; give --half-maps too");
  if (!options.mask.empty()) read_mask({.mask = options.mask}, io::read_volume(options.mask).side);
}

}  // namespace

int run_relion_external(const RelionOptions& options) {
  const std::string job = folder_name(options.job);
  fs::create_directories(job);
  JobControl control(folder_name(options.control.empty() ? options.job : options.control));
  try {
    check(options);
    const int code = train_command(options, job).run();
    if (code == io::ok) {
      hand_over_half_maps(options, job);
      write_nodes(job);
    }
    control.end(code == io::ok ? "SUCCESS" : code == io::stopped ? "ABORTED" : "FAILURE");
    return code;
  } catch (const Stopped&) {
    control.end("ABORTED");
    throw;
  } catch (...) {
    control.end("FAILURE");
    throw;
  }
}

}  // namespace recon::apps
