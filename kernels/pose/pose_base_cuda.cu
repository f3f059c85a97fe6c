// Scores of the base grid, whose slices serve all images: one matrix product of [R × P] with [P × B·T], where a column
// is an image moved by a shift. Blocks take 192 rotations × 72 columns, and few blocks share the pixels out among more
// (segments). The moved images are made tile by tile in shared memory, once a
// third of the base grid. |gS|², which has no shift, is made first by a kernel of its own.
//
// Floor, 576 × 49 candidates at 440 pixels: 12.4 M multiply-adds an image, 0.4 µs of the fp32 units of an H100; slices
// (1 MB) and images stay in L2. The moved images cost some 9 %, |gS|² 1/T. 76 KB of shared memory, two blocks a
// multiprocessor. Considered: the library's product (moved images through memory, 49 times the images' bytes); tensor
// cores with split numbers (three products for this accuracy: to be tried where the base grid is exhaustive; one
// product of 16-bit numbers, where they are enough, is pose_base_tensor_cuda.cu).
#include "kernels/pose/pose_base_cuda.h"

namespace recon::cuda {
namespace {

constexpr int norm_images = 8, base_rows = 192;
using Tile = PoseTile<base_rows>;

// A warp takes a slice, or in the last place the images themselves, and 8 images, whose weights the block's other warps
// find in L1: two operations a weight, 1/T of the products.
RECON_KERNEL(256) base_norms_kernel(PoseScore a, BaseNorms norms) {
  const int64_t places = a.slices.rows + 1, row = warp_row() % places, first = warp_row() / places * norm_images;
  const bool is_slice = row < a.slices.rows;
  const View<const float> weights = is_slice ? a.ctf : a.images;
  const int64_t left = (weights.empty() ? 1 : weights.rows) - first;
  if (left <= 0) return;
  float sums[norm_images] = {};
  for (int64_t p = lane_of(thread()); p < a.pixels.size(); p += 32) {
    const float value = is_slice ? a.slices(row, p) : 1.0f;
    RECON_UNROLL
    for (int n = 0; n < norm_images; ++n) {
      const float weighted = n >= left ? 0.0f : value * (weights.empty() ? 1.0f : weights(first + n, p));
      sums[n] += weighted * weighted;
    }
  }
  RECON_UNROLL
  for (int n = 0; n < norm_images; ++n) {
    const double sum = warp_sum(double(sums[n]));
    if (lane_of(thread()) == 0 && n < left) (is_slice ? norms.slice(first + n, row) : norms.image[first + n]) = sum;
  }
}

struct BaseShared {
  Tile tile;
  BaseColumn names[tile_columns];
};

/// Makes columns 0 .. 8C of a pixel tile.
template <int C>
RECON_DEVICE void move_images(BaseShared& shared, int buffer, const PoseScore& a, int first) {
  const int pair = thread() % Tile::pairs, p = first + 2 * pair;
  const Lanes<2> k = pair_frequency(p < a.pixels.size() ? a.pixels[p] : Pixel{}, a.side);
  constexpr int step = Tile::threads / Tile::pairs;
  RECON_UNROLL
  for (int c = thread() / Tile::pairs; c < thread_columns * C; c += step) {
    const BaseColumn column = shared.names[c];
    const ColumnPair at = column_pair(a, column.image, p);
    store(&shared.tile.columns[buffer][c][2 * pair],
          shifted_pair(k.v[0] * column.shift_x + k.v[1] * column.shift_y, at.image, at.weight));
  }
}

template <int C>
RECON_DEVICE void multiply_segment(BaseShared& shared, const PoseScore& a, const PosePlan& plan, const PoseBlock& block,
                                   int rows) {
  const float* slices = a.slices.row(block.row0);
  const auto pixels = static_cast<int>(a.pixels.size());
  float sums[thread_rows][C] = {};
  walk_tiles(
      block,
      [&](int tile, int buffer) {
        load_slices(shared.tile, buffer, slices, rows, pixels, tile * Tile::width, plan.aligned);
      },
      [&](int tile, int buffer) { move_images<C>(shared, buffer, a, tile * Tile::width); },
      [&](int buffer) { multiply(shared.tile, buffer, sums); });
  collect(shared.tile, sums);
}

RECON_KERNEL(Tile::threads) pose_base_kernel(PoseScore a, PosePlan plan, BaseNorms norms) {
  auto& shared = shared_memory<BaseShared>();
  const PoseBlock block = pose_block(plan, base_rows);
  const int64_t left = a.images.rows * a.nodes.shifts.cols - block.column0;
  const int rows = least(a.nodes.rotation_count[0] - block.row0, base_rows),
            columns = left < tile_columns ? static_cast<int>(left) : tile_columns;
  name_columns(shared.names, a, block.column0);
  if (rows > 0)
    for_width(columns, [&](auto width) { multiply_segment<decltype(width)::value>(shared, a, plan, block, rows); });
  const int end = least(static_cast<int>(a.nodes.rotations.cols) - block.row0, base_rows);
  for (int c = lane_of(thread()); c < columns; c += 32) {
    const ColumnScores scores(a, plan, norms, block.segment, shared.names[c]);
    for (int row = warp_of(thread()); row < end; row += Tile::threads / 32)
      scores.put(block.row0 + row, -2 * shared.tile.sums[row][c]);
  }
}

}  // namespace

int64_t base_norm_count(const PoseScore& a) {
  return a.images.rows + (a.ctf.empty() ? std::min<int64_t>(1, a.images.rows) : a.images.rows) * a.slices.rows;
}

BaseNorms base_norms_at(double* at, const PoseScore& a) {
  const int64_t weights = a.ctf.empty() ? std::min<int64_t>(1, a.images.rows) : a.images.rows;
  return {.image = at, .slice = {at + a.images.rows, weights, a.slices.rows}};
}

void make_base_norms(Device& device, const PoseScore& a, const BaseNorms& norms) {
  launch(queue_of(device), "pose_score: norms",
         warp_a_row((a.slices.rows + 1) * ((a.images.rows + norm_images - 1) / norm_images), 256), base_norms_kernel, a,
         norms);
}

void pose_score_base(Device& device, const PoseScore& a) {
  PosePlan plan = pose_plan(device, a, Tile::sizes, a.images.rows * a.nodes.shifts.cols, 1);
  const int64_t norm_floats = 2 * base_norm_count(a), parts = plan.segments > 1 ? plan.segments * a.scores.size() : 0;
  float* workspace = device.workspace(static_cast<size_t>(norm_floats + parts));
  const BaseNorms norms = base_norms_at(reinterpret_cast<double*>(workspace), a);
  if (plan.segments > 1) plan.parts = workspace + norm_floats;
  make_base_norms(device, a, norms);
  launch(queue_of(device), "pose_score: base",
         {.blocks = int64_t{plan.row_tiles} * plan.column_tiles * plan.segments,
          .threads = Tile::threads,
          .shared_bytes = sizeof(BaseShared)},
         pose_base_kernel, a, plan, norms);
  join_segments(device, a, plan);
}

}  // namespace recon::cuda
