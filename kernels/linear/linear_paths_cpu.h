#pragma once
#include "kernels/linear/linear.h"

namespace recon::cpu {

/// linear by the library, and with each weight read once for all rows (has_one_pass()).
void linear_blas(Device& device, const LinearForward& args);
void linear_one_pass(Device& device, const LinearForward& args);

/// Whether this processor has AVX-512, which add_one_pass is written for.
bool has_one_pass();
/// y(:, j) += x Wᵀ for outputs j in [first, last).
void add_one_pass(const LinearForward& args, int64_t first, int64_t last);

}  // namespace recon::cpu
