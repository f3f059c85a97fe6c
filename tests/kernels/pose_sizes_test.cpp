// The pose operations at the sizes of real searches and beyond: many images, lists and bands longer than any tile that
// a backend may cut them into, and integer results that must be those of the CPU.
#include <doctest/doctest.h>

#include "kernels/pose/pose.h"
#include "tests/kernels/pose_case.h"
#include "tests/reference/shapes.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

struct Lists {
  std::vector<Node> rotations, shifts;
  std::vector<int32_t> active, counts;
  bool operator==(const Lists&) const = default;
};

/// The lists that `list(device, kept, nodes)` makes of K random survivors of each image.
template <class List>
Lists lists_of(Device& d, int keep, int level, int cell, const List& list) {
  constexpr int images = 3;
  Draws draws(static_cast<uint64_t>(100 * keep + level));
  const KeptOnDevice kept(d, images, keep);
  std::vector<GridRotation> rotations;
  std::vector<ShiftNode> shifts;
  for (int i = 0; i < images * keep; ++i) {  // half of them close together, so that children coincide
    const auto pixels = draws.coin() ? 4 : static_cast<int>(so3_pixels(level));
    rotations.push_back({draws.integer(0, pixels - 1), draws.integer(0, static_cast<int>(so3_angles(level)) - 1)});
    const int reach = draws.coin() ? 2 : 20;
    shifts.push_back({draws.integer(-reach, reach) * cell, draws.integer(-reach, reach) * cell});
  }
  Buffer<GridRotation> at_rotations = on_device(d, rotations, images, keep);
  Buffer<ShiftNode> at_shifts = on_device(d, shifts, images, keep);
  const Buffer<int32_t> count = on_device(d, std::vector<int32_t>{keep, 1, (keep + 1) / 2});
  PoseKept view = kept.view;
  view.rotations = at_rotations.view(), view.shifts = at_shifts.view(), view.count = count.view();
  PoseCase empty;
  empty.images = empty.lists = images, empty.rotations = 8 * keep + 1, empty.shifts = 9 * keep + 1;
  empty.nodes.resize(size_t(images * empty.rotations)), empty.moves.resize(size_t(images * empty.shifts));
  empty.rotation_count.resize(images), empty.shift_count.resize(images);
  const PoseListsOnDevice nodes(d, empty);
  list(view, nodes.view);

  Lists out;
  out.active = nodes.active.download();
  const auto nr = nodes.rotation_count.download(), nt = nodes.shift_count.download();
  const auto r = nodes.nodes.download();
  const auto t = nodes.moves.download();
  for (size_t b = 0; b < images; ++b) {
    out.counts.push_back(nr[b]), out.counts.push_back(nt[b]);
    for (size_t i = 0; i < size_t(nr[b]); ++i)
      out.rotations.emplace_back(r[b * size_t(empty.rotations) + i].pixel, r[b * size_t(empty.rotations) + i].psi);
    for (size_t i = 0; i < size_t(nt[b]); ++i)
      out.shifts.emplace_back(t[b * size_t(empty.shifts) + i].x, t[b * size_t(empty.shifts) + i].y);
  }
  return out;
}

struct Survivors {
  std::vector<Node> rotations, shifts;
  std::vector<float> scores;
  std::vector<int32_t> count, below;
  bool operator==(const Survivors&) const = default;
};

Survivors survivors_of(Device& d, const PoseCase& c, const std::vector<float>& host, const std::vector<float>& bounds,
                       int keep, bool per_rotation) {
  const PoseListsOnDevice at(d, c);
  const Buffer<float> scores = on_device(d, host, c.images, int64_t{c.rotations} * c.shifts);
  Buffer<float> bound;
  if (!bounds.empty()) bound = on_device(d, bounds);
  const KeptOnDevice kept(d, c.images, keep);
  pose_select(d, PoseSelect{.nodes = at.view,
                            .scores = scores.view(),
                            .bound = bound.view(),
                            .kept = kept.view,
                            .per_rotation = per_rotation});
  Survivors out{.count = kept.count.download(), .below = kept.below.download()};
  const auto r = kept.rotations.download();
  const auto t = kept.shifts.download();
  const auto values = kept.scores.download();
  for (size_t b = 0; b < size_t(c.images); ++b)
    for (size_t i = b * size_t(keep); i < b * size_t(keep) + size_t(out.count[b]); ++i) {
      out.rotations.emplace_back(r[i].pixel, r[i].psi);
      out.shifts.emplace_back(t[i].x, t[i].y);
      out.scores.push_back(values[i]);
    }
  return out;
}

}  // namespace

