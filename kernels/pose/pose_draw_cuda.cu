// Gumbel numbers added to the scores of a level, a thread four candidates, which share a call of Philox. Floor: 8 bytes
// a candidate; some 60 integer and 10 special operations stand beside them, so arithmetic and memory take about as
// long.
#include <limits>

#include "kernels/cuda.h"
#include "kernels/device/pointwise.h"
#include "kernels/pose/draw.h"
#include "kernels/pose/pose.h"

namespace recon::cuda {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

RECON_KERNEL(256)
pose_draw_kernel(PoseDraw a) {
  for (int64_t b = first_row(); b < a.scores.rows; b += row_step()) {
    float* scores = a.scores.row(b);
    const float scale = 2 * a.best[b] / static_cast<float>(a.pixels);
    const int64_t group = grid_thread(), first = 4 * group;
    const u32x4 words = candidate_words(a.seed, a.sub, a.image[b], group);
    RECON_UNROLL
    for (int j = 0; j < 4; ++j)
      if (first + j < a.scores.cols && scores[first + j] < infinity)
        scores[first + j] += scale * negative_gumbel(words.v[j]);
  }
}

}  // namespace

void pose_draw(Device& device, const PoseDraw& a) {
  launch(queue_of(device), "pose_draw", over_matrix(a.scores.rows, (a.scores.cols + 3) / 4), pose_draw_kernel, a);
}

}  // namespace recon::cuda
