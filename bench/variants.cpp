#include "bench/variants.h"

#include <cstring>

#include "kernels/ops.h"

namespace recon::bench {

Variants cpu_variants() {
  Variants v;
  v.slices = {{"trilinear", 1e-5, [](Device& device, const SampleSlices& a) -> std::function<void()> {
                 return [&device, a] { sample_slices(device, a); };
               }}};
  return v;
}

Variants variants_of(const Device& device) {
  return std::strcmp(device.ops().name, "cpu") == 0 ? cpu_variants() : cuda_variants();
}

}  // namespace recon::bench
