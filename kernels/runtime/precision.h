#pragma once

namespace recon {

/// Of the operands of products; parameters, sums, coordinates, losses and gradients are fp32 whatever it says.
enum class Precision { fp32, bf16, fp16 };

}  // namespace recon
