#pragma once
// What the kernels that score the base grid share, whatever they multiply with. A column is an image moved by a shift;
// columns run on from image to image. |X|² and |gS|² are made first, by a kernel of their own, and meet the products
// where these are written.
#include <limits>

#include "kernels/pose/pose_tile_cuda.h"

namespace recon::cuda {

/// |X|² and |gS|² of all slices. Without a CTF the latter is the same for all images and stands there once.
struct BaseNorms {
  double* image = nullptr;  ///< [B]
  View<double> slice;       ///< [B or 1, R]
};

/// How many doubles they are, and how they lie there.
int64_t base_norm_count(const PoseScore& a);
BaseNorms base_norms_at(double* at, const PoseScore& a);
void make_base_norms(Device& device, const PoseScore& a, const BaseNorms& norms);

/// What a column is.
struct alignas(16) BaseColumn {
  int32_t image, shift;  ///< image −1: none
  float shift_x, shift_y;
};

/// Fills in a block's columns. Ends with a barrier.
template <int Columns>
RECON_DEVICE void name_columns(BaseColumn (&columns)[Columns], const PoseScore& a, int column0) {
  const int64_t capacity_t = a.nodes.shifts.cols, count = a.images.rows * capacity_t;
  for (int c = thread(); c < Columns; c += static_cast<int>(blockDim.x)) {
    const int64_t n = int64_t{column0} + c;
    const auto shift = static_cast<int32_t>(n % capacity_t);
    const ShiftNode node = shift < a.nodes.shift_count[0] ? a.nodes.shifts[shift] : ShiftNode{};
    columns[c] = {.image = n < count ? static_cast<int32_t>(n / capacity_t) : -1,
                  .shift = shift,
                  .shift_x = static_cast<float>(node.x) * a.shift_unit_px,
                  .shift_y = static_cast<float>(node.y) * a.shift_unit_px};
  }
  __syncthreads();
}

/// The image and the CTF of a column at pixel p and its pair's other, which is inside or outside with it.
struct ColumnPair {
  Lanes<2> image{{0, 0}}, weight{{1, 1}};
};
RECON_DEVICE ColumnPair column_pair(const PoseScore& a, int32_t image, int p) {
  ColumnPair pair;
  if (image < 0 || p >= a.pixels.size()) return pair;
  const float* from = a.images.row(image) + p;
  pair.image = {{from[0], from[1]}};
  if (!a.ctf.empty()) {
    const float* ctf = a.ctf.row(image) + p;
    pair.weight = {{ctf[0], ctf[1]}};
  }
  return pair;
}

/// Where the scores of an existing column go, and what each of them is beside the product.
class ColumnScores {
 public:
  RECON_DEVICE ColumnScores(const PoseScore& a, const PosePlan& plan, const BaseNorms& norms, int segment,
                            const BaseColumn& column)
      : scores_(segment_scores(a, plan, segment) + column.image * a.scores.cols + column.shift),
        slice_norms_(norms.slice.row(norms.slice.rows == 1 ? 0 : column.image)),
        image_norm_(norms.image[column.image]),
        step_(a.nodes.shifts.cols),
        rows_(column.shift < a.nodes.shift_count[0] ? a.nodes.rotation_count[0] : 0),
        with_norms_(segment == 0) {}
  /// The score of slice r, which is within the capacity, from −2 ⟨S, g S(t)X⟩; the latter may be anything past the
  /// counts.
  RECON_DEVICE void put(int r, float product) const {
    float score = std::numeric_limits<float>::infinity();
    if (r < rows_) score = with_norms_ ? product + static_cast<float>(image_norm_ + slice_norms_[r]) : product;
    scores_[r * step_] = score;
  }

 private:
  float* scores_;
  const double* slice_norms_;
  double image_norm_;
  int64_t step_;
  int rows_;
  bool with_norms_;
};

}  // namespace recon::cuda
