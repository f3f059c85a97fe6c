#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "engine/data/dataset.h"
#include "io/error.h"
#include "io/particles.h"
#include "kernels/runtime/device.h"

namespace recon::apps {

/// Results keep the order in which they were found.
using Json = nlohmann::ordered_json;

/// What most subcommands share.
struct CommonOptions {
  std::string device = "auto";  ///< auto, cpu, cuda or cuda:INDEX
  int threads = 0;              ///< 0: one a core
  bool json = false;
};

/// The command line asks for what cannot be: exit code 64.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws UsageError for a window that ends before it starts to fall.
void check_window(const PreparationConfig& preparation);

/// A signal ended a command that keeps no checkpoint: exit code 75.
class Stopped : public std::runtime_error {
 public:
  Stopped() : std::runtime_error("stopped by a signal; nothing half-written is left; run the same command again") {}
};

/// Exit code after a second interrupt, as shells report it.
inline constexpr int interrupted_twice = 130;

/// Throws UsageError for an unknown name, DeviceError for a device that this build or machine does not have.
std::unique_ptr<Device> open_device(const CommonOptions& options);

/// Runs a command; what it throws becomes a message on stderr (with `json` also a line on stdout) and an exit code.
int report_errors(bool json, const std::function<int()>& command);

/// From now on SIGINT, SIGTERM and SIGUSR1 set the returned flag; a second SIGINT ends the process at once with 130.
const std::atomic<bool>& stop_on_signals();
/// Sets that flag, as a signal does.
void request_stop();
/// Throws Stopped once the flag is set.
void throw_if_stopped();

/// The result of a command: one line of JSON, or `name   value` lines (long arrays are for --json).
void print_result(const Json& result, bool json);
/// A warning: a line on stderr, as JSON on stdout with `json`.
void print_warning(const std::string& text, bool json, const std::string& kind = "input");
void print_warnings(std::span<const std::string> texts, bool json);

/// Correlations at which a resolution is read off, and their names in results.
inline constexpr std::pair<double, const char*> fsc_thresholds[] = {{0.5, "0.5"}, {0.143, "0.143"}};

/// FSC, the resolutions it gives, and in Å where the pixel size is known.
Json fsc_result(std::span<const double> curve, int side, double pixel_size_angstrom);

/// Of the shells of an FSC, in cycles a pixel.
std::vector<double> shell_frequencies(int side);

/// Loads particles for a computation on their images: an even box. Throws as io::load_particles.
io::ParticleTable load_for_engine(const std::string& path, const io::LoadOptions& options);

/// vol_007.mrc
std::string numbered(const std::string& prefix, size_t number, const std::string& suffix);

}  // namespace recon::apps
