// Scores of the base grid with operands of 16 bits: the product of pose_base_cuda.cu on tensor cores.
//
// Why 16 bits are enough. Rounding to u = 2⁻⁸ (bf16) or 2⁻¹¹ (fp16) changes a factor by 0.42 u of itself on average, so
// a product of two by 0.6 u, differently at every pixel. The score, −2 Σ S·gX' and norms in fp32, so changes by
// 2 · 0.6 u · √Σ(S·gX')². Where noise σ is most of X that is 0.6 u · 2σ|gS|, some 2⁻⁹ (2⁻¹²) of how far the noise
// itself moves the score, which no search escapes. The base level chooses survivors among candidates 30° apart, and
// those are scored again in fp32 (pose_tensor_test.cpp: at SNR 0.1 the best one in fp32 is among them for all of 100
// images).
//
// fp16 ends at 65,504 and is coarse below 2⁻¹⁴, so slices and images are divided by a power of two near their norms
// first (units), which is exact and makes sums of the size of 1. Units do bf16 no harm.
//
// A kernel rounds the slices once, in rows padded with zeros to whole tiles. Blocks take 192 rotations × 96 columns, 64
// pixels at a time: slices arrive by asynchronous copies in one buffer while the other is multiplied, moved images are
// made in between, a warp a column, an image read anew only where it changes. 8 warps of 48 × 48 hold 72 sums a thread.
// Rows lie 9 · 16 bytes apart: the 8 rows of a matrix take all banks once, and so do a warp's moved pairs.
//
// Floor, 576 × 49 candidates at 440 pixels, on an H100: 12.4 M multiply-adds, 0.042 µs an image at the rate of
// mma.sync; scores, 113 KB, 0.034 µs of its memory; slices, 0.5 MB for 96 columns, 0.05 µs of L2. A tile of 64 pixels
// takes 920 clocks of the tensor cores, 1,060 of shared memory (768 for operands, 190 slices, 100 columns) and 700 of
// the issue slots, a third of that to move images. So limits stand close together, and two blocks a multiprocessor (85
// KB each; an A100 holds one) overlap them. Considered: 4 warps of 96 × 48 (a quarter less of shared memory, half the
// warps to hide latency); columns of the whole band kept for all slices (moved once instead of three times, but 150 KB
// and one block, and no bands beyond); wgmma, whose operands stay in shared memory (sm_90a only).
#include <bit>

#include "kernels/device/mma.h"
#include "kernels/pose/pose_base_cuda.h"

