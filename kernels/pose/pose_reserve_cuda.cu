// What unseen pixels may take off a candidate's error: a block an image, a warp a slice at a time. Limit: M slices of P
// pixels from the second-level cache for each image, up to 8 M P bytes: with 24 of 12,852 pixels 2.5 MB, 0.5 µs of what
// an H100's cache gives; the image itself stays in the first-level cache.
#include "kernels/cuda.h"
#include "kernels/device/dialect.h"
#include "kernels/pose/pose.h"

namespace recon::cuda {
namespace {

constexpr int threads = 256;

struct Shared {
  double norms[threads / 32];
  float unseen[threads / 32], cell[threads / 32];
};

RECON_DEVICE float larger(float a, float b) { return a > b ? a : b; }

/// Σ g² D² + 2 c √(Σ g² D² X²) of a warp over pixels [first, end), D = slice − other (null: 0).
RECON_DEVICE float reserve_of(float c, const float* slice, const float* other, const float* image, const float* ctf,
                              int64_t first, int64_t end) {
  float power = 0, variance = 0;
  for (int64_t p = first + lane_of(thread()); p < end; p += 32) {
    const float d = (ctf ? ctf[p] : 1.0f) * (other ? slice[p] - other[p] : slice[p]), x = image[p];
    power += d * d;
    variance += d * d * x * x;
  }
  return warp_sum(power) + 2 * c * sqrtf(warp_sum(variance));
}

RECON_KERNEL(threads) pose_reserve_kernel(PoseReserve a) {
  auto& shared = shared_memory<Shared>();
  const int64_t b = blockIdx.x, pixels = a.slices.cols;
  const float *image = a.images.row(b), *ctf = a.ctf.empty() ? nullptr : a.ctf.row(b);
  float unseen = 0, cell = 0;
  for (int64_t m = warp_of(thread()); m < a.slices.rows; m += threads / 32) {
    unseen = larger(unseen, reserve_of(a.deviations, a.slices.row(m), nullptr, image, ctf, a.first, pixels));
    cell += reserve_of(0, a.slices.row(m), a.moved.row(m), image, ctf, 0, a.first);
  }
  double norm = 0;
  for (int64_t p = a.first + thread(); p < pixels; p += threads) norm += double(image[p] * image[p]);
  norm = block_sum<threads>(norm, shared.norms);
  if (lane_of(thread()) == 0) shared.unseen[warp_of(thread())] = unseen, shared.cell[warp_of(thread())] = cell;
  __syncthreads();
  if (thread() != 0) return;
  for (int warp = 1; warp < threads / 32; ++warp) {
    unseen = larger(unseen, shared.unseen[warp]);
    cell += shared.cell[warp];
  }
  a.bound[b] += unseen + cell / static_cast<float>(a.slices.rows) - static_cast<float>(norm);
}

}  // namespace

void pose_reserve(Device& device, const PoseReserve& a) {
  launch(queue_of(device), "pose_reserve",
         {.blocks = a.images.rows, .threads = threads, .shared_bytes = sizeof(Shared)}, pose_reserve_kernel, a);
}

}  // namespace recon::cuda
