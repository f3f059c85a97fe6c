#pragma once
// The CPU decoder's products: a row tile times a layer, whole, with what surrounds it in the registers.
#include <cstdint>
#include <vector>

namespace recon::cpu {

/// Matrices of a row tile stand in panels of 32 columns, [panel][tile_rows][32], so that a block of rows of a panel is
/// one stretch of memory and a product writes its result as the next one reads it. Columns beyond the matrix are 0.
/// Weights are packed likewise, [panel of results][what is summed over][32].
constexpr int panel_columns = 32;
constexpr int tile_rows = 126;  ///< whole blocks of 14 rows (AVX-512) and of 6
constexpr int64_t panel_floats = int64_t{tile_rows} * panel_columns;

inline int panels_of(int columns) { return (columns + panel_columns - 1) / panel_columns; }
inline int64_t tile_floats(int columns) { return panels_of(columns) * panel_floats; }
inline int64_t packed_floats(int results, int inner) { return int64_t{panels_of(results)} * inner * panel_columns; }

/// y = relu(x Wᵀ + bias (+ x when residual)). Rows up to the next whole block are computed and mean nothing.
struct TileForward {
  const float *x, *weights, *bias;
  float* y;
  int rows, inner, outputs;
  bool residual;
};

/// dx = dy W (+ dy when residual) where h > 0, else 0; adds its column sums to `sums` (whole panels). Rows of dy up to
/// the next whole block must be 0.
struct TileBackward {
  const float *dy, *weights, *h;
  float *dx, *sums;
  int rows, inner, outputs;  ///< columns of dy, and of dx and h
  bool residual;
};

/// dw[n, k] += Σ_rows dy[row, n] x[row, k]; dw row-major.
struct TileWeights {
  const float *dy, *x;
  float* dw;
  int64_t stride;  ///< of dw
  int rows, outputs, inner;
};

/// The products for one instruction set.
struct TileProducts {
  const char* name;
  int block_rows;
  void (*forward)(const TileForward&);
  void (*backward)(const TileBackward&);
  void (*weights)(const TileWeights&);
};

/// All that this processor can run, the fastest first.
std::vector<const TileProducts*> all_tile_products();
/// The fastest.
const TileProducts& tile_products();

/// Packs weights [outputs, inner] with rows `stride` apart for TileForward, and for TileBackward.
void pack_forward(const float* weights, int64_t stride, int outputs, int inner, float* packed);
void pack_backward(const float* weights, int64_t stride, int outputs, int inner, float* packed);

}  // namespace recon::cpu