// As in pose_test.cpp; the score of the match itself is a difference of sums that are equal to 1e-4.
TEST_CASE("Pose scores match the double reference at the sizes of a search and beyond every tile") {
  const auto device = test_device(2);
  double worst = 0;
  for (const PoseCaseSize& size :
       {PoseCaseSize{"children of 8", 40, 64, 72, 220, false, false, true, false},
        PoseCaseSize{"full lists, a band in pieces", 2, 64, 72, 800, false, false, true, true},
        PoseCaseSize{"rows that are not aligned", 2, 70, 80, 501, false, false, false, false},
        PoseCaseSize{"children of 64", 1, 512, 576, 33, false, false, true, true},
        PoseCaseSize{"base grid", 3, 576, 49, 220, true, true, true, true},
        PoseCaseSize{"base grid without CTF, not aligned", 2, 576, 9, 101, true, true, false, true},
        PoseCaseSize{"no shifts, many images", 90, 200, 1, 50, true, true, true, false},
        PoseCaseSize{"one list, slices of each image", 2, 576, 49, 40, true, false, true, true},
        PoseCaseSize{"a long band", 1, 5, 3, 9000, false, false, true, true},
        PoseCaseSize{"a long band of the base grid", 1, 5, 3, 9000, true, true, true, true},
        PoseCaseSize{"one of everything", 1, 1, 1, 1, false, false, true, true}}) {
    CAPTURE(std::string(size.name));
    const PoseCase c = sized_pose_case(size);
    const double error = score_errors(c, kernel_scores(*device, c)).of_scale;
    CHECK(error < 2e-6);
    worst = std::max(worst, error);
  }
  MESSAGE("worst error, of |X|² + |gS|² " << worst);
}

TEST_CASE("Pose selection of many candidates is the CPU's, to the order of ties") {
  const auto device = test_device(2), cpu = Device::cpu(1);
  int number = 0;
  for (const auto& [rotations, shifts, keep] :
       {std::tuple{576, 49, 8}, {64, 72, 64}, {200, 70, 700}, {3, 2, 9}, {1, 3000, 17}})
    for (const bool per_rotation : {false, true})
      for (const int values : {1, 3, 2000000000}) {  // distinct scores: ties are many, or hardly any
        Draws draws(static_cast<uint64_t>(++number));
        const PoseCase c = sized_pose_case({"", 3, rotations, shifts, 1, draws.coin(), false, false, draws.coin()});
        std::vector<float> scores, bounds;
        for (int64_t i = 0; i < int64_t{3} * rotations * shifts; ++i)
          scores.push_back(static_cast<float>(draws.integer(0, values - 1)) * 0x1p-10f - 2.0f);
        for (size_t i = 0; i < scores.size(); i += 7) scores[i] = i % 2 ? INFINITY : -0.0f;
        if (draws.coin()) bounds = {0.5f, -1e9f, static_cast<float>(values) * 0x1p-12f};
        CAPTURE(number);
        CHECK(survivors_of(*device, c, scores, bounds, keep, per_rotation) ==
              survivors_of(*cpu, c, scores, bounds, keep, per_rotation));
      }
}

TEST_CASE("Children and finalists of up to 500 survivors on all levels are the CPU's") {
  const auto device = test_device(2), cpu = Device::cpu(1);
  for (const auto& [keep, level] :
       {std::pair{1, 1}, {8, 0}, {8, 1}, {8, 2}, {8, 3}, {8, 4}, {8, 5}, {8, 6}, {8, 8}, {64, 2}, {64, 5}, {500, 4}}) {
    CAPTURE(keep);
    CAPTURE(level);
    for (const int cell : {0, 4, 32})
      for (const bool overlapping : {false, true}) {
        if (keep == 500 && !(overlapping && cell == 4)) continue;
        const auto lists = [&](Device& d) {
          return lists_of(d, keep, level, std::max(cell, 1), [&](const PoseKept& kept, const PoseNodes& nodes) {
            pose_expand(d, PoseExpand{.kept = kept,
                                      .children = nodes,
                                      .level = level,
                                      .shift_cell = cell,
                                      .overlapping_shifts = overlapping});
          });
        };
        CHECK(lists(*device) == lists(*cpu));
      }
    const auto finalists = [&](Device& d) {
      return lists_of(d, keep, level, 2,
                      [&](const PoseKept& kept, const PoseNodes& nodes) { pose_finalists(d, kept, nodes, level); });
    };
    CHECK(finalists(*device) == finalists(*cpu));
  }
}

TEST_CASE("The best of many candidates is the first of the lowest, or the first of all where none is finite") {
  const auto device = test_device(1);
  Draws draws(5);
  const PoseCase c = sized_pose_case({"", 4, 300, 50, 1, false, false, false, true});
  const int64_t candidates = 300 * 50;
  std::vector<float> host;
  for (int64_t i = 0; i < 4 * candidates; ++i) host.push_back(static_cast<float>(draws.integer(-3, 3)));
  std::fill_n(host.begin(), candidates, INFINITY);
  std::fill_n(host.begin() + candidates, candidates - 1, INFINITY);
  const PoseListsOnDevice at(*device, c);
  const Buffer<float> scores = on_device(*device, host, 4, candidates), matrices(*device, 4, 9), shifts(*device, 4, 2),
                      best(*device, 1, 4);
  pose_best(*device, PoseBest{.nodes = at.view,
                              .scores = scores.view(),
                              .matrices = matrices.view(),
                              .shifts = shifts.view(),
                              .best = best.view(),
                              .shift_unit_px = c.unit});
  const auto found = best.download(), moved = shifts.download();
  for (int64_t b = 0; b < 4; ++b) {
    const auto row = host.begin() + b * candidates;
    const int64_t index = std::min_element(row, row + candidates) - row;
    CHECK(found[size_t(b)] == row[index]);
    CHECK(moved[size_t(2 * b)] == static_cast<float>(c.moves[size_t(b * 50 + index % 50)].x) * c.unit);
  }
}
