// The lists of the next level, a block an image. Sixteen lanes take a survivor, a candidate for its children each, and
// tell the nearest by shuffles; children and shifts become numbers, which are merged and sorted by counting in shared
// memory how many distinct ones are lower: up to 9·K numbers, as many comparisons each.
//
// Floor: nothing is moved to speak of; 17 quaternions in doubles a survivor, some 10 µs of latency. Matrices are made
// in doubles, a thread each. Considered: sorting networks, which take as long for 64 to 576 numbers and need powers of
// two.
#include <bit>
#include <limits>

#include "kernels/cuda.h"
#include "kernels/device/dialect.h"
#include "kernels/pose/grid.h"
#include "kernels/pose/pose.h"

namespace recon::cuda {
namespace {

constexpr int threads = 128, lanes_a_node = 16, nodes_at_once = threads / lanes_a_node;
constexpr int64_t no_key = std::numeric_limits<int64_t>::max();

/// Numbers whose order is that of the lists.
RECON_DEVICE int64_t rotation_key(const GridRotation& n) {
  return int64_t{n.pixel} << 32 | static_cast<uint32_t>(n.psi);
}
RECON_DEVICE GridRotation rotation_of(int64_t key) {
  return {static_cast<int32_t>(key >> 32), static_cast<int32_t>(key & 0xffffffff)};
}
constexpr int32_t shift_offset = 1 << 30;
RECON_DEVICE int64_t shift_key(const ShiftNode& n) {
  return int64_t{n.y} << 32 | static_cast<uint32_t>(n.x + shift_offset);
}
RECON_DEVICE ShiftNode shift_of(int64_t key) {
  return {static_cast<int32_t>(key & 0xffffffff) - shift_offset, static_cast<int32_t>(key >> 32)};
}

/// A block's numbers, and the distinct ones among them at their first places: in shared memory, or of long lists in the
/// device's.
struct MergeShared {
  int distinct;
  alignas(16) int64_t keys[1];  ///< and on: 2·most
};
struct MergeSpace {
  int64_t most = 0;
  int64_t* keys = nullptr;  ///< [B, 2·most] of lists too long for shared memory

