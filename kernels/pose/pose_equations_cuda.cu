// The equations of a small change of each image's pose: a block an image. Limit: reading four slices, target and CTF
// once, 24 bytes a pixel for 60 operations: at 12,852 pixels 0.3 MB an image, 0.1 µs of an H100's memory. A thread's
// sums are fp32 over its share (at most 100 pixels at D = 128), the block's are doubles.
#include "kernels/cuda.h"
#include "kernels/device/dialect.h"
#include "kernels/pose/pose.h"

namespace recon::cuda {
namespace {

constexpr int threads = 256;

RECON_KERNEL(threads) pose_equations_kernel(PoseEquations a) {
  auto& scratch = shared_memory<double[threads / 32]>();
  const int64_t b = blockIdx.x, pixels = a.pixels.size();
  const float *target = a.targets.row(b), *ctf = a.ctf.empty() ? nullptr : a.ctf.row(b);
  const float *slice = a.slices.row(4 * b), quotient = 1 / a.step_rad;
  const float turns = -6.283185307f / static_cast<float>(a.side);
  float sums[pose_equation_sums] = {};
  for (int64_t p = thread(); p < pixels; p += threads) {
    const float g = ctf ? ctf[p] : 1.0f, at = slice[p], opposite = turns * g * slice[p ^ 1];
    float rows[pose_parameters + 1];
    RECON_UNROLL
    for (int axis = 0; axis < 3; ++axis) rows[axis] = g * quotient * (slice[(axis + 1) * a.slices.cols + p] - at);
    rows[3] = static_cast<float>(a.pixels[p].x) * opposite;
    rows[4] = static_cast<float>(a.pixels[p].y) * opposite;
    rows[5] = g * at - target[p];
    int n = 0;
    RECON_UNROLL
    for (int i = 0; i <= pose_parameters; ++i) {
      RECON_UNROLL
      for (int j = 0; j <= i; ++j) sums[n++] += rows[i] * rows[j];
    }
  }
  RECON_UNROLL
  for (int n = 0; n < pose_equation_sums; ++n) {
    const double sum = block_sum<threads>(double(sums[n]), scratch);
    if (thread() == 0) a.sums(b, n) = static_cast<float>(sum);
  }
}

}  // namespace

void pose_equations(Device& device, const PoseEquations& a) {
  launch(queue_of(device), "pose_equations",
         {.blocks = a.targets.rows, .threads = threads, .shared_bytes = sizeof(double[threads / 32])},
         pose_equations_kernel, a);
}

}  // namespace recon::cuda
