#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
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

/// 0: not known.
double memory_bytes(const char* key) { return std::strtod(system_value("/proc/meminfo", key).c_str(), nullptr) * 1024; }
std::string memory_text(double bytes) { return bytes > 0 ? bytes_text(bytes) : "unknown"; }

/// RLIM_INFINITY where there is none.
rlim_t limit_of(int resource) {
  rlimit limit{};
  return ::getrlimit(static_cast<__rlimit_resource>(resource), &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}
std::string limit_text(int resource) {
  const rlim_t limit = limit_of(resource);
  return limit == RLIM_INFINITY ? "unlimited" : std::to_string(limit);
}

/// Cores that this process may use: a job's share of the machine, or all.
int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                       : static_cast<int>(std::thread::hardware_concurrency());
}

/// What the disk of the current folder does with a file of its own, bytes a second; 0: it could not be tried.
struct DiskSpeed {
  double write = 0, read = 0;
};
DiskSpeed disk_speed() {
  constexpr size_t block = 1 << 20, blocks = 64;
  std::string name = "./.reconstruct-doctor-XXXXXX";
  const int file = ::mkstemp(name.data());
  if (file < 0) return {};
  ::unlink(name.c_str());  // nothing stays, whatever happens
  std::vector<char> data(block, 'x');
  DiskSpeed speed;
  auto start = Clock::now();
  bool good = true;
  for (size_t i = 0; i < blocks && good; ++i) good = ::write(file, data.data(), block) == static_cast<ssize_t>(block);
  good = good && ::fsync(file) == 0;
  if (good) speed.write = block * blocks / seconds_since(start);
  ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);  // from the disk, not from memory
  start = Clock::now();
  for (size_t i = 0; i < blocks && good; ++i)
    good = ::pread(file, data.data(), block, static_cast<off_t>(i * block)) == static_cast<ssize_t>(block);
  if (good) speed.read = block * blocks / seconds_since(start);
  ::close(file);
  return speed;
}

std::string speed_text(double bytes_a_second) {
  return bytes_a_second > 0 ? bytes_text(bytes_a_second) + "/s" : "could not be tried: no file can be written here";
}

/// What was found, as far as advice hangs on it.
struct Findings {
  bool gpu_used = false;
  int cores = 0;
  double memory_available = 0, disk_free = 0;
  DiskSpeed disk;
};

/// What would make runs faster or keep them from failing, in words.
std::vector<std::string> suggestions(const Findings& f) {
  constexpr double gibibyte = 1 << 30, mebibyte = 1 << 20;
  std::vector<std::string> out;
  const bool driver = std::filesystem::exists("/proc/driver/nvidia/version");
  if (!f.gpu_used && driver && !Device::has_cuda())
    out.push_back(
        "this machine has an NVIDIA driver, but this build has no CUDA backend: build with nvcc, preset cuda");
  else if (!f.gpu_used && driver)
    out.push_back(
        "there is an NVIDIA driver, but no GPU could be used: ask the job for one (--gres=gpu:1), and look at cuda "
        "above");
  else if (!f.gpu_used)
    out.push_back("there is no GPU here: images of 64 pixels take minutes to an hour on a CPU, larger ones want a GPU");
  if (const int all = static_cast<int>(std::thread::hardware_concurrency()); f.cores < all || f.cores == 1)
    out.push_back("this process may use " + std::to_string(f.cores) + " of " + std::to_string(all) +
                  " cores: ask the job for more (--cpus-per-task)");
  if (f.memory_available > 0 && f.memory_available < 4 * gibibyte)
    out.push_back(
        "little memory is left: close other programs, or ask the job for more (--mem); train --dry-run tells what a "
        "run needs");
  if (limit_of(RLIMIT_NOFILE) < 512)
    out.push_back("few files may be open at a time: ulimit -n 1024 (particles often lie in many stacks)");
  if (limit_of(RLIMIT_FSIZE) != RLIM_INFINITY)
    out.push_back("files are limited in size: ulimit -f unlimited, or a checkpoint may not be written");
  if (limit_of(RLIMIT_AS) != RLIM_INFINITY)
    out.push_back("address space is limited: ulimit -v unlimited; CUDA reserves more than it uses");
  if (f.disk_free > 0 && f.disk_free < 5 * gibibyte)
    out.push_back("the disk here is nearly full: write runs elsewhere; train --dry-run tells what one needs");
  if (f.disk.write == 0)
    out.push_back("no file can be written in this folder: run folders must go elsewhere (-o)");
  else if (f.disk.read < 100 * mebibyte || f.disk.write < 50 * mebibyte)
    out.push_back("this disk is slow: copy the particles to a local one; images are read once, at a run's start");
  return out;
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
  Findings found{.gpu_used = device->state_or_null() != nullptr,
                 .cores = usable_cores(),
                 .memory_available = memory_bytes("MemAvailable"),
                 .disk = disk_speed()};
  utsname system{};
  ::uname(&system);
  Json result = {{"version", RECON_VERSION},
                 {"system", std::string(system.sysname) + " " + system.release + " " + system.machine},
                 {"processor", system_value("/proc/cpuinfo", "model name")},
                 {"processor_cores", std::thread::hardware_concurrency()},
                 {"usable_cores", found.cores},
                 {"decoder_products", Device::cpu_report()},
                 {"blas", Device::blas_report()},
                 {"device", device->name()},
                 {"cuda", Device::cuda_report()},
                 {"memory_total", memory_text(memory_bytes("MemTotal"))},
                 {"memory_available", memory_text(found.memory_available)},
                 {"limit_open_files", limit_text(RLIMIT_NOFILE)},
                 {"limit_address_space", limit_text(RLIMIT_AS)},
                 {"limit_file_size", limit_text(RLIMIT_FSIZE)}};
  struct statvfs disk {};
  if (::statvfs(".", &disk) == 0) {
    found.disk_free = static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize);
    result["disk_free_here"] = bytes_text(found.disk_free);
  }
  result["disk_write_here"] = speed_text(found.disk.write);
  result["disk_read_here"] = speed_text(found.disk.read);
  result["self_test"] = self_test(*device);
  result["suggestions"] = suggestions(found);
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
