#pragma once
// Arguments of the pose operations, on the host and on a device.
#include "tests/reference/pose_reference.h"

namespace recon::reference {

/// Lists of candidates of some images, slices and images to score them with.
struct PoseCase {
  PoseProblem problem;
  int images = 1, lists = 1, rotations = 1, shifts = 1, stride = 0;
  bool shared = false, slices_shared = false;
  float unit = 0;
  std::vector<GridRotation> nodes;
  std::vector<ShiftNode> moves;
  std::vector<int32_t> rotation_count, shift_count;
  std::vector<float> slices, pictures, ctf;
};

struct PoseListsOnDevice {
  Buffer<GridRotation> nodes;
  Buffer<ShiftNode> moves;
  Buffer<int32_t> rotation_count, shift_count, active;
  Buffer<float> matrices;
  PoseNodes view;

  PoseListsOnDevice(Device& d, const PoseCase& c) {
    nodes = on_device(d, c.nodes, c.lists, c.rotations), moves = on_device(d, c.moves, c.lists, c.shifts);
    rotation_count = on_device(d, c.rotation_count), shift_count = on_device(d, c.shift_count);
    active = Buffer<int32_t>(d, 1, int64_t{c.lists} * c.rotations);
    std::vector<float> host(9 * c.nodes.size());
    for (size_t i = 0; i < c.nodes.size(); ++i) so3_matrix(c.nodes[i], 1, &host[9 * i]);
    matrices = on_device(d, host, int64_t{c.lists} * c.rotations, 9);
    view = {.rotations = nodes.view(),
            .rotation_count = rotation_count.view(),
            .matrices = matrices.view(),
            .active = active.view(),
            .shifts = moves.view(),
            .shift_count = shift_count.view(),
            .shared = c.shared};
  }
};

inline std::vector<float> kernel_scores(Device& d, const PoseCase& c) {
  const PoseListsOnDevice at(d, c);
  const auto pixels = static_cast<int64_t>(c.problem.pixels.size());
  const Buffer<float> slices = on_device(d, c.slices, (c.slices_shared ? 1 : c.images) * int64_t{c.rotations}, pixels),
                      pictures = on_device(d, c.pictures, c.images, c.stride),
                      scores(d, c.images, int64_t{c.rotations} * c.shifts);
  Buffer<float> ctf;
  if (!c.ctf.empty()) ctf = on_device(d, c.ctf, c.images, c.stride);
  const Buffer<Pixel> lattice = on_device(d, c.problem.pixels);
  pose_score(d, PoseScore{.nodes = at.view,
                          .slices = slices.view(),
                          .slices_shared = c.slices_shared,
                          .images = pictures.view(),
                          .ctf = ctf.view(),
                          .pixels = lattice.view(),
                          .scores = scores.view(),
                          .side = c.problem.side,
                          .shift_unit_px = c.unit});
  return scores.download();
}

struct KeptOnDevice {
  Buffer<GridRotation> rotations;
  Buffer<ShiftNode> shifts;
  Buffer<float> scores;
  Buffer<int32_t> count, below;
  PoseKept view;

  KeptOnDevice(Device& d, int64_t images, int64_t keep)
      : rotations(d, images, keep),
        shifts(d, images, keep),
        scores(d, images, keep),
        count(d, 1, images),
        below(d, 1, images) {
    view = {.rotations = rotations.view(),
            .shifts = shifts.view(),
            .scores = scores.view(),
            .count = count.view(),
            .below = below.view()};
  }
};

}  // namespace recon::reference
