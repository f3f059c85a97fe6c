#pragma once
#include <span>
#include <vector>

#include "engine/geometry/rotation.h"
#include "kernels/pose/pose.h"

namespace recon {

/// Levenberg-Marquardt steps of many poses, each on its own: what the grid of a search leaves is made continuous. The
/// caller evaluates PoseEquations at the poses on trial and hands them to take(), again and again; a step that did not
/// lower |r|² is taken back.
class PoseSteps {
 public:
  /// matrices [N·9], shifts [N·2] in pixels.
  PoseSteps(std::span<const float> matrices, std::span<const float> shifts);

  static constexpr float turn_rad = 0.008f;  ///< of the difference quotients: half a pixel at D = 128
  /// [4 N·9]: each pose on trial, and turned by turn_rad about x, y and z of the image.
  std::vector<float> turned() const;
  /// [N·2]: the shifts on trial.
  std::vector<float> shifts() const;
  /// sums [N·21] of PoseEquations at the poses on trial.
  void take(std::span<const float> sums);

  struct Pose {
    Matrix3 rotation = identity_matrix;
    double shift[2] = {0, 0};
  };
  /// The best so far.
  const Pose& best(size_t image) const { return images_[image].best; }

 private:
  struct Image {
    Pose best, trial;
    double sums[pose_equation_sums] = {};  ///< at the best
    double damping = 1e-3;
    bool begun = false;
  };
  static void propose(Image& image);
  std::vector<Image> images_;
};

}  // namespace recon
