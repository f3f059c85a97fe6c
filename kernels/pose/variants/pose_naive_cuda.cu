// Scores by the definition, a thread a candidate: neighbours have neighbouring shifts of one slice, so a warp reads
// each number of slice and image once, and every thread makes the phase of each pair for itself.
//
// Floor: 576 × 49 candidates at 440 pixels are 6.2 M pairs an image, each some 35 instructions of which 29 move the
// image: 220 M, 6.5 µs of an H100's fp32 units, 16 times the products of the tiled kernel, which moves an image once
// for 192 slices.
#include <limits>

#include "kernels/pose/pose_tile_cuda.h"
#include "kernels/pose/variants/pose_variants_cuda.h"

namespace recon::cuda {
namespace {

RECON_KERNEL(256) pose_naive_kernel(PoseScore a) {
  const int64_t capacity_t = a.nodes.shifts.cols;
  for (int64_t at = grid_thread(); at < a.scores.size(); at += grid_threads()) {
    const int64_t b = at / a.scores.cols, r = at % a.scores.cols / capacity_t, t = at % capacity_t,
                  list = a.nodes.shared ? 0 : b;
    float sum = std::numeric_limits<float>::infinity();
    if (r < a.nodes.rotation_count[list] && t < a.nodes.shift_count[list]) {
      const ShiftNode node = a.nodes.shifts(list, t);
      const float x = static_cast<float>(node.x) * a.shift_unit_px, y = static_cast<float>(node.y) * a.shift_unit_px;
      const float *slice = a.slices.row(a.slices_shared ? r : b * a.nodes.rotations.cols + r), *image = a.images.row(b),
                  *ctf = a.ctf.empty() ? nullptr : a.ctf.row(b);
      sum = 0;
      for (int64_t p = 0; p < a.pixels.size(); p += 2) {
        const Lanes<2> k = pair_frequency(a.pixels[p], a.side);
        const Lanes<2> moved = shifted_pair(k.v[0] * x + k.v[1] * y, {{image[p], image[p + 1]}}, {{1, 1}});
        const float first = (ctf ? ctf[p] : 1.0f) * slice[p] - moved.v[0],
                    second = (ctf ? ctf[p + 1] : 1.0f) * slice[p + 1] - moved.v[1];
        sum += first * first + second * second;
      }
    }
    a.scores[at] = sum;
  }
}

}  // namespace

void pose_score_naive(Device& device, const PoseScore& a) {
  launch(queue_of(device), "pose_score: naive", covering(a.scores.size()), pose_naive_kernel, a);
}

}  // namespace recon::cuda
