#pragma once

namespace recon {

/// Of the operands of products; parameters, sums, coordinates, losses and gradients are fp32 whatever it says.
enum class Precision {
  fp32,
  bf16,
  fp16,
  tf32,  ///< fp32 whose last 13 bits a tensor core leaves out
};

/// Whether operands are stored in 16 bits.
constexpr bool sixteen_bits(Precision precision) {
  return precision == Precision::bf16 || precision == Precision::fp16;
}

}  // namespace recon
