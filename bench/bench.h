#pragma once
// The harness: each variant of each operation is compared with the definition, then timed on cold caches.
#include <string>
#include <vector>

#include "bench/operations.h"
#include "bench/variants.h"

namespace recon::bench {

struct Options {
  std::vector<Size> sizes;
  std::string operation, variant;          ///< parts of the names of those wanted; empty: all
  double seconds = 0.5;                    ///< that a variant is repeated for, at least
  int threads = 1;                         ///< of the device, which `busy` is a share of
  size_t flush_bytes = size_t{160} << 20;  ///< overwritten before each repeat: more than any last-level cache here
};

/// Of the repeats of one variant.
struct Timing {
  int repeats = 0;
  double median_s = 0, p10_s = 0, p90_s = 0;
  double busy = 0;                          ///< of the processor's cores, 0 to 1
  double page_faults = 0, allocations = 0;  ///< a repeat
};

struct Row {
  std::string operation, shape, variant;
  Work work;
  Timing timing;
  double error = 0, tolerance = 0;  ///< as the candidate's
  Precision precision = Precision::fp32;
  bool right() const { return tolerance == 0 || error < tolerance; }
};

/// The share of the nearer ceiling that a row reaches, and which one that is.
struct Share {
  double of = 0;
  bool products = false;  ///< else copies
};
Share share(const Row& row, const Ceilings& ceilings);

/// Calls `found` with every row, in order; a variant that is not right is not timed.
void run(Device& device, const Options& options, const std::function<void(const Row&)>& found);

}  // namespace recon::bench
