#include "kernels/decoder/tile_products.h"

#include <algorithm>

namespace recon::cpu {

extern const TileProducts avx512_products, avx2_products, any_products;

std::vector<const TileProducts*> all_tile_products() {
  std::vector<const TileProducts*> out;
#if defined(RECON_X86_PRODUCTS)
  if (__builtin_cpu_supports("avx512f")) out.push_back(&avx512_products);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) out.push_back(&avx2_products);
#endif
  out.push_back(&any_products);
  return out;
}

const TileProducts& tile_products() {
  static const TileProducts& fastest = *all_tile_products().front();
  return fastest;
}

void pack_forward(const float* weights, int64_t stride, int outputs, int inner, float* packed) {
  for (int panel = 0; panel < panels_of(outputs); ++panel)
    for (int k = 0; k < inner; ++k)
      for (int j = 0; j < panel_columns; ++j) {
        const int n = panel * panel_columns + j;
        *packed++ = n < outputs ? weights[n * stride + k] : 0.0f;
      }
}

void pack_backward(const float* weights, int64_t stride, int outputs, int inner, float* packed) {
  for (int first = 0; first < inner; first += panel_columns) {
    const int count = std::min(panel_columns, inner - first);
    for (int n = 0; n < outputs; ++n, packed += panel_columns) {
      std::copy_n(weights + n * stride + first, count, packed);
      std::fill(packed + count, packed + panel_columns, 0.0f);
    }
  }
}

}  // namespace recon::cpu
