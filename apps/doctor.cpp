#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include <cmath>
#include <fstream>
#include <thread>

#include "apps/options.h"
#include "apps/progress.h"
#include "engine/analyze/fsc.h"
#include "engine/geometry/rotation.h"
#include "engine/simulate/model.h"
#include "engine/train/clock.h"

namespace recon::apps {
namespace {

/// "key : value" out of one of the system's tables; empty if it has none.
std::string system_value(const char* file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key)) {
      const size_t start = line.find_first_not_of(" \t", line.find(':') + 1);
      return start == std::string::npos ? std::string() : line.substr(start);
    }
  return {};
}

std::string memory_value(const char* key) {
  const std::string text = system_value("/proc/meminfo", key);
  return text.empty() ? "unknown" : bytes_text(std::strtod(text.c_str(), nullptr) * 1024);
}

std::string limit_text(int resource) {
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) return "unknown";
  return limit.rlim_cur == RLIM_INFINITY ? "unlimited" : std::to_string(limit.rlim_cur);
}

/// A molecule against itself, and against itself turned on its head: the FSC must tell them apart.
Json self_test(Device& device) {
  const auto start = Clock::now();
  const int side = 32;
  const auto model = one_bond_complex(side);
  const auto closed = model_volume(device, model, 0), open = model_volume(device, model, 1);
  const double same = mean_correlation(fourier_shell_correlation(device, closed, closed, side));
  const double other = mean_correlation(fourier_shell_correlation(device, closed, open, side));
  const bool passed = std::abs(same - 1) < 1e-5 && other < 0.99;
  return {{"passed", passed}, {"seconds", seconds_since(start)}};
}

}  // namespace

int run_doctor(const CommonOptions& options) {
  const auto device = open_device(options);
  utsname system{};
  ::uname(&system);
  Json result = {{"version", RECON_VERSION},
                 {"system", std::string(system.sysname) + " " + system.release + " " + system.machine},
                 {"processor", system_value("/proc/cpuinfo", "model name")},
                 {"processor_cores", std::thread::hardware_concurrency()},
                 {"decoder_products", Device::cpu_report()},
                 {"device", device->name()},
                 {"cuda", Device::cuda_report()},
                 {"memory_total", memory_value("MemTotal")},
                 {"memory_available", memory_value("MemAvailable")},
                 {"limit_open_files", limit_text(RLIMIT_NOFILE)},
                 {"limit_address_space", limit_text(RLIMIT_AS)},
                 {"limit_file_size", limit_text(RLIMIT_FSIZE)}};
  struct statvfs disk {};
  if (::statvfs(".", &disk) == 0)
    result["disk_free_here"] = bytes_text(static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize));
  result["self_test"] = self_test(*device);
  print_result(result, options.json);
  if (!result["self_test"]["passed"]) throw DeviceError("the self-test failed on " + device->name());
  return io::ok;
}

int run_version(bool json) {
  const Json backends = Device::has_cuda() ? Json{"cpu", "cuda"} : Json{"cpu"};
  const Json result = {{"version", RECON_VERSION},
                       {"backends", backends},
                       {"compiler", std::string("g++ ") + __VERSION__},
                       {"cplusplus", __cplusplus}};
  if (json)
    print_result(result, true);
  else
    print_result({{"reconstruct", RECON_VERSION}, {"backends", backends}, {"compiler", __VERSION__}}, false);
  return io::ok;
}

}  // namespace recon::apps
