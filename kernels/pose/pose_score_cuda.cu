// Scores of candidates whose slices belong to one image: a block an image for the 64 rotations × 72 shifts that 8
// survivors leave, more blocks for longer lists (rows and columns are cut into tiles) or few images (pixels are cut
// into segments). The band of the image, moved by every shift and weighted by its CTF, is made once, tile by tile, in
// shared memory, and never stands anywhere else.
//
// Floor, with the 3,208 pixels of D = 64: 14.8 M multiply-adds and 0.82 MB of slices an image, on an H100 0.5 µs of its
// fp32 units and 0.25 µs of its memory. Beside the products a block spends some 20 % on the moved images (29
// instructions a pair and shift, for 128 products) and 3 % on |gS|². Products of shifts past the count are left out by
// eights and pairs of eights. 76 KB of shared memory, two blocks a multiprocessor. Considered: tables of the phases by
// axis instead of one sine each (as many instructions in loads); the special function unit's sine (its error is twice
// that of the rest of the score); moved images in device memory (as many bytes as the slices); tensor cores (three
// products of split numbers for this accuracy, and the moved images would become the limit).
#include <limits>

#include "kernels/pose/pose_tile_cuda.h"

namespace recon::cuda {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// What a block does, apart from the kernel's arguments. In shared memory, to leave the registers to the products.
struct ListBlock {
  PoseBlock place;
  const float *image, *ctf, *slices;  ///< ctf may be null
  int rows, columns;                  ///< how many of its tile there are, may be negative
};

template <int Rows>
struct ListShared {
  using Tile = PoseTile<Rows>;
  Tile tile;
  ListBlock block;
  alignas(16) float weights[2][Tile::width];  ///< the CTF
  float shift_x[tile_columns], shift_y[tile_columns];
  double norms[Tile::groups][Rows], image_norms[Tile::pairs];  ///< |gS|² by group, |X|² by place: a thread each
  float offset[Rows];                                          ///< their sum
};

/// Makes the moved images of a pixel tile in columns 0 .. 8C and adds to |X|².
template <int Rows, int C>
RECON_DEVICE void move_image(ListShared<Rows>& shared, int buffer, const PoseScore& a, int first) {
  using Tile = PoseTile<Rows>;
  const int pair = thread() % Tile::pairs, p = first + 2 * pair;
  Lanes<2> image{{0, 0}}, weight{{1, 1}}, k{{0, 0}};
  if (p < a.pixels.size()) {
    const ListBlock& x = shared.block;
    image = {{x.image[p], x.image[p + 1]}};
    if (x.ctf) weight = {{x.ctf[p], x.ctf[p + 1]}};
    k = pair_frequency(a.pixels[p], a.side);
  }
  if (thread() < Tile::pairs) {
    store(&shared.weights[buffer][2 * pair], weight);
    shared.image_norms[pair] += image.v[0] * image.v[0] + image.v[1] * image.v[1];
  }
  constexpr int step = Tile::threads / Tile::pairs;
  RECON_UNROLL
  for (int c = thread() / Tile::pairs; c < thread_columns * C; c += step)
    store(&shared.tile.columns[buffer][c][2 * pair],
          shifted_pair(k.v[0] * shared.shift_x[c] + k.v[1] * shared.shift_y[c], image, weight));
}

/// norms += (gS)² of a row over this thread's pixels of a tile.
template <int Rows>
RECON_DEVICE void add_norm(ListShared<Rows>& shared, int buffer) {
  using Tile = PoseTile<Rows>;
  const int row = thread() % Rows, group = thread() / Rows, first = group * Tile::share;
  float sum = 0;
  for (int p = first; p < first + Tile::share; p += 4) {
    const Lanes<4> slice = load<4>(&shared.tile.slices[buffer][row][p]), weight = load<4>(&shared.weights[buffer][p]);
    RECON_UNROLL
    for (int j = 0; j < 4; ++j) sum += (weight.v[j] * slice.v[j]) * (weight.v[j] * slice.v[j]);
  }
  shared.norms[group][row] += sum;
}

/// Sums the norms up: offset[row] = |gS|² + |X|². Ends with a barrier.
template <int Rows>
RECON_DEVICE void collect_norms(ListShared<Rows>& shared) {
  using Tile = PoseTile<Rows>;
  if (thread() < Rows) {
    double sum = 0;
    for (int pair = 0; pair < Tile::pairs; ++pair) sum += shared.image_norms[pair];
    for (int group = 0; group < Tile::groups; ++group) sum += shared.norms[group][thread()];
    shared.offset[thread()] = static_cast<float>(sum);
  }
  __syncthreads();
}

/// Products and norms of a block's candidates into tile.sums and offset.
template <int Rows, int C>
RECON_DEVICE void score_tile(ListShared<Rows>& shared, const PoseScore& a, const PosePlan& plan) {
  using Tile = PoseTile<Rows>;
  float sums[thread_rows][C] = {};
  walk_tiles(
      shared.block.place,
      [&](int tile, int buffer) {
        load_slices(shared.tile, buffer, shared.block.slices, shared.block.rows, static_cast<int>(a.pixels.size()),
                    tile * Tile::width, plan.aligned);
      },
      [&](int tile, int buffer) { move_image<Rows, C>(shared, buffer, a, tile * Tile::width); },
      [&](int buffer) {
        multiply(shared.tile, buffer, sums);
        add_norm(shared, buffer);
      });
  collect(shared.tile, sums);
  collect_norms(shared);
}

/// Sets the block up: its shifts in pixels, no norms yet. Ends with a barrier.
template <int Rows>
RECON_DEVICE void begin(ListShared<Rows>& shared, const PoseScore& a, const PosePlan& plan) {
  using Tile = PoseTile<Rows>;
  const PoseBlock place = pose_block(plan, Rows);
  const int list = a.nodes.shared ? 0 : place.image, columns = a.nodes.shift_count[list] - place.column0;
  for (int c = thread(); c < tile_columns; c += Tile::threads) {
    const ShiftNode node = c < columns ? a.nodes.shifts(list, place.column0 + c) : ShiftNode{};
    shared.shift_x[c] = static_cast<float>(node.x) * a.shift_unit_px;
    shared.shift_y[c] = static_cast<float>(node.y) * a.shift_unit_px;
  }
  shared.norms[thread() / Rows][thread() % Rows] = 0;
  if (thread() < Tile::pairs) shared.image_norms[thread()] = 0;
  if (thread() == 0)
    shared.block = {.place = place,
                    .image = a.images.row(place.image),
                    .ctf = a.ctf.empty() ? nullptr : a.ctf.row(place.image),
                    .slices = a.slices.row(place.image * a.nodes.rotations.cols + place.row0),
                    .rows = least(a.nodes.rotation_count[list] - place.row0, Rows),
                    .columns = least(columns, tile_columns)};
  __syncthreads();
}

template <int Rows>
RECON_KERNEL(POSE_TILE_BOUNDS)
pose_score_kernel(PoseScore a, PosePlan plan) {
  using Tile = PoseTile<Rows>;
  auto& shared = shared_memory<ListShared<Rows>>();
  const ListBlock& block = shared.block;
  begin(shared, a, plan);
  if (block.rows > 0 && block.columns > 0)
    for_width(block.columns, [&](auto width) { score_tile<Rows, decltype(width)::value>(shared, a, plan); });
  const int64_t capacity_r = a.nodes.rotations.cols, capacity_t = a.nodes.shifts.cols;
  float* scores =
      segment_scores(a, plan, block.place.segment) + block.place.image * a.scores.cols + block.place.column0;
  for (int row = warp_of(thread()); row < Rows && block.place.row0 + row < capacity_r; row += Tile::threads / 32)
    for (int c = lane_of(thread()); c < tile_columns && block.place.column0 + c < capacity_t; c += 32)
      scores[(block.place.row0 + row) * capacity_t + c] =
          row < block.rows && c < block.columns ? shared.offset[row] - 2 * shared.tile.sums[row][c] : infinity;
}

// Reads the parts and writes the scores once: a tenth of the slices' bytes.
RECON_KERNEL(256) join_segments_kernel(PoseScore a, PosePlan plan) {
  for (int64_t i = grid_thread(); i < a.scores.size(); i += grid_threads()) {
    float sum = plan.parts[i];
    for (int segment = 1; segment < plan.segments; ++segment) sum += plan.parts[segment * a.scores.size() + i];
    a.scores[i] = sum;
  }
}

template <int Rows>
void score_lists(Device& device, const PoseScore& a) {
  PosePlan plan = pose_plan(device, a, PoseTile<Rows>::sizes, a.nodes.shifts.cols, a.images.rows);
  if (plan.segments > 1) plan.parts = device.workspace(static_cast<size_t>(plan.segments * a.scores.size()));
  launch(queue_of(device), "pose_score",
         {.blocks = int64_t{plan.row_tiles} * plan.column_tiles * plan.segments * a.images.rows,
          .threads = PoseTile<Rows>::threads,
          .shared_bytes = sizeof(ListShared<Rows>)},
         pose_score_kernel<Rows>, a, plan);
  join_segments(device, a, plan);
}

}  // namespace

void join_segments(Device& device, const PoseScore& a, const PosePlan& plan) {
  if (plan.segments > 1)
    launch(queue_of(device), "pose_score: segments", covering(a.scores.size()), join_segments_kernel, a, plan);
}

void pose_score_lists(Device& device, const PoseScore& a) {
  if (a.nodes.rotations.cols > 128)
    score_lists<192>(device, a);
  else
    score_lists<64>(device, a);
}

void pose_score(Device& device, const PoseScore& a) {
  if (!a.slices_shared)
    pose_score_lists(device, a);
  else if (!sixteen_bits(a.precision))
    pose_score_base(device, a);
  else
    pose_score_base_tensor(device, a);
}

}  // namespace recon::cuda
