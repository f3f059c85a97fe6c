#pragma once
// What both scoring kernels are made of: a block's tile of Rows slices × 72 columns, where a column is the image moved
// by one shift and weighted by the CTF. A tile of pixels of all of them stands in shared memory while the next one is
// on its way; the Rows × 72 products stay in registers, 8 × 9 a thread.
//
// Per 4 pixels a thread loads 8 + 9 vectors of 16 bytes for 288 fused multiply-adds. Rows lie 4·odd floats apart, so
// the eight columns of a quarter warp take all banks once, and its one row is read by all: no conflicts. Where every
// vector takes the four cycles of its 512 bytes, loads keep shared memory busy for 272 of the 288 cycles that the
// products of four schedulers need, so the two limits are near each other: larger tiles a thread (16 × 9) would part
// them, for one block a multiprocessor.
#include <algorithm>

#include "kernels/cuda.h"
#include "kernels/device/copy.h"
#include "kernels/device/pointwise.h"
#include "kernels/device/sincos.h"
#include "kernels/pose/pose.h"

namespace recon::cuda {

constexpr int tile_columns = 72, thread_rows = 8, thread_columns = 8;  // a thread takes every 8th column

/// The sizes of a tile; `groups` of threads share its pixels.
struct PoseSizes {
  int rows = 0, columns = tile_columns, width = 0, groups = 1;
};

/// 64 rows are the children of 8 survivors: four groups of threads share their pixels. 192 rows, a third of the base
/// grid, make the columns, which are the same work for any number of rows, cheaper by a third.
template <int Rows>
struct PoseTile {
  static constexpr int groups = Rows == 64 ? 4 : 1, share = Rows == 64 ? 16 : 32;  // pixels of a group
  static constexpr int width = groups * share, pairs = width / 2, stride = width + 4, threads = Rows * groups;
  static constexpr PoseSizes sizes{.rows = Rows, .width = width, .groups = groups};
  static_assert(stride / 4 % 2 == 1 && Rows * tile_columns <= 2 * Rows * stride);

