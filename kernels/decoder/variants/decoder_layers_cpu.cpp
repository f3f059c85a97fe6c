// Taught: a layer at a time, activations come from memory and go back to it, and between the products there is a pass
// over them for each of bias, residual and relu. With 128 columns the library's product is half as fast as the tiles.
#include <cblas.h>

#include <algorithm>
#include <numbers>
#include <vector>

#include "kernels/decoder/variants/decoder_variants_cpu.h"
#include "kernels/loss/loss_row.h"

namespace recon::cpu {
namespace {

constexpr int64_t grain = 256;  // rows of a task

/// op(a, i, p) · op(b, p, j), summed over p, for rows in parallel.
template <class A, class B>
void loops(Device& device, int64_t m, int64_t n, int64_t k, float* c, A a, B b) {
  device.threads().for_range(m, 16, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      for (int64_t j = 0; j < n; ++j) {
        float sum = 0;
        for (int64_t p = 0; p < k; ++p) sum += a(i, p) * b(p, j);
        c[i * n + j] += sum;
      }
  });
}

void blas(Device& device, CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int64_t m, int64_t n, int64_t k, const float* a,
          const float* b, float* c) {
  openblas_set_num_threads(device.threads().size());
  const auto i = [](int64_t v) { return static_cast<blasint>(v); };
  cblas_sgemm(CblasRowMajor, ta, tb, i(m), i(n), i(k), 1, a, i(ta == CblasTrans ? m : k), b,
              i(tb == CblasTrans ? k : n), 1, c, i(n));
  openblas_set_num_threads(1);  // as the backend has it
}

/// All rows of a call, [slice][pixel or pair].
class Layers {
 public:
  Layers(Device& device, const DecodeSlices& a, const LayerProducts& products)
      : device_(device), a_(a), s_(a.net.shape), products_(products) {
    expect(decodes_by_layers(a), "decode by layers: without z, all slices active");
    rows_ = a.rotations.rows * a.pixels.size() / s_.outputs;
    encode();
  }

  const float* weights(int layer) const { return a_.net.parameters.data + s_.weight_offset(layer); }
  const float* bias(int layer) const { return a_.net.parameters.data + s_.bias_offset(layer); }
  int inputs(int layer) const { return layer == 0 ? s_.inputs() : s_.width; }
  int outputs(int layer) const { return layer > s_.layers ? s_.outputs : s_.width; }
  float* activation(int layer) { return layer == 0 ? encoding_.data() : h_[static_cast<size_t>(layer - 1)].data(); }

  /// The values, [slice, pixel].
  std::vector<float>& forward() {
    for (int layer = 0; layer <= s_.layers + 1; ++layer) {
      const int64_t n = outputs(layer);
      std::vector<float>& y = h_.emplace_back(static_cast<size_t>(rows_ * n));
      const float *x = activation(layer), *b = bias(layer);
      const bool residual = s_.residual && layer > 0 && layer <= s_.layers;
      each_row([&](int64_t row) {
        for (int64_t j = 0; j < n; ++j) y[size_t(row * n + j)] = b[j] + (residual ? x[row * n + j] : 0.0f);
      });
      products_.nt(device_, rows_, n, inputs(layer), x, weights(layer), y.data());
      if (layer <= s_.layers)
        each_row([&](int64_t row) {
          for (int64_t j = 0; j < n; ++j) y[size_t(row * n + j)] = std::max(y[size_t(row * n + j)], 0.0f);
        });
    }
    unmirror(h_.back());
    return h_.back();
  }

  void backward(std::vector<float> dy, float* gradient) {
    unmirror(dy);
    for (int layer = s_.layers + 1; layer >= 0; --layer) {
      const int64_t n = outputs(layer), k = inputs(layer);
      float* db = gradient + s_.bias_offset(layer);
      for (int64_t row = 0; row < rows_; ++row)
        for (int64_t j = 0; j < n; ++j) db[j] += dy[size_t(row * n + j)];
      products_.tn(device_, n, k, rows_, dy.data(), activation(layer), gradient + s_.weight_offset(layer));
      if (layer == 0) return;
      const bool residual = s_.residual && layer <= s_.layers;
      std::vector<float> dx(size_t(rows_ * k));
      if (residual) dx = dy;
      products_.nn(device_, rows_, k, n, dy.data(), weights(layer), dx.data());
      const float* x = activation(layer);
      each_row([&](int64_t row) {
        for (int64_t j = 0; j < k; ++j)
          if (x[row * k + j] <= 0) dx[size_t(row * k + j)] = 0;
      });
      dy = std::move(dx);
    }
  }

