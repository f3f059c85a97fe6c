#include "kernels/decoder/decoder_tile.h"

#include <cblas.h>

#include <cstring>

#include "kernels/runtime/vector_math.h"

namespace recon::cpu {
namespace {

int64_t padded(int64_t floats) { return (floats + 15) / 16 * 16; }

RECON_SIMD void encode_rows(const float* points, const float* frequencies, int64_t count, int rows, float* out) {
  const float *fx = frequencies, *fy = frequencies + count, *fz = frequencies + 2 * count;
  for (int row = 0; row < rows; ++row) {
    const float x = points[3 * row], y = points[3 * row + 1], z = points[3 * row + 2];
    float *sines = out + 2 * count * row, *cosines = sines + count;
#pragma omp simd
    for (int64_t f = 0; f < count; ++f) sincos_turns(fx[f] * x + fy[f] * y + fz[f] * z, sines[f], cosines[f]);
  }
}

RECON_SIMD void fill_bias(const float* bias, int rows, int width, float* out) {
  for (int row = 0; row < rows; ++row) std::memcpy(out + int64_t{row} * width, bias, sizeof(float) * width);
}

RECON_SIMD void add_bias(const float* in, const float* bias, int rows, int width, float* out) {
  for (int row = 0; row < rows; ++row) {
    const int64_t at = int64_t{row} * width;
#pragma omp simd
    for (int j = 0; j < width; ++j) out[at + j] = in[at + j] + bias[j];
  }
}

RECON_SIMD void relu(float* x, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) x[i] = x[i] > 0 ? x[i] : 0;
}

/// dh becomes dh where the activation was positive and 0 elsewhere; adds its column sums to `sums`.
RECON_SIMD void relu_backward(const float* h, float* dh, int rows, int width, float* sums) {
  for (int row = 0; row < rows; ++row) {
    const int64_t at = int64_t{row} * width;
#pragma omp simd
    for (int j = 0; j < width; ++j) {
      const float d = h[at + j] > 0 ? dh[at + j] : 0;
      dh[at + j] = d;
      sums[j] += d;
    }
  }
}

RECON_SIMD void output_rows(const float* h, const float* w, const float* bias, int rows, int width, int outputs,
                            float* out) {
  for (int row = 0; row < rows; ++row)
    for (int o = 0; o < outputs; ++o) {
      float sum = 0;
      const float *x = h + int64_t{row} * width, *v = w + int64_t{o} * width;
#pragma omp simd reduction(+ : sum)
      for (int j = 0; j < width; ++j) sum += x[j] * v[j];
      out[row * outputs + o] = sum + bias[o];
    }
}

RECON_SIMD void output_backward(const float* h, const float* w, const float* dout, int rows, int width, int outputs,
                                float* dh, float* dw, float* dbias) {
  std::memset(dh, 0, sizeof(float) * static_cast<size_t>(rows) * static_cast<size_t>(width));
  for (int row = 0; row < rows; ++row)
    for (int o = 0; o < outputs; ++o) {
      const float d = dout[row * outputs + o];
      const float *x = h + int64_t{row} * width, *v = w + int64_t{o} * width;
      float *g = dh + int64_t{row} * width, *u = dw + int64_t{o} * width;
#pragma omp simd
      for (int j = 0; j < width; ++j) {
        g[j] += d * v[j];
        u[j] += d * x[j];
      }
      dbias[o] += d;
    }
}

}  // namespace

int64_t DecoderTile::scratch_floats(const DecoderShape& s, bool training) {
  const int64_t rows = max_rows, layer = padded(rows * s.width);
  return padded(rows * 3) + padded(rows * 2 * s.features) + layer * (training ? s.layers + 1 : 1) + layer * 2 +
         2 * padded(rows * s.outputs) + 2 * padded(s.width);
}