  union {
    alignas(16) float slices[2][Rows][stride];
    float sums[Rows][tile_columns];  ///< once the slices are done with
  };
  alignas(16) float columns[2][tile_columns][stride];
};

/// Of kernels over a tile: two blocks share a multiprocessor, so that one computes while the other waits.
#define POSE_TILE_BOUNDS PoseTile<Rows>::threads, 2

/// How pose_score is cut into blocks. A segment is a part of the pixels: its scores go to `parts` [segments][B][R·T]
/// and are summed in order afterwards. There are as many as fill the device, and as keep every running sum below 2,048
/// products: beyond, its rounding would show.
struct PosePlan {
  int row_tiles = 0, column_tiles = 0, pixel_tiles = 0, segments = 1;
  bool aligned = false;  ///< slices may be read 16 bytes at a time
  float* parts = nullptr;
};

inline int tiles_of(int64_t count, int size) { return static_cast<int>((count + size - 1) / size); }

/// For tiles of some sizes; `columns` stand in a row, which every one of `lists` has for itself.
inline PosePlan pose_plan(Device& device, const PoseScore& a, const PoseSizes& tile, int64_t columns, int64_t lists) {
  const int64_t pixels = a.pixels.size();
  PosePlan plan{.row_tiles = tiles_of(a.nodes.rotations.cols, tile.rows),
                .column_tiles = tiles_of(columns, tile.columns),
                .pixel_tiles = tiles_of(pixels, tile.width),
                .aligned = pixels % 4 == 0 && misplaced(a.slices.data, 4) == 0};
  const int64_t blocks = std::max<int64_t>(1, plan.row_tiles * plan.column_tiles * lists),
                places = 2 * int64_t{queue_of(device).multiprocessors()};
  const int filling = tiles_of(places, static_cast<int>(std::min(blocks, places))),
            exact = tiles_of(pixels, 2048 * tile.groups), most = std::max(1, plan.pixel_tiles / 2);
  plan.segments = std::max(1, std::min(most, std::max(filling, exact)));
  return plan;
}

/// What a block works on: its number, decoded. Indices of an image's candidates fit 32 bits by PoseKept's contract, and
/// so do those of the columns.
struct PoseBlock {
  int row0 = 0, column0 = 0, image = 0, segment = 0, first_tile = 0, last_tile = 0;
};
RECON_DEVICE PoseBlock pose_block(const PosePlan& plan, int rows, int columns = tile_columns) {
  PoseBlock block;
  auto number = static_cast<int>(blockIdx.x);
  block.row0 = number % plan.row_tiles * rows, number /= plan.row_tiles;
  block.column0 = number % plan.column_tiles * columns, number /= plan.column_tiles;
  block.segment = number % plan.segments, block.image = number / plan.segments;
  block.first_tile = static_cast<int>(int64_t{block.segment} * plan.pixel_tiles / plan.segments);
  block.last_tile = static_cast<int>((int64_t{block.segment} + 1) * plan.pixel_tiles / plan.segments);
  return block;
}

/// std::min takes addresses, which constants of the host do not have on the device.
RECON_DEVICE int least(int a, int b) { return a < b ? a : b; }

/// Where a segment's scores go.
RECON_DEVICE float* segment_scores(const PoseScore& a, const PosePlan& plan, int segment) {
  return plan.parts ? plan.parts + segment * a.scores.size() : a.scores.data;
}

/// Starts the copies of a pixel tile of `rows` slices that stand `pixels` apart; zeros past the last pixel. Rows past
/// `rows` stay as they are: they meet nothing but results that are not used.
template <int Rows>
RECON_DEVICE void load_slices(PoseTile<Rows>& tile, int buffer, const float* slices, int rows, int pixels, int first,
                              bool aligned) {
  using Tile = PoseTile<Rows>;
  constexpr int quads = Tile::width / 4;
  for (int i = thread(); i < rows * quads; i += Tile::threads) {
    const int row = i / quads, at = 4 * (i % quads);
    const float* from = slices + int64_t{row} * pixels + first + at;
    float* to = &tile.slices[buffer][row][at];
    if (aligned && first + at < pixels) {
      copy_async(to, from);
    } else {
      RECON_UNROLL
      for (int j = 0; j < 4; ++j) to[j] = first + at + j < pixels ? from[j] : 0.0f;
    }
  }
  commit_copies();
}

/// g(k) [S(t)X](k) of a pair: with a = X(k), b = X(−k) and φ = 2π k·t/D, (c a + s b, c b − s a).
RECON_DEVICE Lanes<2> turned_pair(float sine, float cosine, const Lanes<2>& image, const Lanes<2>& weight) {
  return {{weight.v[0] * (cosine * image.v[0] + sine * image.v[1]),
           weight.v[1] * (cosine * image.v[1] - sine * image.v[0])}};
}
RECON_DEVICE Lanes<2> shifted_pair(float turns, const Lanes<2>& image, const Lanes<2>& weight) {
  float sine, cosine;
  sincos_turns_direct(turns, sine, cosine);
  return turned_pair(sine, cosine, image, weight);
}

/// The frequency of the pair at `pixel`, in cycles a pixel.
RECON_DEVICE Lanes<2> pair_frequency(const Pixel& pixel, int side) {
  const float step = 1.0f / static_cast<float>(side);
  return {{static_cast<float>(pixel.x) * step, static_cast<float>(pixel.y) * step}};
}

/// sums[i][c] += Σ over this thread's pixels of slice(row + i·Rows/8) · column(column + 8c).
template <int Rows, int C>
RECON_DEVICE void multiply(const PoseTile<Rows>& tile, int buffer, float (&sums)[thread_rows][C]) {
  using Tile = PoseTile<Rows>;
  const int member = thread() % Rows, row = member / 8, column = member % 8, first = thread() / Rows * Tile::share;
  for (int p = first; p < first + Tile::share; p += 4) {
    Lanes<4> slice[thread_rows];
    RECON_UNROLL
    for (int i = 0; i < thread_rows; ++i) slice[i] = load<4>(&tile.slices[buffer][row + i * (Rows / 8)][p]);
    RECON_UNROLL
    for (int c = 0; c < C; ++c) {
      const Lanes<4> shifted = load<4>(&tile.columns[buffer][column + thread_columns * c][p]);
      RECON_UNROLL
      for (int j = 0; j < 4; ++j) {
        RECON_UNROLL
        for (int i = 0; i < thread_rows; ++i) sums[i][c] += slice[i].v[j] * shifted.v[j];
      }
    }
  }
}

/// Walks a segment's pixel tiles through the two buffers: fetch(tile, buffer) starts the copies of the slices while
/// use(buffer) works on the tile before, and make(tile, buffer) fills in the columns.
template <class Fetch, class Make, class Use>
RECON_DEVICE void walk_tiles(const PoseBlock& block, const Fetch& fetch, const Make& make, const Use& use) {
  int buffer = 0;
  if (block.first_tile < block.last_tile) {
    fetch(block.first_tile, 0);
    make(block.first_tile, 0);
  }
  for (int tile = block.first_tile; tile < block.last_tile; ++tile, buffer ^= 1) {
    wait_copies<0>();
    __syncthreads();  // this tile is here, and all are done with the other buffer
    if (tile + 1 < block.last_tile) fetch(tile + 1, buffer ^ 1);
    use(buffer);
    if (tile + 1 < block.last_tile) make(tile + 1, buffer ^ 1);
  }
}

/// Adds the groups' products up in tile.sums, in order. Ends with a barrier.
template <int Rows, int C>
RECON_DEVICE void collect(PoseTile<Rows>& tile, const float (&sums)[thread_rows][C]) {
  const int group = thread() / Rows, member = thread() % Rows, row = member / 8, column = member % 8;
  __syncthreads();  // the slices are done with
  for (int turn = 0; turn < PoseTile<Rows>::groups; ++turn) {
    if (group == turn) {
      RECON_UNROLL
      for (int i = 0; i < thread_rows; ++i) {
        RECON_UNROLL
        for (int c = 0; c < C; ++c) {
          float& sum = tile.sums[row + i * (Rows / 8)][column + thread_columns * c];
          sum = turn == 0 ? sums[i][c] : sum + sums[i][c];
        }
      }
    }
    __syncthreads();
  }
}

/// Calls body(C) with the least constant of 1, 3, 5, 7, 9 that holds `columns` in 8·C.
template <class Body>
RECON_DEVICE void for_width(int columns, const Body& body) {
  if (columns <= 8) return body(std::integral_constant<int, 1>{});
  if (columns <= 24) return body(std::integral_constant<int, 3>{});
  if (columns <= 40) return body(std::integral_constant<int, 5>{});
  if (columns <= 56) return body(std::integral_constant<int, 7>{});
  body(std::integral_constant<int, 9>{});
}

/// The scoring paths behind pose_score: lists or slices of each image, and one set of slices for all, in fp32 or with
/// operands of 16 bits.
void pose_score_lists(Device& device, const PoseScore& args);
void pose_score_base(Device& device, const PoseScore& args);
void pose_score_base_tensor(Device& device, const PoseScore& args);
/// scores = Σ of the segments' parts.
void join_segments(Device& device, const PoseScore& args, const PosePlan& plan);

}  // namespace recon::cuda
