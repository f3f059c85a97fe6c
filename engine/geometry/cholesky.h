#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

namespace recon {

/// Systems A x = b of a symmetric positive definite A [n, n], row-major: A = L Lᵀ, then L y = b, then Lᵀ x = y, each in
/// place. Only the lower triangle is read and written; pivots that rounding made negative count as 1e-300.
inline void factorise(double* a, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j) {
      double sum = a[i * n + j];
      for (int64_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      a[i * n + j] = i == j ? std::sqrt(std::max(sum, 1e-300)) : sum / a[j * n + j];
    }
}
inline void solve_lower(const double* l, int64_t n, double* b) {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t k = 0; k < i; ++k) b[i] -= l[i * n + k] * b[k];
    b[i] /= l[i * n + i];
  }
}
inline void solve_upper(const double* l, int64_t n, double* y) {
  for (int64_t i = n - 1; i >= 0; --i) {
    for (int64_t k = i + 1; k < n; ++k) y[i] -= l[k * n + i] * y[k];
    y[i] /= l[i * n + i];
  }
}

}  // namespace recon
