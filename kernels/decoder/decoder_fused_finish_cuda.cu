// The end of a fused training call: everything that tiles and slots have left is added up, in order.
//
// Limit: reading the partial sums, 0.9 MB a slot at 10 × 128, of which most come from the second-level cache: a few
// microseconds. Sums over tiles run 32 at a time for 8 neighbouring columns a block (32-byte sectors), since their
// count is in the thousands and that of columns in the hundreds.
#include "kernels/decoder/decoder_fused_cuda.h"

namespace recon::cuda::fused {
namespace {

constexpr int sum_columns = 8, sum_lanes = 32;

/// A thread four elements of a unit, or a bias.
template <int Width>
RECON_KERNEL(256)
decoder_add_weights_kernel(Training<Width> call, WeightPlan plan) {
  using Units = WeightUnits<Width>;
  constexpr int in_unit = Units::block * Units::block / 4;
  const DecoderShape& s = call.args.forward.net.shape;
  const float unit = call.units ? call.units->hidden : 1.0f;
  float* to = call.args.dparameters.data;
  const int64_t pieces = int64_t{plan.units} * in_unit, biases = int64_t{s.layers + 1} * Width;
  for (int64_t i = grid_thread(); i < pieces; i += grid_threads()) {
    const WeightUnit from = Units::unit(static_cast<int>(i / in_unit), plan.first_units);
    const int fragment = static_cast<int>(i % in_unit) / weight_threads;
    Floats sum{{0, 0, 0, 0}};
    for (int slot = 0; slot < plan.slots; ++slot) {
      const Floats part = reinterpret_cast<const Floats*>(plan.weights)[slot * pieces + i];
      for (int c = 0; c < 4; ++c) sum.at[c] += part.at[c];
    }
    for (int c = 0; c < 4; ++c) {
      const WeightPlace place =
          Units::place(fragment / Units::columns, fragment % Units::columns, c, static_cast<int>(i % weight_threads));
      const int out = stored_column(from.row_block * Units::block + place.row);
      const int in = from.column_block * Units::block + place.column;
      if (from.layer > 0)
        to[s.weight_offset(from.layer) + out * Width + stored_column(in)] += unit * sum.at[c];
      else if (in / 2 < s.features)
        to[int64_t{out} * s.inputs() + in % 2 * s.features + in / 2] += unit * sum.at[c];
    }
  }
  for (int64_t i = grid_thread(); i < biases; i += grid_threads()) {
    float sum = 0;
    for (int slot = 0; slot < plan.slots; ++slot) sum += plan.bias[slot * biases + i];
    to[s.bias_offset(static_cast<int>(i / Width)) + stored_column(static_cast<int>(i % Width))] += unit * sum;
  }
}

/// The column of this thread, and Σ term(row) over its `rows` for one thread a column; the others get 0.
RECON_DEVICE int64_t sum_column() { return int64_t{blockIdx.x} * sum_columns + thread() % sum_columns; }
template <class Term>
RECON_DEVICE float sum_rows(int64_t rows, const Term& term) {
  struct Shared {
    float parts[sum_lanes][sum_columns];
  };
  auto& shared = shared_memory<Shared>();
  const int lane = thread() / sum_columns, column = thread() % sum_columns;
  float sum = 0;
  for (int64_t row = lane; row < rows; row += sum_lanes) sum += term(row);
  shared.parts[lane][column] = sum;
  __syncthreads();
  if (lane != 0) return 0;
  for (int other = 1; other < sum_lanes; ++other) sum += shared.parts[other][column];
  return sum;
}
Shape sum_shape(int64_t columns) {
  return {.blocks = (columns + sum_columns - 1) / sum_columns,
          .threads = sum_columns * sum_lanes,
          .shared_bytes = sum_columns * sum_lanes * sizeof(float)};
}

/// W_out and b_out: a column an output and place of its sums.
template <int Width>
RECON_KERNEL(sum_columns* sum_lanes)
decoder_add_outputs_kernel(Training<Width> call) {
  const DecoderShape& s = call.args.forward.net.shape;
  const TileSums& tiles = call.tiles;
  const int64_t column = sum_column(), o = column / (Width + 1), j = column % (Width + 1);
  const bool live = o < s.outputs;
  const float sum = sum_rows(live ? call.tiling.count : 0, [&](int64_t tile) { return tiles.of(tile, o)[j]; });
  if (!live || thread() >= sum_columns) return;
  const int64_t at = j < Width ? s.weight_offset(s.layers + 1) + o * Width + j : s.bias_offset(s.layers + 1) + o;
  call.args.dparameters[at] += (call.units ? call.units->value : 1.0f) * sum;
}

/// A block a slice: its loss, the sum of its gradients of layer 0, and from that its z's.
template <int Width>
RECON_KERNEL(256)
decoder_slices_kernel(Training<Width> call, float* slice_sums) {
  struct Shared {
    double losses[8];
    float latents[8];
  };
  auto& shared = shared_memory<Shared>();
  const TileSums& tiles = call.tiles;
  const int64_t slice = blockIdx.x, first = slice * call.tiling.in_slice, end = first + call.tiling.in_slice;
  const int t = thread();
  double loss = 0;
  for (int64_t tile = first + t; tile < end; tile += 256) loss += tiles.loss[tile];
  loss = block_sum<256>(loss, shared.losses);
  if (t == 0 && !call.args.loss.empty()) call.args.loss[slice] = static_cast<float>(loss);
  if (call.rows.latent == 0) return;
  float sum = 0;
  if (t < Width)
    for (int64_t tile = first; tile < end; ++tile) sum += call.rows.is_active(slice) ? tiles.of(tile, 2)[t] : 0.0f;
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
RECON_KERNEL(sum_columns* sum_lanes)
decoder_add_latent_columns_kernel(Training<Width> call, const float* slice_sums) {
  const DecoderShape& s = call.args.forward.net.shape;
  const int64_t z = sum_column() / Width, j = sum_column() % Width;
  const bool live = z < s.latent;
  const float sum = sum_rows(live ? call.rows.slices : 0, [&](int64_t slice) {
    return call.rows.is_active(slice) ? slice_sums[slice * Width + j] * call.rows.z(slice)[z] : 0.0f;
  });
  if (!live || thread() >= sum_columns) return;
  call.args.dparameters[j * s.inputs() + 2 * s.features + z] += (call.units ? call.units->hidden : 1.0f) * sum;
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
