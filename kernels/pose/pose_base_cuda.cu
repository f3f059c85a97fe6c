// Scores of the base grid, whose slices serve all images: one matrix product of [R × P] with [P × B·T], where a column
// is an image moved by a shift. Blocks take 192 rotations × 72 columns, columns run on from image to image, and few
// blocks share the pixels out among more (segments). The moved images are made tile by tile in shared memory, once a
// third of the base grid. |gS|², which has no shift, is made first by a kernel of its own.
//
// Floor, 576 × 49 candidates at 440 pixels: 12.4 M multiply-adds an image, 0.4 µs of the fp32 units of an H100; slices
// (1 MB) and images stay in L2. The moved images cost some 9 %, |gS|² 1/T. 76 KB of shared memory, two blocks a
// multiprocessor. Considered: the library's product (moved images through memory, 49 times the images' bytes); tensor
// cores with split numbers (three products for this accuracy: to be tried where the base grid is exhaustive).
#include <limits>

#include "kernels/pose/pose_tile_cuda.h"

namespace recon::cuda {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr int norm_images = 8, base_rows = 192;
using Tile = PoseTile<base_rows>;

/// |X|² and |gS|² of all slices. Without a CTF the latter is the same for all images and stands there once.
struct BaseNorms {
  double* image = nullptr;  ///< [B]
  View<double> slice;       ///< [B or 1, R]
};

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
  int32_t image[tile_columns], shift[tile_columns];  ///< of a column; image −1: none
  float shift_x[tile_columns], shift_y[tile_columns];
};

/// Fills in what the columns are. Ends with a barrier.
RECON_DEVICE void name_columns(BaseShared& shared, const PoseScore& a, int column0) {
  const int64_t capacity_t = a.nodes.shifts.cols, count = a.images.rows * capacity_t;
  for (int c = thread(); c < tile_columns; c += Tile::threads) {
    const int64_t n = int64_t{column0} + c;
    const auto shift = static_cast<int32_t>(n % capacity_t);
    const ShiftNode node = shift < a.nodes.shift_count[0] ? a.nodes.shifts[shift] : ShiftNode{};
    shared.image[c] = n < count ? static_cast<int32_t>(n / capacity_t) : -1;
    shared.shift[c] = shift;
    shared.shift_x[c] = static_cast<float>(node.x) * a.shift_unit_px;
    shared.shift_y[c] = static_cast<float>(node.y) * a.shift_unit_px;
  }
  __syncthreads();
}

/// Makes columns 0 .. 8C of a pixel tile.
template <int C>
RECON_DEVICE void move_images(BaseShared& shared, int buffer, const PoseScore& a, int first) {
  const int pair = thread() % Tile::pairs, p = first + 2 * pair;
  const bool inside = p < a.pixels.size();
  const Lanes<2> k = pair_frequency(inside ? a.pixels[p] : Pixel{}, a.side);
  constexpr int step = Tile::threads / Tile::pairs;
  RECON_UNROLL
  for (int c = thread() / Tile::pairs; c < thread_columns * C; c += step) {
    Lanes<2> image{{0, 0}}, weight{{1, 1}};
    if (inside && shared.image[c] >= 0) {
      const float* from = a.images.row(shared.image[c]) + p;
      image = {{from[0], from[1]}};
      if (!a.ctf.empty()) {
        const float* ctf = a.ctf.row(shared.image[c]) + p;
        weight = {{ctf[0], ctf[1]}};
      }
    }
    store(&shared.tile.columns[buffer][c][2 * pair],
          shifted_pair(k.v[0] * shared.shift_x[c] + k.v[1] * shared.shift_y[c], image, weight));
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
  const int64_t capacity_r = a.nodes.rotations.cols, capacity_t = a.nodes.shifts.cols,
                left = a.images.rows * capacity_t - block.column0;
  const int rows = least(a.nodes.rotation_count[0] - block.row0, base_rows),
            columns = left < tile_columns ? static_cast<int>(left) : tile_columns;
  name_columns(shared, a, block.column0);
  if (rows > 0)
    for_width(columns, [&](auto width) { multiply_segment<decltype(width)::value>(shared, a, plan, block, rows); });
  float* scores = segment_scores(a, plan, block.segment);
  for (int row = warp_of(thread()); row < base_rows && block.row0 + row < capacity_r; row += Tile::threads / 32)
    for (int c = lane_of(thread()); c < columns; c += 32) {
      const int64_t image = shared.image[c], shift = shared.shift[c], r = block.row0 + row;
      float score = infinity;
      if (row < rows && shift < a.nodes.shift_count[0]) {
        score = -2 * shared.tile.sums[row][c];
        if (block.segment == 0)
          score += static_cast<float>(norms.image[image] + norms.slice(norms.slice.rows == 1 ? 0 : image, r));
      }
      scores[image * a.scores.cols + r * capacity_t + shift] = score;
    }
}

}  // namespace

void pose_score_base(Device& device, const PoseScore& a) {
  Queue& queue = queue_of(device);
  const int64_t images = a.images.rows, slices = a.slices.rows,
                weights = a.ctf.empty() ? std::min<int64_t>(1, images) : images;
  PosePlan plan = pose_plan<base_rows>(device, a, images * a.nodes.shifts.cols, 1);
  const int64_t doubles = images + weights * slices, parts = plan.segments > 1 ? plan.segments * a.scores.size() : 0;
  float* workspace = device.workspace(static_cast<size_t>(2 * doubles + parts));
  auto* at = reinterpret_cast<double*>(workspace);
  const BaseNorms norms{.image = at, .slice = {at + images, weights, slices}};
  if (plan.segments > 1) plan.parts = workspace + 2 * doubles;
  launch(queue, "pose_score: norms", warp_a_row((slices + 1) * ((images + norm_images - 1) / norm_images), 256),
         base_norms_kernel, a, norms);
  launch(queue, "pose_score: base",
         {.blocks = int64_t{plan.row_tiles} * plan.column_tiles * plan.segments,
          .threads = Tile::threads,
          .shared_bytes = sizeof(BaseShared)},
         pose_base_kernel, a, plan, norms);
  join_segments(device, a, plan);
}

}  // namespace recon::cuda
