#pragma once
// Arguments of the pose operations, on the host and on a device.
#include "tests/reference/pose_reference.h"
#include "tests/reference/shapes.h"

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
  Precision precision = Precision::fp32;
};

inline PoseCase random_pose_case(uint64_t number) {
  Draws draws(number);
  PoseCase c;
  c.problem.side = 2 * draws.integer(2, 16);
  c.problem.pixels = random_pixels(draws, c.problem.side, draws.integer(1, number % 10 == 0 ? 300 : 30));
  c.images = draws.integer(1, 5);
  c.shared = draws.coin();
  c.slices_shared = c.shared && draws.coin();
  c.lists = c.shared ? 1 : c.images;
  c.rotations = draws.integer(1, 24), c.shifts = draws.integer(1, 20);
  c.stride = static_cast<int>(c.problem.pixels.size()) + 2 * draws.integer(0, 3);
  c.unit = static_cast<float>(draws.uniform(0.05, 0.6));
  for (int i = 0; i < c.lists * c.rotations; ++i) c.nodes.push_back({draws.integer(0, 47), draws.integer(0, 11)});
  for (int i = 0; i < c.lists * c.shifts; ++i) c.moves.push_back({draws.integer(-9, 9), draws.integer(-9, 9)});
  for (int i = 0; i < c.lists; ++i) {
    c.rotation_count.push_back(draws.integer(1, c.rotations));
    c.shift_count.push_back(draws.integer(1, c.shifts));
  }
  const auto pixels = static_cast<int64_t>(c.problem.pixels.size());
  c.slices = draws.normals((c.slices_shared ? 1 : c.images) * int64_t{c.rotations} * pixels);
  c.pictures = draws.normals(int64_t{c.images} * c.stride);
  if (draws.coin()) c.ctf = draws.normals(int64_t{c.images} * c.stride, 0.7);
  return c;
}

struct PoseCaseSize {
  const char* name;
  int images, rotations, shifts, pairs;
  bool shared, slices_shared, ctf, full;  ///< full: counts as large as the lists
};

/// Image b is slice 0 moved back by its first shift, and some noise: a score that is small among large ones.
inline PoseCase sized_pose_case(const PoseCaseSize& size) {
  Draws draws(static_cast<uint64_t>(size.rotations * 1000 + size.shifts));
  PoseCase c;
  c.problem.side = 64;
  c.problem.pixels = random_pixels(draws, c.problem.side, size.pairs);
  c.images = size.images, c.rotations = size.rotations, c.shifts = size.shifts;
  c.shared = size.shared, c.slices_shared = size.slices_shared;
  c.lists = c.shared ? 1 : c.images;
  c.unit = 0.25f;
  const auto pixels = static_cast<int64_t>(c.problem.pixels.size());
  c.stride = static_cast<int>(pixels) + 4;
  c.nodes.resize(size_t(c.lists * c.rotations));
  for (int i = 0; i < c.lists * c.shifts; ++i) c.moves.push_back({draws.integer(-9, 9), draws.integer(-9, 9)});
  for (int i = 0; i < c.lists; ++i) {
    c.rotation_count.push_back(size.full ? c.rotations : draws.integer(1, c.rotations));
    c.shift_count.push_back(size.full ? c.shifts : draws.integer(1, c.shifts));
  }
  c.slices = draws.normals((c.slices_shared ? 1 : c.images) * int64_t{c.rotations} * pixels);
  c.pictures = draws.normals(int64_t{c.images} * c.stride, 0.01);
  if (size.ctf) c.ctf = draws.normals(int64_t{c.images} * c.stride, 0.7);
  for (int b = 0; b < c.images; ++b) {
    const ShiftNode move = c.moves[size_t(c.shared ? 0 : b * c.shifts)];
    const float *slice = &c.slices[size_t((c.slices_shared ? 0 : b) * c.rotations * pixels)],
                *g = size.ctf ? &c.ctf[size_t(b * c.stride)] : nullptr;
    for (size_t p = 0; p < size_t(pixels); ++p) {
      const auto seen = [&](size_t i) { return double(g ? g[i] : 1.0f) * double(slice[i]); };
      c.pictures[size_t(b * c.stride) + p] +=
          static_cast<float>(shifted(seen(p), seen(p ^ 1), c.problem.pixels[p], -double(c.unit) * move.x,
                                     -double(c.unit) * move.y, c.problem.side));
    }
  }
  return c;
}

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

struct PoseScoreOnDevice {
  PoseListsOnDevice lists;
  Buffer<float> slices, pictures, ctf, scores;
  Buffer<Pixel> lattice;
  PoseScore args;

