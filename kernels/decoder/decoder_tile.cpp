#include "kernels/decoder/decoder_tile.h"

#include <algorithm>
#include <cstring>

#include "kernels/runtime/vector_math.h"

namespace recon::cpu {
namespace {

int64_t padded(int64_t floats) { return (floats + 15) / 16 * 16; }
int64_t padded_width(const DecoderShape& s) { return int64_t{panels_of(s.width)} * panel_columns; }

/// [sines | cosines] of one point's phases.
RECON_SIMD void encode_point(const float* point, const float* frequencies, int64_t count, float* out) {
  const float *fx = frequencies, *fy = frequencies + count, *fz = frequencies + 2 * count;
  const float x = point[0], y = point[1], z = point[2];
  float *sines = out, *cosines = out + count;
#pragma omp simd
  for (int64_t f = 0; f < count; ++f) sincos_turns(fx[f] * x + fy[f] * y + fz[f] * z, sines[f], cosines[f]);
}

RECON_SIMD float dot(const float* a, const float* b, int count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int j = 0; j < count; ++j) sum += a[j] * b[j];
  return sum;
}

/// dh += d w, dw += d h.
RECON_SIMD void output_row(const float* h, const float* w, float d, int count, float* dh, float* dw) {
#pragma omp simd
  for (int j = 0; j < count; ++j) {
    dh[j] += d * w[j];
    dw[j] += d * h[j];
  }
}

/// dh becomes 0 where h is; sums += dh.
RECON_SIMD void relu_row(const float* h, int count, float* dh, float* sums) {
#pragma omp simd
  for (int j = 0; j < count; ++j) {
    dh[j] = h[j] > 0 ? dh[j] : 0;
    sums[j] += dh[j];
  }
}

}  // namespace

int64_t PackedDecoder::floats(const DecoderShape& s, bool training) {
  const int64_t hidden = packed_floats(s.width, s.width) * s.layers;
  return packed_floats(s.width, 2 * s.features) + hidden * (training ? 2 : 1) +
         padded_width(s) * (s.layers + 1 + s.outputs);
}

PackedDecoder::PackedDecoder(const DecoderNet& net, const TileProducts& products, bool training, ThreadPool& threads,
                             float* memory)
    : net_(net),
      products_(products),
      memory_(memory),
      columns_(padded_width(net.shape)),
      first_(packed_floats(net.shape.width, 2 * net.shape.features)),
      hidden_(packed_floats(net.shape.width, net.shape.width)),
      bias_offset_(first_ + hidden_ * net.shape.layers),
      output_offset_(bias_offset_ + columns_ * (net.shape.layers + 1)),
      backward_offset_(output_offset_ + columns_ * net.shape.outputs) {
  threads.run(net.shape.layers + 2, [&](int64_t layer, int) { pack_layer(static_cast<int>(layer), training); });
}

void PackedDecoder::pack_layer(int layer, bool training) const {
  const DecoderShape& s = net_.shape;
  const float *w = net_.parameters.data + s.weight_offset(layer), *b = net_.parameters.data + s.bias_offset(layer);
  if (layer > s.layers) {
    for (int o = 0; o < s.outputs; ++o) {
      float* row = memory_ + output_offset_ + o * columns_;
      std::fill(std::copy_n(w + int64_t{o} * s.width, s.width, row), row + columns_, 0.0f);
    }
    return;
  }
  float* bias = memory_ + bias_offset_ + layer * columns_;
  std::fill(std::copy_n(b, s.width, bias), bias + columns_, 0.0f);
  const int inner = layer == 0 ? 2 * s.features : s.width;
  products_.pack({w, layer == 0 ? s.inputs() : s.width, 1, s.width, inner}, memory_ + layer_offset(layer));
  if (training && layer > 0)
    products_.pack({w, 1, s.width, s.width, s.width}, memory_ + backward_offset_ + (layer - 1) * hidden_);
}

int64_t DecoderTile::scratch_floats(const DecoderShape& s, bool training) {
  const int64_t rows = max_rows;
  return padded(rows * 3) + tile_floats(2 * s.features) + padded(2 * s.features) +
         tile_floats(s.width) * (2 + (training ? s.layers + 1 : 1)) + 2 * padded(rows * s.outputs) +
         4 * padded_width(s);
}

DecoderTile::DecoderTile(const PackedDecoder& packed, float* scratch, bool training)
    : packed_(packed), shape_(packed.net().shape), training_(training), stride_(tile_floats(shape_.width)) {
  const auto take = [&](int64_t floats) {
    float* at = scratch;
    scratch += padded(floats);
    return at;
  };
  points_ = take(max_rows * 3);
  encoding_ = take(tile_floats(2 * shape_.features));
  angles_ = take(2 * shape_.features);
  activations_ = take(stride_ * (training ? shape_.layers + 1 : 1));
  next_ = take(2 * stride_);
  values_ = take(max_rows * shape_.outputs);
  dvalues_ = take(max_rows * shape_.outputs);
  bias_ = take(padded_width(shape_));
  bias_sum_ = take(padded_width(shape_));
  row_ = take(padded_width(shape_));
  drow_ = take(padded_width(shape_));
  set_latent(nullptr);
}

