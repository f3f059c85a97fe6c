#pragma once
// The CPU decoder's products: a row tile times a layer, whole, with what surrounds it in the registers.
#include <cstdint>
#include <vector>

#include "kernels/runtime/precision.h"

namespace recon::cpu {

/// Matrices of a row tile stand in panels of 32 columns, [panel][tile_rows][32], so that a block of rows of a panel is
/// one stretch of memory and a product writes its result as the next one reads it. Columns beyond the matrix are 0.
/// Weights are packed likewise, [panel of results][what is summed over][32]. Operands of 16 bits keep the same memory,
/// in an order of their own: what a product has not written is put and got a row at a time.
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

/// Rows of weights [results, inner], `result_step` and `inner_step` floats apart, to be packed.
struct TileWeightMatrix {
  const float* weights;
  int64_t result_step, inner_step;
  int results, inner;
};

/// The products for one instruction set and precision of the operands; sums, biases and gradients of weights are fp32.
struct TileProducts {
  const char* name;
  Precision operands;
  int block_rows;
  void (*forward)(const TileForward&);
  void (*backward)(const TileBackward&);
  void (*weights)(const TileWeights&);
  void (*pack)(const TileWeightMatrix&, float* packed);
  /// A row of a tile's matrix from `values` [columns] and 0 up to the panel's end, and back.
  void (*put_row)(const float* values, int columns, int row, float* tile);
  void (*get_row)(const float* tile, int columns, int row, float* values);
};

/// All that this processor can run: those in fp32, the fastest first, then those of lower precision.
std::vector<const TileProducts*> all_tile_products();
/// The fastest of this precision, or in fp32 where the processor has no products of it.
const TileProducts& tile_products(Precision precision = Precision::fp32);

// pack, put_row and get_row of operands in fp32.
void pack_fp32(const TileWeightMatrix& matrix, float* packed);
void put_row_fp32(const float* values, int columns, int row, float* tile);
void get_row_fp32(const float* tile, int columns, int row, float* values);

}  // namespace recon::cpu
