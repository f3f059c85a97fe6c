#include "bench/bench.h"

#include <sys/resource.h>

#include <algorithm>
#include <set>

#include "kernels/adam/adam.h"

namespace recon::bench {
namespace {

constexpr int most_repeats = 400, fewest_repeats = 5;
constexpr double long_run_s = 2;  // of which one is enough

struct Usage {
  double cpu_s;
  int64_t faults;
};
Usage usage() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  const auto seconds = [](const timeval& t) { return double(t.tv_sec) + 1e-6 * double(t.tv_usec); };
  return {seconds(u.ru_utime) + seconds(u.ru_stime), u.ru_minflt + u.ru_majflt};
}

double at(const std::vector<double>& sorted, double part) {
  return sorted[static_cast<size_t>(part * double(sorted.size() - 1) + 0.5)];
}

/// Puts `flush` into the caches, by ordinary loads and stores: a large memset writes past them and leaves what is
/// there.
void evict(Device& device, const Buffer<float>& flush) {
  const int64_t half = flush.size() / 2;
  average_weights(
      device,
      {.parameters = {flush.view().data, 1, half}, .average = {flush.view().data + half, 1, half}, .rate = 0.0f});
}

Timing time_of(Device& device, const Candidate& candidate, const Options& options, const Buffer<float>& flush) {
  const double first = device.seconds(candidate.run);
  Timing t;
  std::vector<double> seconds;
  double total = 0, cpu = 0, faults = 0;
  const uint64_t allocations = device.allocations();
  while (static_cast<int>(seconds.size()) < most_repeats &&
         (static_cast<int>(seconds.size()) < fewest_repeats || total < options.seconds)) {
    evict(device, flush);
    const Usage before = usage();
    seconds.push_back(device.seconds(candidate.run));
    const Usage after = usage();
    total += seconds.back(), cpu += after.cpu_s - before.cpu_s, faults += double(after.faults - before.faults);
    if (first > long_run_s) break;
  }
  const double count = double(seconds.size()) * candidate.times;
  t.repeats = static_cast<int>(seconds.size());
  for (double& s : seconds) s /= candidate.times;
  std::sort(seconds.begin(), seconds.end());
  t.median_s = at(seconds, 0.5), t.p10_s = at(seconds, 0.1), t.p90_s = at(seconds, 0.9);
  t.busy = cpu / (total * options.threads);
  t.page_faults = faults / count, t.allocations = double(device.allocations() - allocations) / count;
  return t;
}

}  // namespace

Share share(const Row& row, const Ceilings& c) {
  const double s = row.timing.median_s, products = c.flops_per_s[static_cast<int>(row.precision)];
  if (s <= 0 || products <= 0 || c.bytes_per_s <= 0) return {};
  const double flops = row.work.flops / s / products, bytes = row.work.bytes / s / c.bytes_per_s;
  return {std::max(flops, bytes), flops >= bytes};
}

void run(Device& device, const Options& options, const std::function<void(const Row&)>& found) {
  const Buffer<float> flush(device, 1, static_cast<int64_t>(options.flush_bytes / 4));
  flush.zero();
  std::set<std::string> done;  // sizes that an operation does not tell apart
  for (const Operation& operation : all_operations())
    for (const Size& size : options.sizes) {
      Row row{.operation = operation.name, .shape = operation.shape(size), .work = operation.work(size)};
      if (row.operation.find(options.operation) == std::string::npos) continue;
      if (!done.insert(row.operation + row.shape).second) continue;
      for (const Candidate& candidate : operation.prepare(device, size)) {
        if (candidate.name.find(options.variant) == std::string::npos) continue;
        row.variant = candidate.name, row.precision = candidate.precision;
        row.error = candidate.error, row.tolerance = candidate.tolerance;
        row.timing = row.right() ? time_of(device, candidate, options, flush) : Timing{};
        found(row);
      }
    }
}

}  // namespace recon::bench
