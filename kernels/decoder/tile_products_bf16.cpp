// Products of bf16 operands with sums in fp32, for AVX512-BF16 (CMakeLists.txt); empty for other processors.
//
// Floor: 2 · rows · inner · outputs flops each, at twice fp32's rate: an instruction multiplies 16 pairs by 16 pairs
// and adds both products of each to its sum. Pairs are neighbours in what is summed over: columns of a tile forward and
// backward, rows for the gradients of the weights. So a tile's matrix stands here twice, in the memory that it would
// take in fp32: by rows, [panel][tile_rows][16], each word a pair of columns, and then by pairs of rows,
// [panel][tile_rows / 2][16 even columns, 16 odd ones], which the product that makes the matrix writes from its
// registers. Sums are kept by even and odd columns, so that both orders are shifts and masks of them, nothing crosses
// lanes. Sums of a block: 14 rows × 32 columns in 28 of 32 registers.
#include "kernels/decoder/tile_products.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>

namespace recon::cpu {
namespace {

typedef float Vector __attribute__((vector_size(64)));
typedef float UnalignedVector __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint32_t UnalignedWords __attribute__((vector_size(64), aligned(4), may_alias));

constexpr int block_rows = 14, weight_rows = 8, lanes = 16;
constexpr int64_t panel_words = int64_t{tile_rows} * lanes;  // of either order
static_assert(tile_rows % block_rows == 0 && block_rows % 2 == 0 && panel_columns == 2 * lanes);

/// Both orders of a matrix with so many columns.
template <class Word>
struct Orders {
  Word *rows, *pairs;
};
Orders<const uint32_t> orders(const float* tile, int columns) {
  const auto* words = reinterpret_cast<const uint32_t*>(tile);
  return {words, words + panels_of(columns) * panel_words};
}
Orders<uint32_t> orders(float* tile, int columns) {
  auto* words = reinterpret_cast<uint32_t*>(tile);
  return {words, words + panels_of(columns) * panel_words};
}

inline Vector load(const float* from) { return *reinterpret_cast<const UnalignedVector*>(from); }
inline void store(float* to, Vector value) { *reinterpret_cast<UnalignedVector*>(to) = value; }
inline Words load(const uint32_t* from) { return *reinterpret_cast<const UnalignedWords*>(from); }
inline void store(uint32_t* to, Words value) { *reinterpret_cast<UnalignedWords*>(to) = value; }

constexpr uint32_t upper_half = 0xffff0000;
inline Vector even_columns(Words pairs) { return (Vector)(pairs << 16); }
inline Vector odd_columns(Words pairs) { return (Vector)(pairs & upper_half); }
/// The nearest bf16 (ties to even) in the upper half of each word; what is below it is noise.
inline Words rounded(Vector value) {
  const Words bits = (Words)value;
  return bits + (bits >> 16 & 1) + 0x7fff;
}
inline Words joined(Words low, Words high) { return low >> 16 | (high & upper_half); }

/// Columns of a panel, in fp32.
struct Columns {
  Vector even, odd;
};
inline Columns split(const float* from) {
  const Words even{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
  const Vector a = load(from), b = load(from + lanes);
  return {__builtin_shuffle(a, b, even), __builtin_shuffle(a, b, even + 1)};
}
inline void add_to(float* to, Columns c) {
  const Words first{0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
  store(to, load(to) + __builtin_shuffle(c.even, c.odd, first));
  store(to + lanes, load(to + lanes) + __builtin_shuffle(c.even, c.odd, first + 8));
}

inline Vector products(Vector sum, Words a, Words b) {
  return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}

/// sums += a[block, inner] · b[inner, panel].
inline __attribute__((always_inline)) void multiply(const uint32_t* a, const uint32_t* b, int inner,
                                                    Columns (&sums)[block_rows]) {
  Columns s[block_rows];
#pragma GCC unroll 14
  for (int r = 0; r < block_rows; ++r) s[r] = sums[r];
  for (int first = 0; first < inner; first += panel_columns, a += panel_words) {
    const int left = (inner - first + 1) / 2, count = left < lanes ? left : lanes;
    for (int k = 0; k < count; ++k, b += panel_columns) {
      const Words even = load(b), odd = load(b + lanes);
#pragma GCC unroll 14
      for (int r = 0; r < block_rows; ++r) {
        const Words x = Words{} + a[r * lanes + k];
        s[r].even = products(s[r].even, x, even);
        s[r].odd = products(s[r].odd, x, odd);
      }
    }
  }
#pragma GCC unroll 14
  for (int r = 0; r < block_rows; ++r) sums[r] = s[r];
}

/// Two rows of a panel, in both orders.
inline void store_rows(uint32_t* rows, uint32_t* pairs, Columns row0, Columns row1) {
  const Words even0 = rounded(row0.even), odd0 = rounded(row0.odd), even1 = rounded(row1.even),
              odd1 = rounded(row1.odd);
  store(rows, joined(even0, odd0)), store(rows + lanes, joined(even1, odd1));
  store(pairs, joined(even0, even1)), store(pairs + lanes, joined(odd0, odd1));
}

inline Vector where_positive(Vector sign, Vector value) { return sign > 0.0f ? value : Vector{}; }

void forward(const TileForward& a) {
  const Orders<const uint32_t> x = orders(a.x, a.inner);
  const Orders<uint32_t> y = orders(a.y, a.outputs);
  const int64_t packed = int64_t{(a.inner + 1) / 2} * panel_columns;
  for (int panel = 0; panel < panels_of(a.outputs); ++panel) {
    const auto* b = reinterpret_cast<const uint32_t*>(a.weights) + panel * packed;
    const Columns bias = split(a.bias + panel * panel_columns);
    for (int row = 0; row < a.rows; row += block_rows) {
      const int64_t at = panel * panel_words + row * lanes;
      Columns sums[block_rows];
#pragma GCC unroll 14
      for (int r = 0; r < block_rows; ++r) {
        sums[r] = bias;
        if (a.residual) {
          const Words h = load(x.rows + at + r * lanes);
          sums[r].even += even_columns(h), sums[r].odd += odd_columns(h);
        }
      }
      multiply(x.rows + row * lanes, b, a.inner, sums);
#pragma GCC unroll 14
      for (int r = 0; r < block_rows; ++r)
        sums[r] = {where_positive(sums[r].even, sums[r].even), where_positive(sums[r].odd, sums[r].odd)};
#pragma GCC unroll 7
      for (int r = 0; r < block_rows; r += 2)
        store_rows(y.rows + at + r * lanes, y.pairs + at + r * lanes, sums[r], sums[r + 1]);
    }
  }
}

void backward(const TileBackward& a) {
  const Orders<const uint32_t> dy = orders(a.dy, a.inner), h = orders(a.h, a.outputs);
  const Orders<uint32_t> dx = orders(a.dx, a.outputs);
  const int64_t packed = int64_t{(a.inner + 1) / 2} * panel_columns;
  for (int panel = 0; panel < panels_of(a.outputs); ++panel) {
    const auto* b = reinterpret_cast<const uint32_t*>(a.weights) + panel * packed;
    Columns total{};
    for (int row = 0; row < a.rows; row += block_rows) {
      const int64_t at = panel * panel_words + row * lanes;
#pragma GCC unroll 14
      for (int r = 0; r < block_rows; ++r) __builtin_prefetch(h.rows + at + r * lanes);
      Columns sums[block_rows] = {};
      if (a.residual) {
#pragma GCC unroll 14
        for (int r = 0; r < block_rows; ++r) {
          const Words d = load(dy.rows + at + r * lanes);
          sums[r] = {even_columns(d), odd_columns(d)};
        }
      }
      multiply(dy.rows + row * lanes, b, a.inner, sums);
#pragma GCC unroll 14
      for (int r = 0; r < block_rows; ++r) {
        const Words sign = load(h.rows + at + r * lanes);
        sums[r] = {where_positive(even_columns(sign), sums[r].even), where_positive(odd_columns(sign), sums[r].odd)};
        total.even += sums[r].even, total.odd += sums[r].odd;
      }
#pragma GCC unroll 7
      for (int r = 0; r < block_rows; r += 2)
        store_rows(dx.rows + at + r * lanes, dx.pairs + at + r * lanes, sums[r], sums[r + 1]);
    }
    add_to(a.sums + panel * panel_columns, total);
  }
}

/// dw[n ≤ weight_rows, panel of columns] += dyᵀ x of pairs of rows, `outputs` rows and `columns` columns of it.
inline __attribute__((always_inline)) void multiply_weights(const uint32_t* dy, const uint32_t* x, int pairs, float* dw,
                                                            int64_t stride, int outputs, int columns) {
  for (int n = 0; n < weight_rows && n < outputs; ++n)  // far away, and wanted in a thousand cycles
    for (int at = 0; at < panel_columns; at += lanes) __builtin_prefetch(dw + n * stride + at, 1);
  Columns s[weight_rows] = {};
  for (int pair = 0; pair < pairs; ++pair, dy += panel_columns, x += panel_columns) {
    const Words even = load(x), odd = load(x + lanes);
#pragma GCC unroll 8
    for (int n = 0; n < weight_rows; ++n) {
      const Words d = Words{} + dy[n % 2 * lanes + n / 2];
      s[n].even = products(s[n].even, d, even);
      s[n].odd = products(s[n].odd, d, odd);
    }
  }
  if (outputs >= weight_rows && columns >= panel_columns) {
#pragma GCC unroll 8
    for (int n = 0; n < weight_rows; ++n) add_to(dw + n * stride, s[n]);
    return;
  }
  float block[weight_rows][panel_columns] = {};
#pragma GCC unroll 8
  for (int n = 0; n < weight_rows; ++n) add_to(block[n], s[n]);
  for (int n = 0; n < weight_rows && n < outputs; ++n)
    for (int k = 0; k < panel_columns && k < columns; ++k) dw[n * stride + k] += block[n][k];
}

void weights(const TileWeights& a) {
  const uint32_t *dy = orders(a.dy, a.outputs).pairs, *x = orders(a.x, a.inner).pairs;
  for (int k = 0; k < a.inner; k += panel_columns)
    for (int n = 0; n < a.outputs; n += weight_rows)
      multiply_weights(dy + n / panel_columns * panel_words + n % panel_columns / 2,
                       x + k / panel_columns * panel_words, (a.rows + 1) / 2, a.dw + n * a.stride + k, a.stride,
                       a.outputs - n, a.inner - k);
}

void pack(const TileWeightMatrix& m, float* packed) {
  auto* to = reinterpret_cast<uint32_t*>(packed);
  for (int first = 0; first < m.results; first += panel_columns)
    for (int k = 0; k < m.inner; k += 2, to += panel_columns) {
      float rows[2][panel_columns] = {};
      for (int half = 0; half < 2 && k + half < m.inner; ++half) {
        const float* from = m.weights + first * m.result_step + (k + half) * m.inner_step;
        for (int j = 0; j < panel_columns && first + j < m.results; ++j) rows[half][j] = from[j * m.result_step];
      }
      const Columns low = split(rows[0]), high = split(rows[1]);
      store(to, joined(rounded(low.even), rounded(high.even)));
      store(to + lanes, joined(rounded(low.odd), rounded(high.odd)));
    }
}

void put_row(const float* values, int columns, int row, float* tile) {
  const Orders<uint32_t> to = orders(tile, columns);
  const uint32_t other = row % 2 == 0 ? upper_half : ~upper_half;  // of the pair: the row beside this one
  for (int panel = 0; panel < panels_of(columns); ++panel, values += panel_columns) {
    float padded[panel_columns] = {};
    for (int j = 0; j < panel_columns && panel * panel_columns + j < columns; ++j) padded[j] = values[j];
    const Columns c = split(padded);
    const Words even = rounded(c.even), odd = rounded(c.odd);
    store(to.rows + panel * panel_words + row * lanes, joined(even, odd));
    uint32_t* pairs = to.pairs + panel * panel_words + row / 2 * panel_columns;
    store(pairs, (load(pairs) & other) | (row % 2 == 0 ? even >> 16 : even & upper_half));
    store(pairs + lanes, (load(pairs + lanes) & other) | (row % 2 == 0 ? odd >> 16 : odd & upper_half));
  }
}

void get_row(const float* tile, int columns, int row, float* values) {
  const Orders<const uint32_t> from = orders(tile, columns);
  for (int panel = 0; panel < panels_of(columns); ++panel, values += panel_columns) {
    const Words pairs = load(from.rows + panel * panel_words + row * lanes);
    const int left = columns - panel * panel_columns;
    float panel_values[panel_columns] = {};
    add_to(panel_values, {even_columns(pairs), odd_columns(pairs)});
    for (int j = 0; j < panel_columns && j < left; ++j) values[j] = panel_values[j];
  }
}

}  // namespace

extern const TileProducts bf16_products;
const TileProducts bf16_products = {"AVX-512 bf16", Precision::bf16, block_rows, forward, backward, weights,
                                    pack,           put_row,         get_row};

}  // namespace recon::cpu
#endif
