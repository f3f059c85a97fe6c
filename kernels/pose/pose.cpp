#include "kernels/pose/pose.h"

#include "kernels/ops.h"

namespace recon {
namespace {

void check(const PoseNodes& n, int64_t images) {
  const int64_t lists = n.shared ? 1 : images, rotations = n.rotations.cols;
  expect(n.rotations.rows == lists && n.shifts.rows == lists, "pose: one list of nodes an image is needed");
  expect(n.rotation_count.size() == lists && n.shift_count.size() == lists, "pose: one count a list is needed");
  expect(n.matrices.rows == lists * rotations && n.matrices.cols == 9, "pose: matrices must be [lists*R, 9]");
  expect(n.active.size() == lists * rotations, "pose: active must be [1, lists*R]");
}

}  // namespace

void pose_score(Device& device, const PoseScore& a) {
  const int64_t images = a.images.rows, pixels = a.pixels.size();
  check(a.nodes, images);
  expect(a.slices.rows == (a.slices_shared ? 1 : images) * a.nodes.rotations.cols && a.slices.cols == pixels,
         "pose_score: slices must be [lists*R, P]");
  expect(!a.slices_shared || a.nodes.shared, "pose_score: shared slices need shared nodes");
  expect(pixels <= a.images.cols && (a.ctf.empty() || (a.ctf.rows == images && a.ctf.cols >= pixels)),
         "pose_score: images and ctf must hold the band");
  expect(a.scores.rows == images && a.scores.cols == a.nodes.rotations.cols * a.nodes.shifts.cols,
         "pose_score: scores must be [B, R*T]");
  device.ops().pose_score(device, a);
}

void pose_best(Device& device, const PoseBest& a) {
  const int64_t images = a.scores.rows;
  check(a.nodes, images);
  expect(a.matrices.rows == images && a.shifts.rows == images && a.best.size() == images,
         "pose_best: one row an image");
  device.ops().pose_best(device, a);
}

void pose_draw(Device& device, const PoseDraw& a) {
  expect(a.best.size() == a.scores.rows && a.image.size() == a.scores.rows, "pose_draw: one best and number an image");
  expect(a.pixels > 0, "pose_draw: scores are sums over at least a pixel");
  device.ops().pose_draw(device, a);
}

void pose_bound(Device& device, const PoseBound& a) {
  const int64_t images = a.images.rows;
  expect(a.slices.rows == images && a.slices.cols == a.pixels.size() && a.images.cols >= a.slices.cols,
         "pose_bound: slices must be [B, P]");
  expect(a.shifts.rows == images && a.bound.size() == images, "pose_bound: one shift and bound an image");
  device.ops().pose_bound(device, a);
}

void pose_reserve(Device& device, const PoseReserve& a) {
  const int64_t images = a.images.rows, pixels = a.slices.cols;
  expect(a.slices.rows > 0 && a.images.cols >= pixels, "pose_reserve: images must hold the slices' pixels");
  expect(a.ctf.empty() || (a.ctf.rows == images && a.ctf.cols >= pixels), "pose_reserve: one ctf an image");
  expect(a.bound.size() == images, "pose_reserve: one bound an image");
  expect(a.first >= 0 && a.first <= pixels, "pose_reserve: the first pixel is not one of them");
  expect(a.moved.rows == a.slices.rows && a.moved.cols >= a.first, "pose_reserve: moved must be [M, >= first]");
  device.ops().pose_reserve(device, a);
}

void pose_equations(Device& device, const PoseEquations& a) {
  const int64_t images = a.targets.rows, pixels = a.pixels.size();
  expect(a.targets.cols == pixels && a.slices.rows == 4 * images && a.slices.cols == pixels,
         "pose_equations: targets must be [B, P] and slices [4 B, P]");
  expect(a.ctf.empty() || (a.ctf.rows == images && a.ctf.cols == pixels), "pose_equations: ctf must be [B, P]");
  expect(a.sums.rows == images && a.sums.cols == pose_equation_sums, "pose_equations: sums must be [B, 21]");
  expect(a.step_rad > 0, "pose_equations: the step must be positive");
  device.ops().pose_equations(device, a);
}

void pose_select(Device& device, const PoseSelect& a) {
  const int64_t images = a.scores.rows;
  check(a.nodes, images);
  expect(
      a.kept.rotations.rows == images && a.kept.shifts.cols == a.kept.rotations.cols && a.kept.count.size() == images,
      "pose_select: kept must have a row an image");
  expect(a.bound.empty() || a.bound.size() == images, "pose_select: one bound an image");
  device.ops().pose_select(device, a);
}

void pose_expand(Device& device, const PoseExpand& a) {
  const int64_t images = a.kept.rotations.rows, keep = a.kept.rotations.cols;
  check(a.children, images);
  expect(!a.children.shared, "pose_expand: children belong to one image");
  expect(a.children.rotations.cols >= 8 * keep, "pose_expand: room for 8 rotations a candidate is needed");
  expect(a.children.shifts.cols >= (a.overlapping_shifts ? 9 : 4) * keep, "pose_expand: no room for the shifts");
  expect(a.shift_cell == 0 || (a.shift_cell >= 4 && a.shift_cell % 4 == 0),
         "pose_expand: the shift cell cannot be divided");
  device.ops().pose_expand(device, a);
}

void pose_count(Device& device, const PoseCount& a) {
  check(a.nodes, a.images);
  expect(a.sums.size() == 6, "pose_count: sums must be [1, 6]");
  expect(a.below.size() == a.count.size() && (a.below.empty() || a.below.size() == a.images),
         "pose_count: one count an image");
  device.ops().pose_count(device, a);
}

void pose_finalists(Device& device, const PoseKept& kept, const PoseNodes& nodes, int level) {
  check(nodes, kept.rotations.rows);
  expect(nodes.rotations.cols >= kept.rotations.cols && nodes.shifts.cols >= kept.shifts.cols,
         "pose_finalists: no room for the kept candidates");
  device.ops().pose_finalists(device, kept, nodes, level);
}

}  // namespace recon
