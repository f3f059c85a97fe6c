// Counts of a search level: one block, whole numbers, so any order gives the same sums.
#include "kernels/cuda.h"
#include "kernels/device/dialect.h"
#include "kernels/pose/pose_tally.h"

namespace recon::cuda {
namespace {

constexpr int threads = 256;

struct Scratch {
  int64_t warps[threads / 32];
};

RECON_KERNEL(threads) pose_count_kernel(PoseCount a) {
  Scratch& scratch = shared_memory<Scratch>();
  int64_t sums[6] = {};
  for (int64_t b = thread(); b < a.images; b += threads) pose_tally(a, b, sums);
  RECON_UNROLL
  for (int i = 0; i < 6; ++i) {
    const int64_t sum = block_sum<threads>(sums[i], scratch.warps);
    if (thread() == 0) a.sums[i] += sum;
  }
}

}  // namespace

void pose_count(Device& device, const PoseCount& a) {
  launch(queue_of(device), "pose_count", Shape{.blocks = 1, .threads = threads, .shared_bytes = sizeof(Scratch)},
         pose_count_kernel, a);
}

}  // namespace recon::cuda
