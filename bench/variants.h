#pragma once
// The ways to do an operation, side by side: the product's own first, then what kernels/*/variants/ keeps.
#include <functional>
#include <string>
#include <vector>

#include "kernels/slice/slice.h"

namespace recon::bench {

template <class Args>
struct Variant {
  std::string name;
  double tolerance = 0;  ///< relative error (L2) against the definition, derived where it is declared
  /// What runs it; copies and tables that it keeps between runs are made here, out of the clock.
  std::function<std::function<void()>(Device&, const Args&)> prepare;
};

struct Variants {
  std::vector<Variant<SampleSlices>> slices;
};

Variants cpu_variants();
Variants cuda_variants();  ///< empty in a build without the CUDA backend
Variants variants_of(const Device& device);

}  // namespace recon::bench
