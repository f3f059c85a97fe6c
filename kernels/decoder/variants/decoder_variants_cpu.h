#pragma once
#include "kernels/decoder/decoder.h"

namespace recon::cpu {

/// The matrix products of a layer, row-major with contiguous rows.
struct LayerProducts {
  /// c[m, n] += a[m, k] b[n, k]ᵀ, c[m, n] += a[m, k] b[k, n], c[m, n] += a[k, m]ᵀ b[k, n]
  void (*nt)(Device& device, int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c);
  void (*nn)(Device& device, int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c);
  void (*tn)(Device& device, int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c);
};
extern const LayerProducts naive_products;  ///< three loops
extern const LayerProducts blas_products;   ///< the packaged library, on all threads

/// decode and decode_backward a layer at a time for all rows, activations in memory, as a framework runs them.
inline bool decodes_by_layers(const DecodeSlices& args) { return args.net.shape.latent == 0 && args.active.empty(); }
void decode_by_layers(Device& device, const DecodeSlices& args, const LayerProducts& products);
void decode_backward_by_layers(Device& device, const DecodeSlicesBackward& args, const LayerProducts& products);

}  // namespace recon::cpu