 private:
  template <class Body>
  void each_row(Body body) {
    device_.threads().for_range(rows_, grain, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; ++row) body(row);
    });
  }

  void encode() {
    const int64_t in_slice = a_.pixels.size() / s_.outputs, features = s_.features;
    encoding_.resize(size_t(rows_ * s_.inputs()));
    mirrored_.resize(size_t(rows_));
    each_row([&](int64_t row) {
      const float* r = a_.rotations.row(row / in_slice);
      const Pixel pixel = a_.pixels[row % in_slice * s_.outputs];
      const float x = float(pixel.x) / float(a_.side), y = float(pixel.y) / float(a_.side);
      float k[3];
      for (int axis = 0; axis < 3; ++axis) k[axis] = r[axis] * x + r[3 + axis] * y;
      mirrored_[size_t(row)] = s_.outputs == 2 && !(k[2] > 0 || (k[2] == 0 && (k[1] > 0 || (k[1] == 0 && k[0] > 0))));
      if (mirrored_[size_t(row)])
        for (float& v : k) v = -v;
      const View<const float>& f = a_.net.frequencies;
      float* out = encoding_.data() + row * 2 * features;
      for (int64_t i = 0; i < features; ++i) {
        const float angle = 2 * std::numbers::pi_v<float> * (f(0, i) * k[0] + f(1, i) * k[1] + f(2, i) * k[2]);
        out[i] = std::sin(angle), out[features + i] = std::cos(angle);
      }
    });
  }

  /// Swaps the pairs of mirrored rows.
  void unmirror(std::vector<float>& values) {
    if (s_.outputs == 2)
      each_row([&](int64_t row) {
        if (mirrored_[size_t(row)]) std::swap(values[size_t(2 * row)], values[size_t(2 * row + 1)]);
      });
  }

  Device& device_;
  const DecodeSlices& a_;
  const DecoderShape& s_;
  const LayerProducts& products_;
  int64_t rows_ = 0;
  std::vector<float> encoding_;
  std::vector<std::vector<float>> h_;
  std::vector<char> mirrored_;
};

}  // namespace

const LayerProducts naive_products = {
    [](Device& d, int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
      loops(
          d, m, n, k, c, [=](int64_t i, int64_t p) { return a[i * k + p]; },
          [=](int64_t p, int64_t j) { return b[j * k + p]; });
    },
    [](Device& d, int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
      loops(
          d, m, n, k, c, [=](int64_t i, int64_t p) { return a[i * k + p]; },
          [=](int64_t p, int64_t j) { return b[p * n + j]; });
    },
    [](Device& d, int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
      loops(
          d, m, n, k, c, [=](int64_t i, int64_t p) { return a[p * m + i]; },
          [=](int64_t p, int64_t j) { return b[p * n + j]; });
    }};

const LayerProducts blas_products = {[](Device& d, int64_t m, int64_t n, int64_t k, const float* a, const float* b,
                                        float* c) { blas(d, CblasNoTrans, CblasTrans, m, n, k, a, b, c); },
                                     [](Device& d, int64_t m, int64_t n, int64_t k, const float* a, const float* b,
                                        float* c) { blas(d, CblasNoTrans, CblasNoTrans, m, n, k, a, b, c); },
                                     [](Device& d, int64_t m, int64_t n, int64_t k, const float* a, const float* b,
                                        float* c) { blas(d, CblasTrans, CblasNoTrans, m, n, k, a, b, c); }};

void decode_by_layers(Device& device, const DecodeSlices& a, const LayerProducts& products) {
  Layers layers(device, a, products);
  const auto& values = layers.forward();
  std::copy(values.begin(), values.end(), a.values.data);
}

void decode_backward_by_layers(Device& device, const DecodeSlicesBackward& a, const LayerProducts& products) {
  Layers layers(device, a.forward, products);
  std::vector<float>& values = layers.forward();
  if (!a.forward.values.empty()) std::copy(values.begin(), values.end(), a.forward.values.data);
  std::vector<float> dvalues(values.size());
  const int64_t pixels = a.forward.pixels.size();
  if (a.target.empty()) {
    std::copy_n(a.dvalues.data, dvalues.size(), dvalues.data());
  } else {
    for (int64_t slice = 0; slice < a.forward.rotations.rows; ++slice)
      a.loss[slice] = static_cast<float>(squared_error_row(
          values.data() + slice * pixels, a.target.row(slice), a.ctf.empty() ? nullptr : a.ctf.row(slice),
          a.scale.get(), pixels, RowGradient::write, dvalues.data() + slice * pixels));
  }
  layers.backward(std::move(dvalues), a.dparameters.data);
}

}  // namespace recon::cpu
