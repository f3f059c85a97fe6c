// The best candidates of each image, a block an image. A candidate is one number: its score's bits in the order of
// scores, then its index, so that ties go to the lower index and no two are equal. The K-th of them is found by
// narrowing an interval: its numbers are counted in as many equal parts as the block has threads, and the part where
// the count passes K is the next interval. Two or three passes do, one for each 7 or 9 bits at worst; what lies below
// is collected and ranked.
//
// Floor: the scores are read once from memory (18 KB for the children of 8 survivors, 113 KB on the base grid) and a
// few times from L1 or L2; a pass over the base grid is some 60 loads a thread. With `per_rotation` the rows' bests are
// made first and all passes run over those. Everything is compared as integers: the order of threads leaves no trace.
// Considered: K searches for the least (as many passes as K), sorting (moves all to keep few).
#include <bit>
#include <limits>

#include "kernels/cuda.h"
#include "kernels/device/dialect.h"
#include "kernels/pose/pose.h"

namespace recon::cuda {
namespace {

constexpr int most_threads = 512, most_warps = most_threads / 32;
constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr uint64_t no_key = ~uint64_t{0};

/// Blocks are small where there is little to look at: a power of two, because a thread counts a part.
int threads_for(int64_t candidates) { return candidates <= 1024 ? 128 : most_threads; }
RECON_DEVICE int threads() { return static_cast<int>(blockDim.x); }

/// A score's bits in its order, −0 as 0.
RECON_DEVICE uint32_t ordered_bits(float score) {
  const auto bits = std::bit_cast<uint32_t>(score + 0.0f);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

/// What orders candidates by (score, index); infinite scores and NaN are no candidates.
struct KeyFormat {
  int index_bits = 0;

  RECON_DEVICE uint64_t key(float score, int64_t index) const {
    return score < infinity ? uint64_t{ordered_bits(score)} << index_bits | static_cast<uint64_t>(index) : no_key;
  }
  /// All keys with a score below `bound` are below this; 0 for NaN.
  RECON_DEVICE uint64_t limit(float bound) const {
    return bound <= infinity ? uint64_t{ordered_bits(bound)} << index_bits : 0;
  }
  RECON_DEVICE int64_t index(uint64_t key) const {
    return key == no_key ? 0 : static_cast<int64_t>(key & ((uint64_t{1} << index_bits) - 1));
  }
};
KeyFormat key_format(int64_t candidates) {
  const auto highest = static_cast<uint64_t>(candidates > 0 ? candidates - 1 : 0);
  return {.index_bits = static_cast<int>(std::bit_width(highest))};
}

/// join over all threads, the same in all; `join` must not mind the order. Ends with a barrier.
template <class T, class Join>
RECON_DEVICE T block_join(T value, T* scratch, const Join& join) {
  RECON_UNROLL
  for (int step = 16; step > 0; step >>= 1) value = join(value, __shfl_xor_sync(all_lanes, value, step));
  if (lane_of(thread()) == 0) scratch[warp_of(thread())] = value;
  __syncthreads();
  value = scratch[0];
  for (int warp = 1; warp < threads() / 32; ++warp) value = join(value, scratch[warp]);
  __syncthreads();
  return value;
}

RECON_DEVICE uint64_t lower(uint64_t a, uint64_t b) { return a < b ? a : b; }
RECON_DEVICE uint64_t higher(uint64_t a, uint64_t b) { return a > b ? a : b; }

struct BestShared {
  uint64_t scratch[most_warps];
};

RECON_KERNEL(most_threads) pose_best_kernel(PoseBest a, KeyFormat format) {
  auto& shared = shared_memory<BestShared>();
  const int64_t b = blockIdx.x, list = a.nodes.shared ? 0 : b, capacity_t = a.nodes.shifts.cols;
  const float* scores = a.scores.row(b);
  uint64_t best = no_key;
  for (int64_t i = thread(); i < a.scores.cols; i += threads()) best = lower(best, format.key(scores[i], i));
  best = block_join(best, shared.scratch, lower);
  const int64_t index = format.index(best);
  if (thread() < 9)
    a.matrices(b, thread()) = a.nodes.matrices(list * a.nodes.rotations.cols + index / capacity_t, thread());
  if (thread() == 0) {
    const ShiftNode shift = a.nodes.shifts(list, index % capacity_t);
    a.shifts(b, 0) = static_cast<float>(shift.x) * a.shift_unit_px;
    a.shifts(b, 1) = static_cast<float>(shift.y) * a.shift_unit_px;
    a.best[b] = scores[index];
  }
}

/// The candidates of a block's image: all, or with `per_rotation` the best of each row, which stand in `rows`.
struct Candidates {
  const float* scores = nullptr;
  KeyFormat format;
  int64_t capacity_t = 0, count = 0;  ///< of numbers for key()
  int shifts = 0;
  uint64_t limit = 0;  ///< of those below the bound
  const uint64_t* rows = nullptr;

  /// Of candidate i, if it lies below the bound.
  RECON_DEVICE uint64_t key(int64_t i) const {
    if (rows) return rows[i];
    if (i % capacity_t >= shifts) return no_key;
    const uint64_t key = format.key(scores[i], i);
    return key < limit ? key : no_key;
  }
};

/// What one look at all candidates tells.
struct Survey {
  int below = 0;
  uint64_t best = no_key, last = 0;  ///< of all; the highest of those below the bound
  RECON_DEVICE void add(uint64_t key, uint64_t limit) {
    best = lower(best, key);
    if (key >= limit) return;
    ++below;
    last = higher(last, key);
  }
};

struct SelectShared {
  uint64_t scratch[most_warps];
  int sums[most_warps], parts[most_threads], part, before, inside, collected;
};

/// Looks at all candidates; with `rows` writes each row's best there, if it lies below the bound.
RECON_DEVICE Survey survey(SelectShared& shared, const Candidates& all, int rotations, uint64_t* rows) {
  Survey found;
  if (rows) {
    for (int r = warp_of(thread()); r < rotations; r += threads() / 32) {
      uint64_t best = no_key;
      for (int t = lane_of(thread()); t < all.shifts; t += 32) {
        const int64_t i = r * all.capacity_t + t;
        best = lower(best, all.format.key(all.scores[i], i));
      }
      RECON_UNROLL
      for (int step = 16; step > 0; step >>= 1) best = lower(best, __shfl_xor_sync(all_lanes, best, step));
      if (lane_of(thread()) != 0) continue;
      found.add(best, all.limit);
      rows[r] = best < all.limit ? best : no_key;
    }
  } else {
    for (int64_t i = thread(); i < all.count; i += threads())
      if (i % all.capacity_t < all.shifts) found.add(all.format.key(all.scores[i], i), all.limit);
  }
  found.below = block_join(found.below, shared.sums, [](int a, int b) { return a + b; });
  found.best = block_join(found.best, shared.scratch, lower);
  found.last = block_join(found.last, shared.scratch, higher);
  return found;  // and the rows are there for all threads
}

/// Finds the part where the running count passes `wanted`, and what is counted before it and in it. Ends with a
/// barrier.
RECON_DEVICE void find_part(SelectShared& shared, int wanted) {
  const int mine = shared.parts[thread()], lane = lane_of(thread()), warp = warp_of(thread());
  int upto = mine;
  RECON_UNROLL
  for (int step = 1; step < 32; step <<= 1) {
    const int other = __shfl_sync(all_lanes, upto, lane >= step ? lane - step : lane);
    if (lane >= step) upto += other;
  }
  if (lane == 31) shared.sums[warp] = upto;
  __syncthreads();
  for (int w = 0; w < warp; ++w) upto += shared.sums[w];
  if (upto >= wanted && upto - mine < wanted) {  // one thread
    shared.part = thread();
    shared.before = upto - mine;
    shared.inside = mine;
  }
  __syncthreads();
}

/// The highest of the `wanted` lowest keys between `low` and `high`, which hold more than that; or any number from
/// there up to the next key.
RECON_DEVICE uint64_t last_kept(SelectShared& shared, const Candidates& all, uint64_t low, uint64_t high, int wanted) {
  while (true) {
    const auto bits = static_cast<int>(std::bit_width(high - low)),
               part_bits = static_cast<int>(std::bit_width(blockDim.x)) - 1;
    const int shift = bits > part_bits ? bits - part_bits : 0;
    shared.parts[thread()] = 0;
    __syncthreads();
    for (int64_t i = thread(); i < all.count; i += threads()) {
      const uint64_t key = all.key(i);
      if (key >= low && key <= high) atomicAdd(&shared.parts[(key - low) >> shift], 1);
    }
    __syncthreads();
    find_part(shared, wanted);
    low += static_cast<uint64_t>(shared.part) << shift;
    high = lower(high, low + (uint64_t{1} << shift) - 1);
    wanted -= shared.before;
    if (shared.inside == wanted) return high;  // a single key at the latest
  }
}

/// Writes the candidate `key` in place `place` of image b.
RECON_DEVICE void keep(const PoseSelect& a, int64_t b, int64_t place, int64_t index) {
  const int64_t list = a.nodes.shared ? 0 : b, capacity_t = a.nodes.shifts.cols;
  a.kept.rotations(b, place) = a.nodes.rotations(list, index / capacity_t);
  a.kept.shifts(b, place) = a.nodes.shifts(list, index % capacity_t);
}

// `space` holds for each image the bests of its rows, with `per_rotation`, and the K keys that are kept.
RECON_KERNEL(most_threads) pose_select_kernel(PoseSelect a, KeyFormat format, uint64_t* space) {
  auto& shared = shared_memory<SelectShared>();
  const int64_t b = blockIdx.x, list = a.nodes.shared ? 0 : b, keep_most = a.kept.rotations.cols,
                rows = a.per_rotation ? a.nodes.rotations.cols : 0;
  const int rotations = a.nodes.rotation_count[list];
  uint64_t *kept = space + b * (keep_most + rows), *bests = a.per_rotation ? kept + keep_most : nullptr;
  Candidates all{.scores = a.scores.row(b), .format = format, .capacity_t = a.nodes.shifts.cols};
  all.count = rotations * (a.per_rotation ? 1 : all.capacity_t);
  all.shifts = a.nodes.shift_count[list];
  all.limit = format.limit(a.bound.empty() ? infinity : a.bound[b]);
  const Survey found = survey(shared, all, rotations, bests);
  all.rows = bests;
  const int count = found.below < keep_most ? found.below : static_cast<int>(keep_most);
  if (thread() == 0) {
    a.kept.below[b] = found.below;
    a.kept.count[b] = count > 0 ? count : 1;
    if (count == 0) {  // the best in any case
      keep(a, b, 0, format.index(found.best));
      a.kept.scores(b, 0) = found.best == no_key ? infinity : all.scores[format.index(found.best)];
    }
    shared.collected = 0;
  }
  if (count == 0) return;
  const uint64_t last = found.below > count ? last_kept(shared, all, found.best, found.last, count) : found.last;
  __syncthreads();
  for (int64_t i = thread(); i < all.count; i += threads()) {
    const uint64_t key = all.key(i);
    if (key <= last) kept[atomicAdd(&shared.collected, 1)] = key;
  }
  __syncthreads();
  for (int i = thread(); i < count; i += threads()) {  // in no order yet
    const uint64_t key = kept[i];
    int place = 0;
    for (int j = 0; j < count; ++j) place += kept[j] < key ? 1 : 0;
    keep(a, b, place, format.index(key));
    a.kept.scores(b, place) = all.scores[format.index(key)];
  }
}

}  // namespace

void pose_best(Device& device, const PoseBest& a) {
  launch(queue_of(device), "pose_best",
         {.blocks = a.scores.rows, .threads = threads_for(a.scores.cols), .shared_bytes = sizeof(BestShared)},
         pose_best_kernel, a, key_format(a.scores.cols));
}

void pose_select(Device& device, const PoseSelect& a) {
  const int64_t keys = a.kept.rotations.cols + (a.per_rotation ? a.nodes.rotations.cols : 0);
  float* space = device.workspace(static_cast<size_t>(2 * keys * a.scores.rows));
  launch(queue_of(device), "pose_select",
         {.blocks = a.scores.rows, .threads = threads_for(a.scores.cols), .shared_bytes = sizeof(SelectShared)},
         pose_select_kernel, a, key_format(a.scores.cols), reinterpret_cast<uint64_t*>(space));
}

}  // namespace recon::cuda
