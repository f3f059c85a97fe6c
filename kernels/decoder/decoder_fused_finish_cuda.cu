// The end of a fused training call: everything that tiles and slots have left is added up, in order.
//
// Limit: reading the partial sums, 0.9 MB a slot at 10 × 128, of which most come from the second-level cache: a few
// microseconds. Sums over tiles run 32 at a time for 8 neighbouring columns a block (32-byte sectors), since their
// count is in the thousands and that of columns in the hundreds.
#include "kernels/decoder/decoder_fused_finish_cuda.h"

namespace recon::cuda::fused {
namespace {

template <int Width>
RECON_KERNEL(256)
decoder_add_weights_kernel(Training<Width> call, WeightPlan plan) {
  add_weights<Width>(call, plan);
}

RECON_DEVICE int64_t first_column() { return int64_t{blockIdx.x} * sum_columns; }
Shape sum_shape(int64_t columns) {
  return {.blocks = (columns + sum_columns - 1) / sum_columns, .threads = sum_threads, .shared_bytes = sum_bytes};
}

template <int Width>
RECON_KERNEL(sum_threads)
decoder_add_outputs_kernel(Training<Width> call) {
  add_outputs<Width, sum_threads>(call, first_column());
}

/// A block a slice: its loss, the sum of its gradients of layer 0, and from that its z's.
template <int Width>
RECON_KERNEL(256)
decoder_slices_kernel(Training<Width> call, float* slice_sums) {
  struct Shared {
    LossSums losses;
    float latents[8];
  };
  const int64_t slice = blockIdx.x, first = slice * call.tiling.in_slice, end = first + call.tiling.in_slice;
  const int t = thread();
  add_loss<Width, 256>(call, slice);
  if (call.rows.latent == 0) return;
  auto& shared = shared_memory<Shared>();
  float sum = 0;
  if (t < Width)
    for (int64_t tile = first; tile < end; ++tile) sum += call.rows.is_active(slice) ? call.tiles.of(tile, 2)[t] : 0.0f;
  if (t < Width) slice_sums[slice * Width + t] = sum;
  if (call.args.dlatents.empty()) return;
  const float unit = call.units ? call.units->hidden : 1.0f;
  for (int i = 0; i < call.rows.latent; ++i) {
    const float term = t < Width ? sum * call.net.latent_weights[i * Width + t] : 0.0f;
    const float d = block_sum<256>(term, shared.latents);
    if (t == 0) call.args.dlatents(slice, i) += unit * d;
  }
}

/// The columns of z in W₀: a column a weight.
template <int Width>
RECON_KERNEL(sum_threads)
decoder_add_latent_columns_kernel(Training<Width> call, const float* slice_sums) {
  const DecoderShape& s = call.args.forward.net.shape;
  sum_rows<sum_threads>(
      first_column(), int64_t{s.latent} * Width, call.rows.slices,
      [&](int64_t column, int64_t slice) {
        const int64_t z = column / Width, j = column % Width;
        return call.rows.is_active(slice) ? slice_sums[slice * Width + j] * call.rows.z(slice)[z] : 0.0f;
      },
      [&](int64_t column, float sum) {
        const int64_t z = column / Width, j = column % Width;
        call.args.dparameters[j * s.inputs() + 2 * s.features + z] += (call.units ? call.units->hidden : 1.0f) * sum;
      });
}

}  // namespace

template <int Width>
void finish(Queue& queue, const Training<Width>& call, const WeightPlan& plan, float* slice_sums) {
  const DecoderShape& s = call.args.forward.net.shape;
  const int64_t pieces = int64_t{plan.units} * WeightUnits<Width>::block * WeightUnits<Width>::block / 4;
  launch(queue, "decoder_add_weights", covering(pieces), decoder_add_weights_kernel<Width>, call, plan);
  launch(queue, "decoder_add_outputs", sum_shape(s.outputs * (Width + 1)), decoder_add_outputs_kernel<Width>, call);
  launch(queue, "decoder_slices", {.blocks = call.rows.slices, .shared_bytes = 96}, decoder_slices_kernel<Width>, call,
         slice_sums);
  if (s.latent > 0)
    launch(queue, "decoder_add_latent_columns", sum_shape(int64_t{s.latent} * Width),
           decoder_add_latent_columns_kernel<Width>, call, slice_sums);
}

template void finish(Queue&, const Training<64>&, const WeightPlan&, float*);
template void finish(Queue&, const Training<128>&, const WeightPlan&, float*);
template void finish(Queue&, const Training<256>&, const WeightPlan&, float*);

}  // namespace recon::cuda::fused