/// Rows up to the next whole block of the products.
int DecoderTile::whole_blocks(int rows) const {
  const int block = packed_.products().block_rows;
  return (rows + block - 1) / block * block;
}

void DecoderTile::set_latent(const float* z) {
  const float* w = packed_.net().parameters.data;
  std::copy_n(packed_.bias(0), padded_width(shape_), bias_);
  if (!z) return;
  for (int j = 0; j < shape_.width; ++j) {
    const float* wz = w + int64_t{j} * shape_.inputs() + 2 * shape_.features;
    for (int i = 0; i < shape_.latent; ++i) bias_[j] += wz[i] * z[i];
  }
}

void DecoderTile::encode(const float* points, int rows) {
  const int columns = 2 * shape_.features, whole = whole_blocks(rows);
  for (int row = 0; row < whole; ++row) {
    if (row < rows)
      encode_point(points + 3 * row, packed_.net().frequencies.data, shape_.features, angles_);
    else
      std::fill_n(angles_, columns, 0.0f);
    packed_.products().put_row(angles_, columns, row, encoding_);
  }
}

void DecoderTile::forward(int rows) {
  const TileProducts& products = packed_.products();
  const int width = shape_.width;
  float* h = activation(0);
  products.forward({encoding_, packed_.forward(0), bias_, h, rows, 2 * shape_.features, width, false});
  for (int layer = 1; layer <= shape_.layers; ++layer) {
    float* out = training_ ? activation(layer) : h == activations_ ? next_ : activations_;
    products.forward({h, packed_.forward(layer), packed_.bias(layer), out, rows, width, width, shape_.residual});
    h = out;
  }
  const float* bias = packed_.net().parameters.data + shape_.bias_offset(shape_.layers + 1);
  for (int row = 0; row < rows; ++row) {
    products.get_row(h, width, row, row_);
    for (int o = 0; o < shape_.outputs; ++o)
      values_[row * shape_.outputs + o] = bias[o] + dot(row_, packed_.output(o), width);
  }
}

/// Leaves the gradient of the last hidden pre-activation in dh, whole blocks of rows, and its sums in bias_sum().
void DecoderTile::output_backward(int rows, const float* h, float* dh, float* gradient) {
  const int last = shape_.layers + 1, whole = whole_blocks(rows), width = shape_.width;
  float *dw = gradient + shape_.weight_offset(last), *db = gradient + shape_.bias_offset(last);
  for (int row = 0; row < whole; ++row) {
    std::fill_n(drow_, width, 0.0f);
    if (row < rows) {
      packed_.products().get_row(h, width, row, row_);
      for (int o = 0; o < shape_.outputs; ++o) {
        const float d = dvalues_[row * shape_.outputs + o];
        output_row(row_, packed_.output(o), d, width, drow_, dw + int64_t{o} * width);
        db[o] += d;
      }
      relu_row(row_, width, drow_, bias_sum_);
    }
    packed_.products().put_row(drow_, width, row, dh);
  }
}

void DecoderTile::backward(int rows, const float* z, float* gradient) {
  const TileProducts& products = packed_.products();
  const int width = shape_.width, encoded = 2 * shape_.features;
  float *dh = next_, *dnext = next_ + stride_;
  std::fill_n(bias_sum_, padded_width(shape_), 0.0f);
  output_backward(rows, activation(shape_.layers), dh, gradient);
  for (int layer = shape_.layers; layer >= 1; --layer) {
    float* db = gradient + shape_.bias_offset(layer);
    for (int j = 0; j < width; ++j) db[j] += bias_sum_[j];
    products.weights(
        {dh, activation(layer - 1), gradient + shape_.weight_offset(layer), int64_t{width}, rows, width, width});
    std::fill_n(bias_sum_, padded_width(shape_), 0.0f);
    products.backward(
        {dh, packed_.backward(layer), activation(layer - 1), dnext, bias_sum_, rows, width, width, shape_.residual});
    std::swap(dh, dnext);
  }
  products.weights({dh, encoding_, gradient, int64_t{shape_.inputs()}, rows, width, encoded});
  float* db = gradient + shape_.bias_offset(0);
  for (int j = 0; j < width; ++j) {
    db[j] += bias_sum_[j];
    float* dwz = gradient + int64_t{j} * shape_.inputs() + encoded;
    for (int i = 0; i < shape_.latent; ++i) dwz[i] += bias_sum_[j] * z[i];
  }
}

}  // namespace recon::cpu