DecoderTile::DecoderTile(const DecoderNet& net, float* scratch, bool training)
    : net_(net), shape_(net.shape), training_(training), stride_(padded(int64_t{max_rows} * net.shape.width)) {
  const auto take = [&](int64_t floats) {
    float* at = scratch;
    scratch += padded(floats);
    return at;
  };
  points_ = take(max_rows * 3);
  encoding_ = take(int64_t{max_rows} * 2 * shape_.features);
  activations_ = take(stride_ * (training ? shape_.layers + 1 : 1));
  next_ = take(2 * stride_);
  values_ = take(max_rows * shape_.outputs);
  dvalues_ = take(max_rows * shape_.outputs);
  bias_ = take(shape_.width);
  bias_sum_ = take(shape_.width);
  set_latent(nullptr);
}

void DecoderTile::set_latent(const float* z) {
  const float* w = net_.parameters.data;
  const float* b = w + shape_.bias_offset(0);
  for (int j = 0; j < shape_.width; ++j) {
    float sum = b[j];
    const float* wz = w + int64_t{j} * shape_.inputs() + 2 * shape_.features;
    if (z)
      for (int i = 0; i < shape_.latent; ++i) sum += wz[i] * z[i];
    bias_[j] = sum;
  }
}

void DecoderTile::encode(const float* points, int rows) {
  encode_rows(points, net_.frequencies.data, shape_.features, rows, encoding_);
}

void DecoderTile::forward(int rows) {
  const float* parameters = net_.parameters.data;
  const int width = shape_.width, encoded = 2 * shape_.features;
  float* h = activation(0);
  fill_bias(bias_, rows, width, h);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, width, encoded, 1, encoding_, encoded, parameters,
              shape_.inputs(), 1, h, width);
  relu(h, int64_t{rows} * width);
  for (int layer = 1; layer <= shape_.layers; ++layer) {
    float* out = training_ ? activation(layer) : h == activations_ ? next_ : activations_;
    const float *w = parameters + shape_.weight_offset(layer), *b = parameters + shape_.bias_offset(layer);
    if (shape_.residual)
      add_bias(h, b, rows, width, out);
    else
      fill_bias(b, rows, width, out);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, width, width, 1, h, width, w, width, 1, out, width);
    relu(out, int64_t{rows} * width);
    h = out;
  }
  output_rows(h, parameters + shape_.weight_offset(shape_.layers + 1),
              parameters + shape_.bias_offset(shape_.layers + 1), rows, width, shape_.outputs, values_);
}

void DecoderTile::backward(int rows, const float* z, float* gradient) {
  const float* parameters = net_.parameters.data;
  const int width = shape_.width, encoded = 2 * shape_.features, last = shape_.layers + 1;
  float *dh = next_, *dnext = next_ + stride_;
  output_backward(activation(shape_.layers), parameters + shape_.weight_offset(last), dvalues_, rows, width,
                  shape_.outputs, dh, gradient + shape_.weight_offset(last), gradient + shape_.bias_offset(last));
  for (int layer = shape_.layers; layer >= 1; --layer) {
    const int64_t at = shape_.weight_offset(layer);
    relu_backward(activation(layer), dh, rows, width, gradient + shape_.bias_offset(layer));
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, width, width, rows, 1, dh, width, activation(layer - 1), width,
                1, gradient + at, width);
    float beta = 0;
    if (shape_.residual) {
      std::memcpy(dnext, dh, sizeof(float) * static_cast<size_t>(rows) * static_cast<size_t>(width));
      beta = 1;
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, width, width, 1, dh, width, parameters + at, width,
                beta, dnext, width);
    std::swap(dh, dnext);
  }
  std::memset(bias_sum_, 0, sizeof(float) * static_cast<size_t>(width));
  relu_backward(activation(0), dh, rows, width, bias_sum_);
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, width, encoded, rows, 1, dh, width, encoding_, encoded, 1,
              gradient, shape_.inputs());
  float* db = gradient + shape_.bias_offset(0);
  for (int j = 0; j < width; ++j) {
    db[j] += bias_sum_[j];
    float* dwz = gradient + int64_t{j} * shape_.inputs() + encoded;
    for (int i = 0; i < shape_.latent; ++i) dwz[i] += bias_sum_[j] * z[i];
  }
}

}  // namespace recon::cpu
