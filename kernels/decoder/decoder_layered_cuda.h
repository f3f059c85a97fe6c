#pragma once
// How the layered decoder's network lies padded in device memory, and how its kernels meet numbers of any precision.
#include <bit>
#include <cstdint>
#include <type_traits>

#include "kernels/decoder/decoder_rows_cuda.h"
#include "kernels/device/mma.h"
#include "kernels/device/pointwise.h"

namespace recon::cuda::layered {

template <class T>
constexpr Precision precision_of = std::is_same_v<T, float>  ? Precision::fp32
                                   : std::is_same_v<T, bf16> ? Precision::bf16
                                                             : Precision::fp16;

/// Rows of matrices are padded to whole sectors of memory: twice the 16 bytes that tensor cores ask for.
template <class T>
constexpr int64_t padded(int64_t columns) {
  constexpr int64_t in_sector = 32 / sizeof(T);
  return (columns + in_sector - 1) / in_sector * in_sector;
}

/// Two neighbours, in one access; `at` is even.
template <class T>
struct alignas(2 * sizeof(T)) Two {
  T at[2];
};
template <class T>
RECON_DEVICE Lanes<2> load_two(const T* at) {
  const Two<T> two = *reinterpret_cast<const Two<T>*>(at);
  if constexpr (std::is_same_v<T, float>) {
    return {{two.at[0], two.at[1]}};
  } else {
    const auto word = std::bit_cast<uint32_t>(two);
    return {{low_of<T>(word), high_of<T>(word)}};
  }
}
template <class T>
RECON_DEVICE void store_two(T* at, float first, float second) {
  if constexpr (std::is_same_v<T, float>)
    *reinterpret_cast<Two<T>*>(at) = {{first, second}};
  else
    *reinterpret_cast<Two<T>*>(at) = std::bit_cast<Two<T>>(pack<T>(first, second));
}
template <class T>
RECON_DEVICE void store_one(T* at, float value) {
  if constexpr (std::is_same_v<T, float>)
    *at = value;
  else
    *at = T{static_cast<uint16_t>(pack<T>(value, 0))};
}

/// The parameters, or sums of their gradients, with all sizes padded; padding is 0, and so are the activations there.
/// Inputs of layer 0: sin, cos of one feature after the other, padding, z, padding. First all weights, then all biases.
struct PaddedNet {
  DecoderShape shape;
  int64_t width = 0, encoded = 0, latent = 0, outputs = 0;

  template <class T>
  static PaddedNet of(const DecoderShape& s) {
    return {s, padded<T>(s.width), padded<T>(s.features > 0 ? 2 * s.features : 1), padded<T>(s.latent),
            padded<T>(s.outputs)};
  }
  RECON_HD int64_t inputs() const { return encoded + latent; }
  /// [outputs of the layer, inputs of the layer]; layer `layers + 1` is the output layer.
  RECON_HD int64_t weight_offset(int layer) const {
    return layer == 0 ? 0 : width * inputs() + int64_t{layer - 1} * width * width;
  }
  RECON_HD int64_t bias_offset(int layer) const {
    return weight_offset(shape.layers + 1) + outputs * width + layer * width;
  }
  int64_t size() const { return bias_offset(shape.layers + 1) + outputs; }

  struct Place {
    int layer;
    int64_t at;
  };
  /// Where parameter number `p` stands.
  RECON_HD Place place(int64_t p) const {
    const int64_t w = shape.width, first = shape.bias_offset(0) + w;
    int layer = p < first ? 0 : 1 + static_cast<int>((p - first) / (w * w + w));
    if (layer > shape.layers) layer = shape.layers + 1;  // few weights; of one hidden unit they may be as many
    if (p >= shape.bias_offset(layer)) return {layer, bias_offset(layer) + p - shape.bias_offset(layer)};
    const int64_t in_row = layer == 0 ? shape.inputs() : w, pitch = layer == 0 ? inputs() : width;
    const int64_t i = p - shape.weight_offset(layer), row = i / in_row, in = i % in_row;
    return {layer, weight_offset(layer) + row * pitch + (layer == 0 ? column(in) : in)};
  }

 private:
  /// Of an input of layer 0.
  RECON_HD int64_t column(int64_t in) const {
    const int64_t f = shape.features;
    return in < f ? 2 * in : in < 2 * f ? 2 * (in - f) + 1 : encoded + in - 2 * f;
  }
};

}  // namespace recon::cuda::layered
