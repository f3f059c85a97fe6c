#pragma once
// What can be measured: operations of kernels/ on random inputs of a training step's sizes, and the whole step.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/runtime/device.h"
#include "kernels/runtime/precision.h"

namespace recon::bench {

/// A training step: `batch` images of box × box pixels, a decoder of layers × width, z of `latent` numbers.
struct Size {
  int box = 64, width = 128, layers = 10, latent = 0, batch = 10;
  int steps = 20;       ///< of a run of "small steps"
  int rotations = 576;  ///< of the base level of a pose search
};

/// What one run costs at least.
struct Work {
  double flops = 0, bytes = 0;
};

/// A variant, ready to run, and how far it was from the definition on a small case.
struct Candidate {
  std::string name;
  Precision precision = Precision::fp32;
  std::function<void()> run;
  double error = 0, tolerance = 0;  ///< relative, L2; 0, 0: not compared here, but in the tests
  double times = 1;                 ///< that a run does the operation
};

struct Operation {
  std::string name;
  /// The sizes that it depends on, in words: "64 x 64, 10 x 128, batch 10".
  std::function<std::string(const Size&)> shape;
  std::function<Work(const Size&)> work;
  /// The variants that can do this size, on random inputs, which their `run` keeps. Each was first run on a small case
  /// and compared with the definition (tests/reference).
  std::function<std::vector<Candidate>(Device&, const Size&)> prepare;
};

/// In the order in which they are measured.
std::vector<Operation> all_operations();

}  // namespace recon::bench