namespace recon::cuda {
namespace {

constexpr int rows_a_tile = 192, columns_a_tile = 96, width = 64, stride = width / 2 + 4, threads = 256,
              warps = threads / 32;
constexpr int warp_rows = 48, warp_columns = 48, row_blocks = warp_rows / 16, column_blocks_a_warp = warp_columns / 8;
static_assert(rows_a_tile / warp_rows * (columns_a_tile / warp_columns) == warps);
constexpr PoseSizes sizes{.rows = rows_a_tile, .columns = columns_a_tile, .width = width};

/// Slices as operands, and what both are divided by.
struct BaseOperands {
  uint32_t* slices = nullptr;  ///< [R, words], two pixels a word, 0 past the last
  int64_t words = 0;
  float* slice_unit = nullptr;   ///< [R]
  float* image_scale = nullptr;  ///< [B], one by the unit
};

struct TensorShared {
  union {
    alignas(16) uint32_t slices[2][rows_a_tile][stride];  ///< two pixels a word
    float sums[warps][16][warp_columns + 8];  ///< once the slices are done with; no conflicts among the lanes' pairs
  };
  alignas(16) uint32_t columns[2][columns_a_tile][stride];
  BaseColumn names[columns_a_tile];
};

/// The exponent of a norm, from its square; something that floats hold for norms that they do not.
RECON_DEVICE int norm_exponent(float square) {
  return (static_cast<int>(std::bit_cast<uint32_t>(square) >> 23) - 127) >> 1;
}
RECON_DEVICE float power_of_two(int exponent) {
  return std::bit_cast<float>(static_cast<uint32_t>(127 + exponent) << 23);
}

// A warp a slice, then a warp an image: reads them once from memory and once from L1.
template <class Half>
RECON_KERNEL(256)
base_operands_kernel(PoseScore a, BaseOperands out) {
  const int64_t slices = a.slices.rows, row = warp_row(), pixels = a.pixels.size();
  const int lane = lane_of(thread());
  if (row >= slices + a.images.rows) return;
  float sum = 0;
  if (row >= slices) {  // moving an image turns its pairs, and weights stretch them
    const auto image = static_cast<int32_t>(row - slices);
    for (int p = 2 * lane; p < pixels; p += 64) {
      const ColumnPair at = column_pair(a, image, p);
      sum += (at.image.v[0] * at.image.v[0] + at.image.v[1] * at.image.v[1]) *
             (at.weight.v[0] * at.weight.v[0] + at.weight.v[1] * at.weight.v[1]);
    }
    const int exponent = norm_exponent(warp_sum(sum));
    if (lane == 0) out.image_scale[image] = power_of_two(-exponent);
    return;
  }
  const float* slice = a.slices.row(row);
  for (int64_t p = lane; p < pixels; p += 32) sum += slice[p] * slice[p];
  const int exponent = norm_exponent(warp_sum(sum));
  if (lane == 0) out.slice_unit[row] = power_of_two(exponent);
  const float scale = power_of_two(-exponent);
  for (int64_t word = lane; word < out.words; word += 32) {
    const int64_t p = 2 * word;
    out.slices[row * out.words + word] = p < pixels ? pack<Half>(scale * slice[p], scale * slice[p + 1]) : 0;
  }
}

/// Starts the copies of a pixel tile of `rows` slices. Rows past `rows` stay as they are: they meet nothing but results
/// that are not used.
RECON_DEVICE void load_slices(TensorShared& shared, int buffer, const BaseOperands& operands, int row0, int rows,
                              int tile) {
  constexpr int pieces = width / 8;
  for (int i = thread(); i < rows * pieces; i += threads) {
    const int row = i / pieces, at = i % pieces;
    copy_async_16(&shared.slices[buffer][row][4 * at],
                  operands.slices + (row0 + row) * operands.words + tile * (width / 2) + 4 * at);
  }
  commit_copies();
}

/// Makes the columns of a pixel tile: a lane a pair, a warp 12 columns.
template <class Half>
RECON_DEVICE void move_images(TensorShared& shared, int buffer, const PoseScore& a, const float* image_scale,
                              int first) {
  constexpr int share = columns_a_tile / warps;
  const int pair = lane_of(thread()), p = first + 2 * pair, column0 = warp_of(thread()) * share;
  const Lanes<2> k = pair_frequency(p < a.pixels.size() ? a.pixels[p] : Pixel{}, a.side);
  ColumnPair at;
  int32_t image = -1;
  RECON_NO_UNROLL
  for (int c = column0; c < column0 + share; ++c) {
    const BaseColumn column = shared.names[c];
    if (column.image != image) {
      image = column.image;
      at = column_pair(a, image, p);
      const float scale = image < 0 ? 0.0f : image_scale[image];
      at.weight.v[0] *= scale, at.weight.v[1] *= scale;
    }
    float sine, cosine;
    sincos_turns_fast(k.v[0] * column.shift_x + k.v[1] * column.shift_y, sine, cosine);
    const Lanes<2> moved = turned_pair(sine, cosine, at.image, at.weight);
    shared.columns[buffer][c][pair] = pack<Half>(moved.v[0], moved.v[1]);
  }
}

using WarpSums = float[row_blocks][column_blocks_a_warp][4];

/// sums += the warp's slices · its columns over a pixel tile.
template <class Half>
RECON_DEVICE void multiply(const TensorShared& shared, int buffer, int row0, int column0, WarpSums& sums) {
  const int lane = lane_of(thread());
  const uint32_t* slice = &shared.slices[buffer][row0 + lane % 16][lane / 16 * 4];
  const uint32_t* column = &shared.columns[buffer][column0 + lane / 16 * 8 + lane % 8][lane / 8 % 2 * 4];
  RECON_UNROLL
  for (int k = 0; k < width / 2; k += 8) {  // in words
    uint32_t left[row_blocks][4];
    RECON_UNROLL
    for (int i = 0; i < row_blocks; ++i) load_matrices<false>(left[i], slice + 16 * i * stride + k);
    RECON_UNROLL
    for (int j = 0; j < column_blocks_a_warp; j += 2) {
      uint32_t right[4];
      load_matrices<false>(right, column + 8 * j * stride + k);
      RECON_UNROLL
      for (int i = 0; i < row_blocks; ++i) {
        mma<Half>(sums[i][j], left[i], right[0], right[1]);
        mma<Half>(sums[i][j + 1], left[i], right[2], right[3]);
      }
    }
  }
}

/// Writes the scores of a warp's 16 rows, whose sums stand in shared memory: its first 32 columns row by row, the other
/// 16 in two rows at once, so that all lanes write.
struct ScoreWriter {
  const float (&sums)[16][warp_columns + 8];
  const float* slice_unit;
  int row0, end;  ///< slices of the capacity