  PoseScoreOnDevice(Device& d, const PoseCase& c) : lists(d, c) {
    const auto pixels = static_cast<int64_t>(c.problem.pixels.size());
    slices = on_device(d, c.slices, (c.slices_shared ? 1 : c.images) * int64_t{c.rotations}, pixels);
    pictures = on_device(d, c.pictures, c.images, c.stride);
    scores = Buffer<float>(d, c.images, int64_t{c.rotations} * c.shifts);
    if (!c.ctf.empty()) ctf = on_device(d, c.ctf, c.images, c.stride);
    lattice = on_device(d, c.problem.pixels);
    args = {.nodes = lists.view,
            .slices = slices.view(),
            .slices_shared = c.slices_shared,
            .images = pictures.view(),
            .ctf = ctf.view(),
            .pixels = lattice.view(),
            .scores = scores.view(),
            .side = c.problem.side,
            .shift_unit_px = c.unit,
            .precision = c.precision};
  }
};

inline std::vector<float> kernel_scores(Device& d, const PoseCase& c) {
  const PoseScoreOnDevice at(d, c);
  pose_score(d, at.args);
  return at.scores.download();
}

/// [images, R·T], of lists that are full.
inline Values expected_scores(const PoseCase& c) {
  Values out;
  const size_t pixels = c.problem.pixels.size(), rotations = size_t(c.rotations), shifts = size_t(c.shifts);
  for (size_t b = 0; b < size_t(c.images); ++b) {
    const Values image(&c.pictures[b * size_t(c.stride)], &c.pictures[b * size_t(c.stride)] + pixels);
    const Values ctf = c.ctf.empty() ? Values(pixels, 1.0)
                                     : Values(&c.ctf[b * size_t(c.stride)], &c.ctf[b * size_t(c.stride)] + pixels);
    for (size_t r = 0; r < rotations; ++r) {
      const float* first = &c.slices[((c.slices_shared ? 0 : b * rotations) + r) * pixels];
      const Values slice(first, first + pixels);
      for (size_t t = 0; t < shifts; ++t) {
        const ShiftNode& move = c.moves[(c.shared ? 0 : b * shifts) + t];
        out.push_back(
            c.problem.score(slice.data(), image.data(), ctf.data(), double(c.unit) * move.x, double(c.unit) * move.y));
      }
    }
  }
  return out;
}

/// The largest errors of the scores; infinity where finite and infinite scores differ.
struct PoseScoreErrors {
  double of_scale = 0;    ///< as a part of |X|² + |gS|²
  double of_allowed = 0;  ///< of what rounding operands to `roundoff` allows (pose_tensor_test.cpp), and 2e-6 of scale
};
inline PoseScoreErrors score_errors(const PoseCase& c, const std::vector<float>& got, double roundoff = 0) {
  const size_t pixels = c.problem.pixels.size(), rotations = size_t(c.rotations), shifts = size_t(c.shifts);
  PoseScoreErrors worst;
  for (size_t b = 0; b < size_t(c.images); ++b) {
    const size_t list = c.shared ? 0 : b, first = c.slices_shared ? 0 : b * rotations;
    const float *image = &c.pictures[b * size_t(c.stride)], *g = c.ctf.empty() ? nullptr : &c.ctf[b * size_t(c.stride)];
    Values moved(shifts * pixels), seen(pixels);
    for (size_t t = 0; t < shifts; ++t)
      for (size_t p = 0; p < pixels; ++p)
        moved[t * pixels + p] =
            shifted(image[p], image[p ^ 1], c.problem.pixels[p], double(c.unit) * c.moves[list * shifts + t].x,
                    double(c.unit) * c.moves[list * shifts + t].y, c.problem.side);
    for (size_t r = 0; r < rotations; ++r) {
      for (size_t p = 0; p < pixels; ++p)
        seen[p] = double(g ? g[p] : 1.0f) * double(c.slices[(first + r) * pixels + p]);
      for (size_t t = 0; t < shifts; ++t) {
        const double score = got[b * rotations * shifts + r * shifts + t];
        const bool in = int32_t(r) < c.rotation_count[list] && int32_t(t) < c.shift_count[list];
        if (std::isinf(score) == in || std::isnan(score)) return {INFINITY, INFINITY};
        if (!in) continue;
        double error = score, scale = 0, sum = 0, squares = 0;
        for (size_t p = 0; p < pixels; ++p) {
          const double m = moved[t * pixels + p], e = seen[p] - m;
          error -= e * e;
          scale += seen[p] * seen[p] + m * m;
          sum += std::abs(seen[p] * m), squares += seen[p] * seen[p] * m * m;
        }
        error = std::abs(error), scale = std::max(scale, double(pixels));
        const double rounding = roundoff * std::min(4.02 * sum, 7.2 * std::sqrt(squares));
        worst.of_scale = std::max(worst.of_scale, error / scale);
        worst.of_allowed = std::max(worst.of_allowed, error / (2e-6 * scale + rounding));
      }
    }
  }
  return worst;
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
