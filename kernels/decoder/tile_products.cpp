#include "kernels/decoder/tile_products.h"

#include <algorithm>

namespace recon::cpu {

extern const TileProducts avx512_products, avx2_products, any_products, bf16_products;

std::vector<const TileProducts*> all_tile_products() {
  std::vector<const TileProducts*> out;
#if defined(RECON_X86_PRODUCTS)
  if (__builtin_cpu_supports("avx512f")) out.push_back(&avx512_products);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) out.push_back(&avx2_products);
#endif
  out.push_back(&any_products);
#if defined(RECON_X86_PRODUCTS)
  if (__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw")) out.push_back(&bf16_products);
#endif
  return out;
}

const TileProducts& tile_products(Precision precision) {
  static const std::vector<const TileProducts*> all = all_tile_products();
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto* p) { return p->operands == precision; });
  return **(found == all.end() ? all.begin() : found);
}

void pack_fp32(const TileWeightMatrix& m, float* packed) {
  for (int first = 0; first < m.results; first += panel_columns) {
    const int count = std::min(panel_columns, m.results - first);
    for (int k = 0; k < m.inner; ++k, packed += panel_columns) {
      const float* from = m.weights + first * m.result_step + k * m.inner_step;
      for (int j = 0; j < count; ++j) packed[j] = from[j * m.result_step];
      std::fill(packed + count, packed + panel_columns, 0.0f);
    }
  }
}

void put_row_fp32(const float* values, int columns, int row, float* tile) {
  for (float* to = tile + int64_t{row} * panel_columns; columns > 0; to += panel_floats) {
    const int count = std::min(panel_columns, columns);
    std::fill(std::copy_n(values, count, to), to + panel_columns, 0.0f);
    values += count, columns -= count;
  }
}

void get_row_fp32(const float* tile, int columns, int row, float* values) {
  for (const float* from = tile + int64_t{row} * panel_columns; columns > 0; from += panel_floats) {
    values = std::copy_n(from, std::min(panel_columns, columns), values);
    columns -= panel_columns;
  }
}

}  // namespace recon::cpu
