#include "kernels/decoder/tile_products.h"

#include <doctest/doctest.h>

#include "tests/reference/compare.h"

using namespace recon;
using namespace recon::cpu;
using namespace recon::reference;

namespace {

constexpr float unwritten = -55;

/// A matrix of a tile, and the same in panels: whole blocks of rows beyond it are 0, all else is no number.
struct Matrix {
  int rows, columns;
  std::vector<float> values, panels;
  Matrix(Draws& draws, int r, int c, int block)
      : rows(r), columns(c), values(draws.normals(int64_t{r} * c)), panels(size_t(tile_floats(c)), NAN) {
    for (int p = 0; p < panels_of(c); ++p)
      for (int row = 0; row < (r + block - 1) / block * block; ++row)
        for (int j = 0; j < panel_columns; ++j) {
          const int column = p * panel_columns + j;
          panels[size_t(p * panel_floats + row * panel_columns + j)] =
              row < r && column < c ? values[size_t(row * c + column)] : 0.0f;
        }
  }
  double at(int row, int column) const { return double(values[size_t(row * columns + column)]); }
};

double at(const std::vector<float>& panels, int row, int column) {
  return double(panels[size_t(column / panel_columns * panel_floats + row * panel_columns + column % panel_columns)]);
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
  const Matrix x(draws, s.rows, s.inner, products.block_rows);
  const auto w = draws.normals(int64_t{s.outputs} * s.inner), b = draws.normals(s.outputs);
  std::vector<float> packed(size_t(packed_floats(s.outputs, s.inner))),
      bias(size_t(panels_of(s.outputs) * panel_columns)), y(size_t(tile_floats(s.outputs)), unwritten);
  pack_forward(w.data(), s.inner, s.outputs, s.inner, packed.data());
  std::copy(b.begin(), b.end(), bias.begin());
  products.forward({x.panels.data(), packed.data(), bias.data(), y.data(), s.rows, s.inner, s.outputs, s.residual});
  for (int row = 0; row < s.rows; ++row)
    for (int n = 0; n < panels_of(s.outputs) * panel_columns; ++n) {
      double sum = n < s.outputs ? double(b[size_t(n)]) + (s.residual ? x.at(row, n) : 0) : 0;
      for (int k = 0; k < s.inner && n < s.outputs; ++k) sum += x.at(row, k) * double(w[size_t(n * s.inner + k)]);
      worst = std::max(worst, std::abs(at(y, row, n) - std::max(sum, 0.0)) / std::sqrt(double(s.inner)));
    }
}

void check_backward(const TileProducts& products, Draws& draws, double& worst) {
  const Shape s = random_shape(draws);  // outputs: columns of dy, which the sum runs over
  const Matrix dy(draws, s.rows, s.outputs, products.block_rows), h(draws, s.rows, s.inner, products.block_rows);
  const auto w = draws.normals(int64_t{s.outputs} * s.inner);
  std::vector<float> packed(size_t(packed_floats(s.inner, s.outputs))), dx(size_t(tile_floats(s.inner)), unwritten),
      sums(size_t(panels_of(s.inner) * panel_columns), 3.0f);
  pack_backward(w.data(), s.inner, s.outputs, s.inner, packed.data());
  products.backward({dy.panels.data(), packed.data(), h.panels.data(), dx.data(), sums.data(), s.rows, s.outputs,
                     s.inner, s.residual});
  for (int k = 0; k < panels_of(s.inner) * panel_columns; ++k) {
    double column = 3;
    for (int row = 0; row < s.rows; ++row) {
      double sum = k < s.inner && s.residual ? dy.at(row, k) : 0;
      for (int n = 0; n < s.outputs && k < s.inner; ++n) sum += dy.at(row, n) * double(w[size_t(n * s.inner + k)]);
      if (k >= s.inner || h.at(row, k) <= 0) sum = 0;
      column += sum;
      worst = std::max(worst, std::abs(at(dx, row, k) - sum) / std::sqrt(double(s.outputs)));
    }
    worst = std::max(worst, std::abs(double(sums[size_t(k)]) - column) / std::sqrt(double(s.outputs * s.rows)));
    for (int row = s.rows; row % products.block_rows != 0; ++row) CHECK(at(dx, row, k) == 0);
  }
}

void check_weights(const TileProducts& products, Draws& draws, double& worst) {
  const Shape s = random_shape(draws);
  const Matrix dy(draws, s.rows, s.outputs, 1), x(draws, s.rows, s.inner, 1);
  const int64_t stride = s.inner + draws.integer(0, 3);
  std::vector<float> dw(size_t(s.outputs * stride), 2.0f);
  products.weights({dy.panels.data(), x.panels.data(), dw.data(), stride, s.rows, s.outputs, s.inner});
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
