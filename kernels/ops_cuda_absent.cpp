// A build without the CUDA backend.
#include "kernels/ops.h"

namespace recon {

const Ops* cuda_ops() { return nullptr; }

}  // namespace recon
