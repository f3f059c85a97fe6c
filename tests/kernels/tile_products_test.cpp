#include "kernels/decoder/tile_products.h"

#include <doctest/doctest.h>

#include <bit>

#include "tests/reference/compare.h"

using namespace recon;
using namespace recon::cpu;
using namespace recon::reference;

namespace {

constexpr float unwritten = -55;

/// As operands of products have it.
float rounded(Precision precision, float value) {
  if (precision == Precision::fp32) return value;
  return std::bit_cast<float>((std::bit_cast<uint32_t>(value) + 0x8000u) & 0xffff0000u);
}

/// A matrix of a tile of such operands: whole blocks of rows beyond it are 0, all else is no number.
struct Matrix {
  int rows, columns;
  std::vector<float> values, tile;
  Matrix(const TileProducts& p, Draws& draws, int r, int c)
      : rows(r), columns(c), values(draws.normals(int64_t{r} * c)), tile(size_t(tile_floats(c)), NAN) {
    for (float& v : values) v = rounded(p.operands, v);
    const std::vector<float> zero(size_t(c), 0.0f);
    for (int row = 0; row < (r + p.block_rows - 1) / p.block_rows * p.block_rows; ++row)
      p.put_row(row < r ? values.data() + int64_t{row} * c : zero.data(), c, row, tile.data());
  }
  double at(int row, int column) const { return column < columns ? double(values[size_t(row * columns + column)]) : 0; }
};

/// Row `row` of a tile's matrix, whole panels.
std::vector<float> row_of(const TileProducts& p, const std::vector<float>& tile, int columns, int row) {
  std::vector<float> values(size_t(panels_of(columns) * panel_columns));
  p.get_row(tile.data(), int(values.size()), row, values.data());
  return values;
}

std::vector<float> random_weights(const TileProducts& p, Draws& draws, int64_t count) {
  auto w = draws.normals(count);
  for (float& v : w) v = rounded(p.operands, v);
  return w;
}

/// Of a value that was stored as an operand, beside the sum's own error.
double error_of(const TileProducts& p, double value, double expected, double spread) {
  const double stored = p.operands == Precision::fp32 ? 0 : 0x1p-8 * std::abs(expected);
  return std::max(0.0, std::abs(value - expected) - stored) / spread;
}

struct Shape {
  int rows, inner, outputs;
  bool residual;
};
Shape random_shape(Draws& draws) {
  Shape s{draws.integer(1, tile_rows), draws.integer(1, 100), draws.integer(1, 100), draws.coin()};
  if (s.residual) s.inner = s.outputs;
  return s;
}

void check_forward(const TileProducts& products, Draws& draws, double& worst) {
  const Shape s = random_shape(draws);
  const Matrix x(products, draws, s.rows, s.inner);
  const auto w = random_weights(products, draws, int64_t{s.outputs} * s.inner), b = draws.normals(s.outputs);
  std::vector<float> packed(size_t(packed_floats(s.outputs, s.inner))),
      bias(size_t(panels_of(s.outputs) * panel_columns)), y(size_t(tile_floats(s.outputs)), unwritten);
  products.pack({w.data(), s.inner, 1, s.outputs, s.inner}, packed.data());
  std::copy(b.begin(), b.end(), bias.begin());
  products.forward({x.tile.data(), packed.data(), bias.data(), y.data(), s.rows, s.inner, s.outputs, s.residual});
  for (int row = 0; row < s.rows; ++row) {
    const auto found = row_of(products, y, s.outputs, row);
    for (int n = 0; n < int(found.size()); ++n) {
      double sum = n < s.outputs ? double(b[size_t(n)]) + (s.residual ? x.at(row, n) : 0) : 0;
      for (int k = 0; k < s.inner && n < s.outputs; ++k) sum += x.at(row, k) * double(w[size_t(n * s.inner + k)]);
      worst = std::max(worst, error_of(products, double(found[size_t(n)]), std::max(sum, 0.0), std::sqrt(s.inner)));
    }
  }
}

void check_backward(const TileProducts& products, Draws& draws, double& worst) {
  const Shape s = random_shape(draws);  // outputs: columns of dy, which the sum runs over
  const Matrix dy(products, draws, s.rows, s.outputs), h(products, draws, s.rows, s.inner);
  const auto w = random_weights(products, draws, int64_t{s.outputs} * s.inner);
  std::vector<float> packed(size_t(packed_floats(s.inner, s.outputs))), dx(size_t(tile_floats(s.inner)), unwritten),
      sums(size_t(panels_of(s.inner) * panel_columns), 3.0f);
  products.pack({w.data(), 1, s.inner, s.inner, s.outputs}, packed.data());
  products.backward(
      {dy.tile.data(), packed.data(), h.tile.data(), dx.data(), sums.data(), s.rows, s.outputs, s.inner, s.residual});
  std::vector<double> columns(sums.size(), 3.0);
  for (int row = 0; row < (s.rows + products.block_rows - 1) / products.block_rows * products.block_rows; ++row) {
    const auto found = row_of(products, dx, s.inner, row);
    for (int k = 0; k < int(found.size()); ++k) {
      double sum = 0;
      if (row < s.rows && k < s.inner && h.at(row, k) > 0) {
        sum = s.residual ? dy.at(row, k) : 0;
        for (int n = 0; n < s.outputs; ++n) sum += dy.at(row, n) * double(w[size_t(n * s.inner + k)]);
      }
      columns[size_t(k)] += sum;
      worst = std::max(worst, error_of(products, double(found[size_t(k)]), sum, std::sqrt(s.outputs)));
    }
  }
  for (size_t k = 0; k < sums.size(); ++k)
    worst = std::max(worst, std::abs(double(sums[k]) - columns[k]) / std::sqrt(double(s.outputs) * s.rows));
}

void check_weights(const TileProducts& products, Draws& draws, double& worst) {
  const Shape s = random_shape(draws);
  const Matrix dy(products, draws, s.rows, s.outputs), x(products, draws, s.rows, s.inner);
  const int64_t stride = s.inner + draws.integer(0, 3);
  std::vector<float> dw(size_t(s.outputs * stride), 2.0f);
  products.weights({dy.tile.data(), x.tile.data(), dw.data(), stride, s.rows, s.outputs, s.inner});
  for (int n = 0; n < s.outputs; ++n)
    for (int64_t k = 0; k < stride; ++k) {
      double sum = 2;
      for (int row = 0; row < s.rows && k < s.inner; ++row) sum += dy.at(row, n) * x.at(row, int(k));
      worst = std::max(worst, std::abs(double(dw[size_t(n * stride + k)]) - sum) / std::sqrt(double(s.rows)));
    }
}

}  // namespace

// A sum of n products of order one is wrong by 2⁻²⁴ √n a step, n steps in quadrature: 2⁻²⁴ n; in units of its own
// spread √n that is 2⁻²⁴ √n, 6e-7 for 100.
TEST_CASE("Tile products: every instruction set matches double sums, and columns beyond the matrix stay 0") {
  for (const TileProducts* products : all_tile_products()) {
    double forward = 0, backward = 0, weights = 0;
    for (uint64_t number = 0; number < 60; ++number) {
      Draws draws(number);
      check_forward(*products, draws, forward);
      check_backward(*products, draws, backward);
      check_weights(*products, draws, weights);
    }
    MESSAGE(std::string(products->name) << ": worst forward " << forward << ", backward " << backward << ", weights "
                                        << weights);
    CHECK(std::max({forward, backward, weights}) < 5e-6);
  }
}