  RECON_DEVICE void write(const ColumnScores& scores, float scale, int column, int first, int step) const {
    const float factor = -2 / scale;
    for (int row = first; row < 16 && row0 + row < end; row += step)
      scores.put(row0 + row, factor * slice_unit[row0 + row] * sums[row][column]);
  }
};

#define TENSOR_BOUNDS threads, 2  // blocks a multiprocessor
template <class Half>
RECON_KERNEL(TENSOR_BOUNDS)
pose_base_tensor_kernel(PoseScore a, PosePlan plan, BaseNorms norms, BaseOperands operands) {
  auto& shared = shared_memory<TensorShared>();
  const PoseBlock block = pose_block(plan, rows_a_tile, columns_a_tile);
  const int64_t left = a.images.rows * a.nodes.shifts.cols - block.column0;
  const int rows = least(a.nodes.rotation_count[0] - block.row0, rows_a_tile),
            columns = left < columns_a_tile ? static_cast<int>(left) : columns_a_tile;
  const int warp = warp_of(thread()), lane = lane_of(thread()), row0 = warp / 2 * warp_rows,
            column0 = warp % 2 * warp_columns;
  name_columns(shared.names, a, block.column0);
  WarpSums sums = {};
  if (rows > 0)
    walk_tiles(
        block, [&](int tile, int buffer) { load_slices(shared, buffer, operands, block.row0, rows, tile); },
        [&](int tile, int buffer) { move_images<Half>(shared, buffer, a, operands.image_scale, tile * width); },
        [&](int buffer) {
          if (row0 < rows && column0 < columns) multiply<Half>(shared, buffer, row0, column0, sums);
        });
  __syncthreads();  // the slices are done with
  auto& staged = shared.sums[warp];
  const int first = column0 + lane, second = column0 + 32 + lane % 16;
  RECON_UNROLL
  for (int i = 0; i < row_blocks; ++i) {
    __syncwarp();
    RECON_UNROLL
    for (int j = 0; j < column_blocks_a_warp; ++j) {
      float* to = &staged[lane / 4][8 * j + 2 * (lane % 4)];
      store(to, Lanes<2>{{sums[i][j][0], sums[i][j][1]}});
      store(to + 8 * (warp_columns + 8), Lanes<2>{{sums[i][j][2], sums[i][j][3]}});
    }
    __syncwarp();
    const ScoreWriter writer{staged, operands.slice_unit, block.row0 + row0 + 16 * i,
                             static_cast<int>(a.nodes.rotations.cols)};
    for (int turn = 0; turn < 2; ++turn) {
      const int c = turn == 0 ? first : second;
      if (c >= columns) continue;
      const BaseColumn& column = shared.names[c];
      writer.write(ColumnScores(a, plan, norms, block.segment, column), operands.image_scale[column.image], c - column0,
                   turn == 0 ? 0 : lane / 16, turn == 0 ? 1 : 2);
    }
  }
}

template <class Half>
void score(Device& device, const PoseScore& a, const PosePlan& plan, const BaseNorms& norms,
           const BaseOperands& operands) {
  Queue& queue = queue_of(device);
  launch(queue, "pose_score: operands", warp_a_row(a.slices.rows + a.images.rows, 256), base_operands_kernel<Half>, a,
         operands);
  launch(queue, "pose_score: base, tensor cores",
         {.blocks = int64_t{plan.row_tiles} * plan.column_tiles * plan.segments,
          .threads = threads,
          .shared_bytes = sizeof(TensorShared)},
         pose_base_tensor_kernel<Half>, a, plan, norms, operands);
}

}  // namespace

void pose_score_base_tensor(Device& device, const PoseScore& a) {
  PosePlan plan = pose_plan(device, a, sizes, a.images.rows * a.nodes.shifts.cols, 1);
  const int64_t slices = a.slices.rows, words = int64_t{plan.pixel_tiles} * (width / 2),
                norm_floats = 2 * base_norm_count(a), parts = plan.segments > 1 ? plan.segments * a.scores.size() : 0;
  // Operands first: they are read 16 bytes at a time, and norms 8.
  float* workspace =
      device.workspace(static_cast<size_t>(slices * words + norm_floats + slices + a.images.rows + parts));
  float* at = workspace + slices * words;
  const BaseNorms norms = base_norms_at(reinterpret_cast<double*>(at), a);
  at += norm_floats;
  const BaseOperands operands{
      .slices = reinterpret_cast<uint32_t*>(workspace), .words = words, .slice_unit = at, .image_scale = at + slices};
  if (plan.segments > 1) plan.parts = at + slices + a.images.rows;
  make_base_norms(device, a, norms);
  if (a.precision == Precision::fp16)
    score<fp16>(device, a, plan, norms, operands);
  else
    score<bf16>(device, a, plan, norms, operands);
  join_segments(device, a, plan);
}

}  // namespace recon::cuda
