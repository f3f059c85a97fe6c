// A build without the CUDA backend.
#include "bench/variants.h"

namespace recon::bench {

Variants cuda_variants() { return {}; }
Ceilings cuda_ceilings(Device&) { return {}; }

}  // namespace recon::bench
