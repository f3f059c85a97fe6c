#pragma once
// The network packed for the fused decoder: the body of decoder_pack_kernel, whose file says what limits it.
#include "kernels/decoder/decoder_fused_cuda.h"

namespace recon::cuda::fused {

/// Which weights a slab holds.
struct SlabPlace {
  int layer, part;
  bool transposed;
};

template <int Width>
RECON_DEVICE SlabPlace slab_place(const PackedNet<Width>& net, int slab) {
  constexpr int in_layer = Slab<Width>::in_layer;
  if (slab < net.first_slabs) return {0, slab, false};
  slab -= net.first_slabs;
  if (slab < net.layers * in_layer) return {1 + slab / in_layer, slab % in_layer, false};
  slab -= net.layers * in_layer;
  return {net.layers - slab / in_layer, slab % in_layer, true};
}

/// The weight from input `in` to output `out` of the layer as the tile meets it.
RECON_DEVICE float weight(const DecoderNet& net, const SlabPlace& place, int in, int out) {
  const DecoderShape& s = net.shape;
  const float* w = net.parameters.data + s.weight_offset(place.layer);
  if (place.layer > 0) return place.transposed ? w[in * s.width + out] : w[out * s.width + in];
  const int feature = in / 2;
  return feature < s.features ? w[int64_t{out} * s.inputs() + (in & 1) * s.features + feature] : 0.0f;
}

template <class Half, int Width>
RECON_DEVICE Words fragment(const DecoderNet& net, const SlabPlace& place, int number) {
  using Slab = fused::Slab<Width>;
  const int lane = number % 32, in_lane = 2 * (lane & 3), out_lane = lane >> 2;
  constexpr int pairs = Width / 16, steps = Width / 16;
  int in = 0, out = 0;
  if (place.layer == 0) {
    in = place.part * Slab::depth + number / 32 / pairs * 16;
    out = number / 32 % pairs * 16;
  } else {
    in = number / 128 % steps * 16;
    out = place.part * Slab::outputs + number / 128 / steps * 64 + number / 32 % 4 * 16;
  }
  Words words;
  RECON_UNROLL
  for (int i = 0; i < 4; ++i) {
    const int from = in + in_lane + 8 * (i & 1), to = out + out_lane + 8 * (i / 2);
    words.at[i] = pack<Half>(weight(net, place, from, to), weight(net, place, from + 1, to));
  }
  return words;
}

/// Eight inputs of an output.
template <class Half>
RECON_DEVICE Words core_row(const DecoderNet& net, const SlabPlace& place, int number) {
  const int first = (place.layer == 0 ? place.part : 0) * Slab<128>::depth + number / 128 * 8, out = number % 128;
  Words words;
  RECON_UNROLL
  for (int i = 0; i < 4; ++i)
    words.at[i] = pack<Half>(weight(net, place, first + 2 * i, out), weight(net, place, first + 2 * i + 1, out));
  return words;
}

/// All threads of a grid pack the network; `features` are the padded ones.
template <class Half, int Width>
RECON_DEVICE void pack_pieces(const DecoderNet& net, const PackedNet<Width>& to, int slabs, int features,
                              SlabOrder order) {
  using Slab = fused::Slab<Width>;
  const DecoderShape& s = net.shape;
  constexpr int64_t in_slab = Slab::fragments + Slab::outputs / 4;
  const int64_t pieces = slabs * in_slab, all = pieces + features + int64_t{s.latent} * Width;
  for (int64_t i = grid_thread(); i < all; i += grid_threads()) {
    if (i >= pieces + features) {
      const int64_t z = (i - pieces - features) / Width, j = (i - pieces - features) % Width;
      to.latent_weights[z * Width + j] = net.parameters[j * s.inputs() + 2 * s.features + z];
    } else if (i >= pieces) {
      const auto f = static_cast<int>(i - pieces);
      Floats value{{0, 0, 0, 0}};
      for (int axis = 0; axis < 3 && f < s.features; ++axis) value.at[axis] = net.frequencies(axis, f);
      to.frequencies[f] = value;
    } else {
      const auto number = static_cast<int>(i % in_slab);
      const SlabPlace place = slab_place(to, static_cast<int>(i / in_slab));
      Slab& slab = to.slabs[i / in_slab];
      if (number < Slab::fragments) {
        slab.weights[number] =
            order == SlabOrder::lanes ? fragment<Half, Width>(net, place, number) : core_row<Half>(net, place, number);
        continue;
      }
      const float* bias = net.parameters.data + s.bias_offset(place.layer) + place.part * Slab::outputs;
      const bool starts = place.layer > 0 && !place.transposed;
      for (int j = 4 * (number - Slab::fragments), end = j + 4; j < end; ++j) slab.bias[j] = starts ? bias[j] : 0.0f;
    }
  }
}

template <int Width>
int slab_count(const PackedNet<Width>& net, bool training) {
  return net.forward_slabs() + (training ? net.layers * Slab<Width>::in_layer : 0);
}

}  // namespace recon::cuda::fused