  RECON_DEVICE int64_t* block_keys() const {
    return keys ? keys + int64_t{blockIdx.x} * 2 * most : shared_memory<MergeShared>().keys;
  }
  Shape shape(int64_t images) const {
    const auto bytes = static_cast<size_t>(keys ? 0 : 2 * most) * sizeof(int64_t);
    return {.blocks = images, .threads = threads, .shared_bytes = sizeof(MergeShared) + bytes};
  }
};
MergeSpace merge_space(Device& device, int64_t most, int64_t images) {
  constexpr int64_t shared_most = 4096;  // 64 KB
  MergeSpace space{.most = most};
  if (most > shared_most)
    space.keys = reinterpret_cast<int64_t*>(device.workspace(static_cast<size_t>(4 * most * images)));
  return space;
}

/// Calls place(rank, key) for the distinct ones of `count` keys that the block has just written, and returns how many
/// they are. Keys may be written anew afterwards.
template <class Place>
RECON_DEVICE int merge(const MergeSpace& space, int count, const Place& place) {
  auto& shared = shared_memory<MergeShared>();
  int64_t *keys = space.block_keys(), *distinct = keys + space.most;
  if (thread() == 0) shared.distinct = 0;
  __syncthreads();
  for (int i = thread(); i < count; i += threads) {
    bool first = true;
    for (int j = 0; j < i; ++j) first = first && keys[j] != keys[i];
    distinct[i] = first ? keys[i] : no_key;
    if (first) atomicAdd(&shared.distinct, 1);
  }
  __syncthreads();
  for (int i = thread(); i < count; i += threads) {
    const int64_t key = distinct[i];
    if (key == no_key) continue;
    int rank = 0;
    for (int j = 0; j < count; ++j) rank += distinct[j] < key ? 1 : 0;
    place(rank, key);
  }
  const int result = shared.distinct;
  __syncthreads();
  return result;
}

/// so3_children of all survivors, by 16 lanes each.
RECON_DEVICE void list_rotations(const PoseExpand& a, int64_t b, int kept, int64_t* keys) {
  const int place = thread() % lanes_a_node, first_lane = lane_of(thread()) - place;
  for (int base = 0; base < kept; base += nodes_at_once) {
    const int number = base + thread() / lanes_a_node;
    const GridRotation node = number < kept ? a.kept.rotations(b, number) : GridRotation{};
    const GridRotation candidate = so3_candidate(node, place);
    double parent[4];
    so3_quaternion(node, a.level, parent);
    const double distance = so3_distance(candidate, a.level + 1, parent);
    int nearer = 0;
    for (int other = 0; other < lanes_a_node; ++other)
      nearer += so3_precedes(__shfl_sync(all_lanes, distance, first_lane + other), other, distance, place) ? 1 : 0;
    const unsigned chosen = __ballot_sync(all_lanes, nearer < 8) >> first_lane & 0xffffu;
    const int child = std::popcount(chosen & ((1u << place) - 1));
    if (number < kept && nearer < 8 && child < 8)
      keys[8 * number + child] = rotation_key(so3_wrapped(candidate, a.level + 1));
  }
}

/// The children of all shifts: 9, 4 or themselves. Returns how many.
RECON_DEVICE int list_shifts(const PoseExpand& a, int64_t b, int kept, int64_t* keys) {
  const int reach = a.shift_cell / (a.overlapping_shifts ? 2 : 4), children = reach == 0             ? 1
                                                                              : a.overlapping_shifts ? 9
                                                                                                     : 4;
  for (int i = thread(); i < children * kept; i += threads) {
    const ShiftNode centre = a.kept.shifts(b, i / children);
    const int child = i % children;
    int dx = 0, dy = 0;
    if (children == 9) dx = child % 3 - 1, dy = child / 3 - 1;
    if (children == 4) dx = child % 2 * 2 - 1, dy = child / 2 * 2 - 1;
    keys[i] = shift_key({centre.x + dx * reach, centre.y + dy * reach});
  }
  return children * kept;
}

/// Fills counts, flags and matrices once the nodes of image b are listed and a barrier has passed.
RECON_DEVICE void finish_nodes(const PoseNodes& n, int64_t b, int rotations, int shifts, int level) {
  const int64_t capacity = n.rotations.cols;
  if (thread() == 0) {
    n.rotation_count[b] = rotations;
    n.shift_count[b] = shifts;
  }
  for (int64_t r = thread(); r < capacity; r += threads) {
    n.active[b * capacity + r] = r < rotations ? 1 : 0;
    if (r >= rotations) continue;
    double matrix[9];
    so3_matrix(n.rotations(b, r), level, matrix);
    RECON_UNROLL
    for (int i = 0; i < 9; ++i) n.matrices(b * capacity + r, i) = static_cast<float>(matrix[i]);
  }
}

/// Merges the rotations, then the shifts, that list_*(keys) write and count, and fills in the nodes of image b.
template <class ListRotations, class ListShifts>
RECON_DEVICE void make_nodes(const PoseNodes& nodes, const MergeSpace& space, int level,
                             const ListRotations& list_rotations_of, const ListShifts& list_shifts_of) {
  const int64_t b = blockIdx.x;
  const int rotations = merge(space, list_rotations_of(space.block_keys()),
                              [&](int rank, int64_t key) { nodes.rotations(b, rank) = rotation_of(key); });
  const int shifts = merge(space, list_shifts_of(space.block_keys()),
                           [&](int rank, int64_t key) { nodes.shifts(b, rank) = shift_of(key); });
  finish_nodes(nodes, b, rotations, shifts, level);
}

RECON_KERNEL(threads) pose_expand_kernel(PoseExpand a, MergeSpace space) {
  const int64_t b = blockIdx.x;
  const int kept = a.kept.count[b];
  make_nodes(
      a.children, space, a.level + 1,
      [&](int64_t* keys) {
        list_rotations(a, b, kept, keys);
        return 8 * kept;
      },
      [&](int64_t* keys) { return list_shifts(a, b, kept, keys); });
}

RECON_KERNEL(threads) pose_finalists_kernel(PoseKept kept, PoseNodes nodes, int level, MergeSpace space) {
  const int64_t b = blockIdx.x;
  const int count = kept.count[b];
  make_nodes(
      nodes, space, level,
      [&](int64_t* keys) {
        for (int i = thread(); i < count; i += threads) keys[i] = rotation_key(kept.rotations(b, i));
        return count;
      },
      [&](int64_t* keys) {
        for (int i = thread(); i < count; i += threads) keys[i] = shift_key(kept.shifts(b, i));
        return count;
      });
}

}  // namespace

void pose_expand(Device& device, const PoseExpand& a) {
  const int64_t images = a.kept.rotations.rows;
  const MergeSpace space = merge_space(device, 9 * a.kept.rotations.cols, images);
  launch(queue_of(device), "pose_expand", space.shape(images), pose_expand_kernel, a, space);
}

void pose_finalists(Device& device, const PoseKept& kept, const PoseNodes& nodes, int level) {
  const int64_t images = kept.rotations.rows;
  const MergeSpace space = merge_space(device, kept.rotations.cols, images);
  launch(queue_of(device), "pose_finalists", space.shape(images), pose_finalists_kernel, kept, nodes, level, space);
}

}  // namespace recon::cuda
