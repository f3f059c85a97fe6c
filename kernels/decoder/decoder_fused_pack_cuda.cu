// Packs a network for the fused decoder: fp32 parameters into 16-bit slabs. A thread makes 16 bytes of a slab.
//
// Limit: device memory, or rather its latency: 10 × 128 with F = 192 is 0.9 MB read (twice for training) and 1.2 MB
// written, a microsecond, beside the milliseconds of the rows that use it. Reads of 8 bytes apart by a row of weights;
// they come from the second-level cache.
#include "kernels/decoder/decoder_fused_pack_cuda.h"

namespace recon::cuda::fused {
namespace {

template <class Half, int Width>
RECON_KERNEL(256)
decoder_pack_kernel(DecoderNet net, PackedNet<Width> to, int slabs, int features, SlabOrder order) {
  pack_pieces<Half, Width>(net, to, slabs, features, order);
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
