// The products of tile_products.h for one instruction set: included by a file that is compiled for it and that defines
// the bytes of a vector (RECON_VECTOR_BYTES), the rows of a block (RECON_BLOCK_ROWS) and the table's name. Only what
// stands here may be compiled for that set: no header of the standard library with functions of its own.
//
// Floor: 2 · rows · inner · outputs flops each. A block keeps rows × 2 vectors of sums in registers (28 of 32 with
// AVX-512, 12 of 16 with AVX2); each step of the sum loads 2 vectors and one number a row, so 16 loads feed 28
// multiply-adds, and the sum's other operand, 32 columns of packed weights, stays in the first-level cache.
#include "kernels/decoder/tile_products.h"

namespace recon::cpu {
namespace {

typedef float Vector __attribute__((vector_size(RECON_VECTOR_BYTES)));
typedef float Unaligned __attribute__((vector_size(RECON_VECTOR_BYTES), aligned(4), may_alias));
constexpr int lanes = RECON_VECTOR_BYTES / 4, block_rows = RECON_BLOCK_ROWS, block_columns = 2 * lanes;
constexpr int weight_rows = RECON_WEIGHT_ROWS;
static_assert(tile_rows % block_rows == 0 && panel_columns % block_columns == 0 && panel_columns % weight_rows == 0);

inline Vector load(const float* from) { return *reinterpret_cast<const Unaligned*>(from); }
inline void store(float* to, Vector value) { *reinterpret_cast<Unaligned*>(to) = value; }
inline Vector where_positive(Vector sign, Vector value) { return sign > 0.0f ? value : Vector{}; }

struct Sums {
  Vector at[block_rows][2];
};

/// sums += a[block, inner] · b[inner, block of columns].
inline __attribute__((always_inline)) void multiply(const float* a, const float* b, int inner, Sums& sums) {
  Vector s[block_rows][2];
#pragma GCC unroll 14
  for (int r = 0; r < block_rows; ++r) s[r][0] = sums.at[r][0], s[r][1] = sums.at[r][1];
  for (int first = 0; first < inner; first += panel_columns, a += panel_floats) {
    const int count = inner - first < panel_columns ? inner - first : panel_columns;
    for (int k = 0; k < count; ++k, b += panel_columns) {
      const Vector b0 = load(b), b1 = load(b + lanes);
#pragma GCC unroll 14
      for (int r = 0; r < block_rows; ++r) {
        const float x = a[r * panel_columns + k];
        s[r][0] += x * b0;
        s[r][1] += x * b1;
      }
    }
  }
#pragma GCC unroll 14
  for (int r = 0; r < block_rows; ++r) sums.at[r][0] = s[r][0], sums.at[r][1] = s[r][1];
}

void forward(const TileForward& a) {
  for (int panel = 0; panel < panels_of(a.outputs); ++panel)
    for (int column = 0; column < panel_columns; column += block_columns) {
      const float *b = a.weights + int64_t{panel} * a.inner * panel_columns + column,
                  *bias = a.bias + panel * panel_columns + column;
      const Vector bias0 = load(bias), bias1 = load(bias + lanes);
      for (int row = 0; row < a.rows; row += block_rows) {
        const int64_t at = panel * panel_floats + row * panel_columns + column;
        Sums sums;
#pragma GCC unroll 14
        for (int r = 0; r < block_rows; ++r) {
          sums.at[r][0] = bias0, sums.at[r][1] = bias1;
          if (a.residual) {
            sums.at[r][0] += load(a.x + at + r * panel_columns);
            sums.at[r][1] += load(a.x + at + r * panel_columns + lanes);
          }
        }
        multiply(a.x + row * panel_columns, b, a.inner, sums);
#pragma GCC unroll 14
        for (int r = 0; r < block_rows; ++r) {
          store(a.y + at + r * panel_columns, where_positive(sums.at[r][0], sums.at[r][0]));
          store(a.y + at + r * panel_columns + lanes, where_positive(sums.at[r][1], sums.at[r][1]));
        }
      }
    }
}

void backward(const TileBackward& a) {
  for (int panel = 0; panel < panels_of(a.outputs); ++panel)
    for (int column = 0; column < panel_columns; column += block_columns) {
      const float* b = a.weights + int64_t{panel} * a.inner * panel_columns + column;
      Vector sum0{}, sum1{};
      for (int row = 0; row < a.rows; row += block_rows) {
        const int64_t at = panel * panel_floats + row * panel_columns + column;
        for (int64_t line = at; line < at + block_rows * panel_columns; line += 16) __builtin_prefetch(a.h + line);
        Sums sums{};
        if (a.residual) {
#pragma GCC unroll 14
          for (int r = 0; r < block_rows; ++r) {
            sums.at[r][0] = load(a.dy + at + r * panel_columns);
            sums.at[r][1] = load(a.dy + at + r * panel_columns + lanes);
          }
        }
        multiply(a.dy + row * panel_columns, b, a.inner, sums);
#pragma GCC unroll 14
        for (int r = 0; r < block_rows; ++r) {
          const int64_t here = at + r * panel_columns;
          const Vector d0 = where_positive(load(a.h + here), sums.at[r][0]),
                       d1 = where_positive(load(a.h + here + lanes), sums.at[r][1]);
          store(a.dx + here, d0), store(a.dx + here + lanes, d1);
          sum0 += d0, sum1 += d1;
        }
      }
      float* out = a.sums + panel * panel_columns + column;
      store(out, load(out) + sum0), store(out + lanes, load(out + lanes) + sum1);
    }
}

/// dw[n ≤ weight_rows, block of columns] += dyᵀ x, `outputs` rows and `columns` columns of it.
inline __attribute__((always_inline)) void multiply_weights(const float* dy, const float* x, int rows, float* dw,
                                                            int64_t stride, int outputs, int columns) {
  for (int n = 0; n < weight_rows && n < outputs; ++n)  // far away, and wanted in 2,000 cycles
    for (int at = 0; at < block_columns; at += 16) __builtin_prefetch(dw + n * stride + at, 1);
  Vector s[weight_rows][2] = {};
  for (int row = 0; row < rows; ++row, dy += panel_columns, x += panel_columns) {
    const Vector x0 = load(x), x1 = load(x + lanes);
#pragma GCC unroll 14
    for (int n = 0; n < weight_rows; ++n) {
      const float d = dy[n];
      s[n][0] += d * x0;
      s[n][1] += d * x1;
    }
  }
  if (outputs >= weight_rows && columns >= block_columns) {
#pragma GCC unroll 14
    for (int n = 0; n < weight_rows; ++n) {
      float* to = dw + n * stride;
      store(to, load(to) + s[n][0]), store(to + lanes, load(to + lanes) + s[n][1]);
    }
    return;
  }
  float block[weight_rows][block_columns];
#pragma GCC unroll 14
  for (int n = 0; n < weight_rows; ++n) store(block[n], s[n][0]), store(block[n] + lanes, s[n][1]);
  for (int n = 0; n < weight_rows && n < outputs; ++n)
    for (int k = 0; k < block_columns && k < columns; ++k) dw[n * stride + k] += block[n][k];
}

void weights(const TileWeights& a) {
  for (int k = 0; k < a.inner; k += block_columns) {
    const float* x = a.x + k / panel_columns * panel_floats + k % panel_columns;
    for (int n = 0; n < a.outputs; n += weight_rows)
      multiply_weights(a.dy + n / panel_columns * panel_floats + n % panel_columns, x, a.rows, a.dw + n * a.stride + k,
                       a.stride, a.outputs - n, a.inner - k);
  }
}

}  // namespace

extern const TileProducts RECON_PRODUCTS;
const TileProducts RECON_PRODUCTS = {RECON_PRODUCTS_NAME, Precision::fp32, block_rows,  forward, backward, weights,
                                     pack_fp32,           put_row_fp32,    get_row_fp32};

}  // namespace recon::cpu
