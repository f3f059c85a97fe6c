#include "engine/pose/pose_steps.h"

#include <algorithm>
#include <cmath>

#include "engine/geometry/cholesky.h"
#include "kernels/runtime/device.h"

namespace recon {
namespace {

constexpr double most_rad = 0.1, most_px = 1;  // of one step

Matrix3 turned_by(const Vector3& w, const Matrix3& rotation) {
  const double angle = std::sqrt(w[0] * w[0] + w[1] * w[1] + w[2] * w[2]);
  return angle > 0 ? multiply(axis_angle_to_matrix(w, angle), rotation) : rotation;
}

}  // namespace

PoseSteps::PoseSteps(std::span<const float> matrices, std::span<const float> shifts) : images_(shifts.size() / 2) {
  expect(matrices.size() == 9 * images_.size(), "pose steps: one matrix and one shift an image");
  for (size_t i = 0; i < images_.size(); ++i) {
    Pose& pose = images_[i].best;
    std::copy_n(matrices.data() + 9 * i, 9, pose.rotation.begin());
    std::copy_n(shifts.data() + 2 * i, 2, pose.shift);
    images_[i].trial = pose;
  }
}

std::vector<float> PoseSteps::turned() const {
  std::vector<float> out;
  out.reserve(36 * images_.size());
  for (const Image& image : images_)
    for (int axis = -1; axis < 3; ++axis) {
      Vector3 turn = {0, 0, 0};
      if (axis >= 0) turn[static_cast<size_t>(axis)] = double{turn_rad};
      for (const double v : turned_by(turn, image.trial.rotation)) out.push_back(static_cast<float>(v));
    }
  return out;
}

std::vector<float> PoseSteps::shifts() const {
  std::vector<float> out;
  for (const Image& image : images_)
    for (const double v : image.trial.shift) out.push_back(static_cast<float>(v));
  return out;
}

void PoseSteps::take(std::span<const float> sums) {
  expect(sums.size() == pose_equation_sums * images_.size(), "pose steps: 21 sums an image");
  for (size_t i = 0; i < images_.size(); ++i) {
    Image& image = images_[i];
    const float* now = sums.data() + pose_equation_sums * i;
    if (!image.begun || double{now[pose_equation_sums - 1]} < image.sums[pose_equation_sums - 1]) {
      if (image.begun) image.damping = std::max(image.damping / 10, 1e-9);
      image.begun = true;
      image.best = image.trial;
      std::copy_n(now, pose_equation_sums, image.sums);
    } else {
      image.damping *= 10;
    }
    propose(image);
  }
}

void PoseSteps::propose(Image& image) {
  double a[pose_parameters * pose_parameters] = {}, step[pose_parameters];
  const double* sum = image.sums;
  for (int i = 0; i < pose_parameters; ++i)
    for (int j = 0; j <= i; ++j) a[i * pose_parameters + j] = *sum++ * (i == j ? 1 + image.damping : 1);
  for (int i = 0; i < pose_parameters; ++i) step[i] = -*sum++;
  factorise(a, pose_parameters);
  solve_lower(a, pose_parameters, step);
  solve_upper(a, pose_parameters, step);
  const double turn = std::sqrt(step[0] * step[0] + step[1] * step[1] + step[2] * step[2]),
               shift = std::hypot(step[3], step[4]);
  if (!std::isfinite(turn) || !std::isfinite(shift)) return;  // an image that says nothing of its pose
  const double shrink = std::min({1.0, most_rad / std::max(turn, 1e-30), most_px / std::max(shift, 1e-30)});
  image.trial.rotation = turned_by({shrink * step[0], shrink * step[1], shrink * step[2]}, image.best.rotation);
  for (int i = 0; i < 2; ++i) image.trial.shift[i] = image.best.shift[i] + shrink * step[3 + i];
}

}  // namespace recon
