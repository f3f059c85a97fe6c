// Packs a network for the fused decoder: fp32 parameters into 16-bit slabs. A thread makes 16 bytes of a slab.
//
// Limit: device memory, or rather its latency: 10 × 128 with F = 192 is 0.9 MB read (twice for training) and 1.2 MB
// written, a microsecond, beside the milliseconds of the rows that use it. Reads of 8 bytes apart by a row of weights;
// they come from the second-level cache.
#include "kernels/decoder/decoder_fused_cuda.h"

namespace recon::cuda::fused {
namespace {

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

template <class Half, int Width>
RECON_KERNEL(256)
decoder_pack_kernel(DecoderNet net, PackedNet<Width> to, int slabs, int features, SlabOrder order) {
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

}  // namespace

template <int Width>
PackedNet<Width> plan_net(Carver& carver, const DecoderNet& net, bool training) {
  const DecoderShape& s = net.shape;
  PackedNet<Width> packed;
  packed.layers = s.layers;
  packed.residual = s.residual;
  packed.first_steps = (2 * s.features + 15) / 16;
  packed.first_slabs = (packed.first_steps + Slab<Width>::depth_steps - 1) / Slab<Width>::depth_steps;
  packed.bias = net.parameters.data + s.bias_offset(0);
  packed.outputs = net.parameters.data + s.weight_offset(s.layers + 1);
  packed.slabs = carver.take<Slab<Width>>(slab_count(packed, training));
  packed.frequencies = carver.take<Floats>(padded_features(s));
  packed.latent_weights = carver.take<float>(int64_t{s.latent} * Width);
  return packed;
}

template <class Half, int Width>
void pack_net(Queue& queue, const DecoderNet& net, const PackedNet<Width>& packed, bool training, SlabOrder order) {
  expect(order == SlabOrder::lanes || Width == 128, "decoder: core matrices of a width other than 128");
  const int slabs = slab_count(packed, training), features = padded_features(net.shape);
  const int64_t pieces = slabs * int64_t{Slab<Width>::fragments + Slab<Width>::outputs / 4};
  launch(queue, "decoder_pack", covering(pieces + features + int64_t{net.shape.latent} * Width),
         decoder_pack_kernel<Half, Width>, net, packed, slabs, features, order);
}

template PackedNet<64> plan_net(Carver&, const DecoderNet&, bool);
template PackedNet<128> plan_net(Carver&, const DecoderNet&, bool);
template PackedNet<256> plan_net(Carver&, const DecoderNet&, bool);
template void pack_net<bf16>(Queue&, const DecoderNet&, const PackedNet<64>&, bool, SlabOrder);
template void pack_net<bf16>(Queue&, const DecoderNet&, const PackedNet<128>&, bool, SlabOrder);
template void pack_net<bf16>(Queue&, const DecoderNet&, const PackedNet<256>&, bool, SlabOrder);
template void pack_net<fp16>(Queue&, const DecoderNet&, const PackedNet<64>&, bool, SlabOrder);
template void pack_net<fp16>(Queue&, const DecoderNet&, const PackedNet<128>&, bool, SlabOrder);
template void pack_net<fp16>(Queue&, const DecoderNet&, const PackedNet<256>&, bool, SlabOrder);

}  // namespace recon::cuda::fused
