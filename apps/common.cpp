#include "apps/common.h"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <new>
#include <system_error>

#include <unistd.h>

#include "engine/analyze/fsc.h"
#include "io/strict_json.h"

namespace recon::apps {
namespace {

std::atomic<bool> stop_requested{false};
std::atomic<int> interrupts{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void on_signal(int signal) {
  stop_requested = true;
  if (signal == SIGINT && interrupts.fetch_add(1) > 0) ::_exit(interrupted_twice);
}

int fail(bool json, int code, const std::string& message, const char* note = "") {
  std::cerr << "reconstruct: " << message << note << std::endl;
  if (json)
    std::cout << io::json_text(Json{{"event", "error"}, {"exit_code", code}, {"message", message + note}}) << std::endl;
  return code;
}

std::string value_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) {
    char text[40];
    std::snprintf(text, sizeof text, "%.6g", value.get<double>());
    return text;
  }
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_null()) return "unknown";
  if (value.is_array()) {
    constexpr size_t most = 12;
    if (value.size() > most && value.front().is_number())
      return std::to_string(value.size()) + " values (--json shows them)";
    std::string text = value.empty() ? "none" : "";
    for (const Json& item : value) text.append(text.empty() ? "" : ", ").append(value_text(item));
    return text;
  }
  return io::json_text(value);
}

bool is_list_of_sentences(const Json& value) {
  constexpr size_t word = 30;
  return value.is_array() && std::any_of(value.begin(), value.end(), [](const Json& item) {
           return item.is_string() && item.get_ref<const std::string&>().size() > word;
         });
}

void print_lines(const Json& result, const std::string& prefix) {
  for (const auto& [key, value] : result.items()) {
    std::string name = prefix + key;
    for (char& c : name)
      if (c == '_') c = ' ';
    if (value.is_object()) {
      print_lines(value, name + " ");
    } else if (value.is_array() && !value.empty() && value.front().is_object()) {
      for (const Json& item : value) print_lines(item, name + " ");
    } else if (is_list_of_sentences(value)) {
      for (const Json& item : value) std::printf("%-32s %s\n", name.c_str(), item.get<std::string>().c_str());
    } else {
      std::printf("%-32s %s\n", name.c_str(), value_text(value).c_str());
    }
  }
}

}  // namespace

std::unique_ptr<Device> open_device(const CommonOptions& options) {
  const std::string& name = options.device;
  if (name == "cpu") return Device::cpu(options.threads);
  if (name == "auto") {
    // Without a GPU, a driver or a CUDA backend the same work is done here.
    try {
      return Device::cuda(0, options.threads);
    } catch (const DeviceError&) {
      return Device::cpu(options.threads);
    }
  }
  int index = 0;
  const char *first = name.data() + 5, *last = name.data() + name.size();
  const bool numbered = name.starts_with("cuda:") && name.size() > 5;
  const auto parsed = numbered ? std::from_chars(first, last, index) : std::from_chars_result{last, std::errc{}};
  if (name == "cuda" || (numbered && index >= 0 && parsed.ptr == last && parsed.ec == std::errc{})) {
    try {
      return Device::cuda(index, options.threads);
    } catch (const DeviceError& error) {
      throw DeviceError("--device " + name + ": " + error.what());
    }
  }
  throw UsageError("--device " + io::printable(name) + ": unknown; it is auto, cpu, cuda or cuda:INDEX");
}

int report_errors(bool json, const std::function<int()>& command) {
  constexpr const char* bug = " (this is a bug of reconstruct: please report it with the command line)";
  try {
    return command();
  } catch (const io::Error& error) {
    return fail(json, error.exit_code, error.what());
  } catch (const UsageError& error) {
    return fail(json, io::usage, error.what());
  } catch (const Stopped& error) {
    return fail(json, io::stopped, error.what());
  } catch (const DeviceFailure& error) {
    return fail(json, io::stopped, error.what());
  } catch (const DeviceError& error) {
    return fail(json, io::machine, error.what());
  } catch (const std::bad_alloc&) {
    return fail(json, io::machine, "not enough memory; repair: use a smaller box, fewer images or a larger machine");
  } catch (const std::filesystem::filesystem_error& error) {
    return fail(json, io::io_failure, error.what());
  } catch (const std::system_error& error) {
    return fail(json, io::machine, error.what());
  } catch (const std::logic_error& error) {
    return fail(json, io::internal, error.what(), bug);
  } catch (const std::runtime_error& error) {
    return fail(json, io::internal, error.what());
  } catch (const std::exception& error) {
    return fail(json, io::internal, error.what(), bug);
  }
}

const std::atomic<bool>& stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) ::sigaction(signal, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a closed terminal or pipe ends no run
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is reported as a failed write
  return stop_requested;
}

void request_stop() { stop_requested = true; }

void throw_if_stopped() {
  if (stop_requested) throw Stopped();
}

void print_result(const Json& result, bool json) {
  if (json)
    std::printf("%s\n", io::json_text(result).c_str());
  else
    print_lines(result, "");
  std::fflush(stdout);
}

void print_warning(const std::string& text, bool json, const std::string& kind) {
  if (json)
    std::cout << io::json_text(Json{{"event", "warning"}, {"kind", kind}, {"message", text}}) << std::endl;
  else
    std::cerr << "warning: " << text << std::endl;
}

void print_warnings(std::span<const std::string> texts, bool json) {
  for (const std::string& text : texts) print_warning(text, json);
}

std::vector<double> shell_frequencies(int side) {
  std::vector<double> frequencies;
  for (int shell = 1; shell <= side / 2; ++shell) frequencies.push_back(static_cast<double>(shell) / side);
  return frequencies;
}

Json fsc_result(std::span<const double> curve, int side, double pixel_size_angstrom) {
  Json result = {{"side", side}, {"pixel_size_angstrom", pixel_size_angstrom}, {"mean_fsc", mean_correlation(curve)}};
  if (pixel_size_angstrom <= 0) result["pixel_size_angstrom"] = nullptr;
  for (const auto& [threshold, name] : fsc_thresholds) {
    const std::string at = name;
    const double pixels = resolution_px(curve, threshold);
    result["resolution_px_at_" + at] = pixels;
    if (pixel_size_angstrom > 0) result["resolution_angstrom_at_" + at] = pixels * pixel_size_angstrom;
  }
  result["frequency_cycles_per_px"] = shell_frequencies(side);
  result["fsc"] = curve;
  return result;
}

void check_window(const PreparationConfig& preparation) {
  if (preparation.window && preparation.window_inner >= preparation.window_outer)
    throw UsageError("--window-inner: the window must start to fall before it ends (--window-outer)");
}

io::ParticleTable load_for_engine(const std::string& path, const io::LoadOptions& options) {
  io::ParticleTable particles = io::load_particles(path, options);
  if (particles.side % 2 != 0)
    throw io::InputError({.file = path,
                          .field = "box",
                          .value = std::to_string(particles.side),
                          .problem = "an odd box size",
                          .repair = "crop or pad the images to an even number of pixels"});
  return particles;
}

std::string numbered(const std::string& prefix, size_t number, const std::string& suffix) {
  std::string digits = std::to_string(number);
  if (digits.size() < 3) digits.insert(0, 3 - digits.size(), '0');
  return prefix + digits + suffix;
}

}  // namespace recon::apps
