#pragma once
// How the sums of tiles and slots are added up: bodies of the kernels of decoder_fused_finish_cuda.cu, which says what
// limits them. Sums have the same order whatever the number of threads.
#include "kernels/decoder/decoder_fused_cuda.h"

namespace recon::cuda::fused {

/// Gradients of the weights and biases of all layers but the output's, by all threads of a grid: a thread four elements
/// of a unit, or a bias.
template <int Width>
RECON_DEVICE void add_weights(const Training<Width>& call, const WeightPlan& plan) {
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

constexpr int sum_columns = 8, sum_lanes = 32, sum_threads = sum_columns * sum_lanes;
constexpr size_t sum_bytes = sum_threads * sizeof(float);  ///< of shared memory

/// to(column, Σ term(column, row) over the rows) for the next columns from `first` on, by a block: a column's rows go
/// over 32 lanes.
template <int Threads, class Term, class To>
RECON_DEVICE void sum_rows(int64_t first, int64_t columns, int64_t rows, const Term& term, const To& to) {
  struct Shared {
    float parts[sum_lanes][sum_columns];
  };
  auto& shared = shared_memory<Shared>();
  RECON_UNROLL
  for (int part = 0; part < sum_threads; part += Threads) {
    const int t = part + thread();
    const int64_t column = first + t % sum_columns;
    float sum = 0;
    for (int64_t row = column < columns ? t / sum_columns : rows; row < rows; row += sum_lanes)
      sum += term(column, row);
    shared.parts[t / sum_columns][t % sum_columns] = sum;
  }
  __syncthreads();
  if (thread() >= sum_columns || first + thread() >= columns) return;
  float sum = shared.parts[0][thread()];
  for (int lane = 1; lane < sum_lanes; ++lane) sum += shared.parts[lane][thread()];
  to(first + thread(), sum);
}

/// Gradients of W_out and b_out from column `first` on: a column an output and place of its sums.
template <int Width, int Threads>
RECON_DEVICE void add_outputs(const Training<Width>& call, int64_t first) {
  const DecoderShape& s = call.args.forward.net.shape;
  const TileSums& tiles = call.tiles;
  sum_rows<Threads>(
      first, int64_t{s.outputs} * (Width + 1), call.tiling.count,
      [&](int64_t column, int64_t tile) { return tiles.of(tile, column / (Width + 1))[column % (Width + 1)]; },
      [&](int64_t column, float sum) {
        const int64_t o = column / (Width + 1), j = column % (Width + 1);
        const int64_t at = j < Width ? s.weight_offset(s.layers + 1) + o * Width + j : s.bias_offset(s.layers + 1) + o;
        call.args.dparameters[at] += (call.units ? call.units->value : 1.0f) * sum;
      });
}

constexpr int loss_lanes = 256;
struct LossSums {
  double of_warp[loss_lanes / 32];
};

/// The loss of a slice, by a block: its tiles go over 256 lanes.
template <int Width, int Threads>
RECON_DEVICE void add_loss(const Training<Width>& call, int64_t slice) {
  auto& shared = shared_memory<LossSums>();
  const int64_t first = slice * call.tiling.in_slice, end = first + call.tiling.in_slice;
  RECON_UNROLL
  for (int part = 0; part < loss_lanes; part += Threads) {
    const int t = part + thread();
    double loss = 0;
    for (int64_t tile = first + t; tile < end; tile += loss_lanes) loss += call.tiles.loss[tile];
    loss = warp_sum(loss);
    if (lane_of(t) == 0) shared.of_warp[t / 32] = loss;
  }
  __syncthreads();
  if (thread() != 0 || call.args.loss.empty()) return;
  double loss = shared.of_warp[0];
  for (int warp = 1; warp < loss_lanes / 32; ++warp) loss += shared.of_warp[warp];
  call.args.loss[slice] = static_cast<float>(loss);
}

}  // namespace recon::cuda::fused
