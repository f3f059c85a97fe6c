#include "kernels/pose/pose.h"

#include <doctest/doctest.h>

#include <numbers>
#include <numeric>

#include "tests/kernels/pose_case.h"
#include "tests/reference/shapes.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

using Case = PoseCase;

/// Scores by their definition, infinite past the counts.
Values reference_scores(const Case& c) {
  const Values slices = widen(c.slices), pictures = widen(c.pictures), ctf = widen(c.ctf);
  const size_t pixels = c.problem.pixels.size();
  Values out;
  for (int b = 0; b < c.images; ++b)
    for (int r = 0; r < c.rotations; ++r)
      for (int t = 0; t < c.shifts; ++t) {
        const auto list = static_cast<size_t>(c.shared ? 0 : b);
        const size_t slice = static_cast<size_t>((c.slices_shared ? 0 : b) * c.rotations + r),
                     row = static_cast<size_t>(b * c.stride);
        const ShiftNode move = c.moves[list * static_cast<size_t>(c.shifts) + static_cast<size_t>(t)];
        const bool in = r < c.rotation_count[list] && t < c.shift_count[list];
        out.push_back(in ? c.problem.score(&slices[slice * pixels], &pictures[row], ctf.empty() ? nullptr : &ctf[row],
                                           double(c.unit) * move.x, double(c.unit) * move.y)
                         : INFINITY);
      }
  return out;
}

bool same(const ShiftNode& a, const ShiftNode& b) { return a.x == b.x && a.y == b.y; }

}  // namespace

// The score is a difference of sums of the size of |X|² + |gS|²: each is wrong by some 2⁻²⁴ of itself, the product in
// between by 2⁻²⁴·√P at most and in truth by less; the shift's phase reaches 2 turns, 1e-6 of a pixel in the worst
// case.
TEST_CASE("Pose scores match the double reference over 150 random shapes, and are infinite past the counts") {
  const auto device = test_device(2);
  double worst = 0;
  for (uint64_t number = 0; number < shapes(150); ++number) {
    const Case c = random_pose_case(number);
    const auto got = kernel_scores(*device, c);
    const Values expected = reference_scores(c);
    REQUIRE(got.size() == expected.size());
    const double scale = double(c.problem.pixels.size());  // |X|² and |gS|² are about P
    for (size_t i = 0; i < got.size(); ++i) {
      CHECK(std::isinf(got[i]) == std::isinf(expected[i]));
      if (!std::isinf(expected[i]))
        worst = std::max(worst, std::abs(double(got[i]) - expected[i]) / std::max(scale, expected[i]));
    }
  }
  MESSAGE("worst error, of |X|² + |S|² " << worst);
  CHECK(worst < 2e-6);
}

TEST_CASE("Pose scores and bounds have the same bits for 1, 2 and 3 threads") {
  const auto one = test_device(1), two = test_device(2), three = test_device(3);
  for (const uint64_t number : {10u, 20u, 30u, 33u}) {
    const Case c = random_pose_case(number);
    CHECK(kernel_scores(*two, c) == kernel_scores(*one, c));
    CHECK(kernel_scores(*three, c) == kernel_scores(*one, c));
  }
}

TEST_CASE("Pose bounds match the double reference over 60 random shapes") {
  const auto device = test_device(2);
  double worst = 0;
  for (uint64_t number = 0; number < shapes(60); ++number) {
    const Case c = random_pose_case(number);
    Draws draws(number + 70);
    const auto pixels = static_cast<int64_t>(c.problem.pixels.size());
    const auto host_slices = draws.normals(c.images * pixels), host_shifts = draws.normals(2 * c.images);
    const Buffer<float> slices = on_device(*device, host_slices, c.images, pixels),
                        pictures = on_device(*device, c.pictures, c.images, c.stride),
                        shifts = on_device(*device, host_shifts, c.images, 2), bound(*device, 1, c.images);
    Buffer<float> ctf;
    if (!c.ctf.empty()) ctf = on_device(*device, c.ctf, c.images, c.stride);
    const Buffer<Pixel> lattice = on_device(*device, c.problem.pixels);
    pose_bound(*device, PoseBound{.slices = slices.view(),
                                  .images = pictures.view(),
                                  .ctf = ctf.view(),
                                  .shifts = shifts.view(),
                                  .pixels = lattice.view(),
                                  .bound = bound.view(),
                                  .side = c.problem.side});
    const Values s = widen(host_slices), x = widen(c.pictures), g = widen(c.ctf);
    Values expected;
    for (int64_t b = 0; b < c.images; ++b)
      expected.push_back(c.problem.score(&s[size_t(b * pixels)], &x[size_t(b * c.stride)],
                                         g.empty() ? nullptr : &g[size_t(b * c.stride)],
                                         double(host_shifts[size_t(2 * b)]), double(host_shifts[size_t(2 * b + 1)])));
    worst = std::max(worst, relative_error(bound.download(), expected));
  }
  MESSAGE("worst " << worst);
  CHECK(worst < 2e-6);  // as the loss, and the shift's phase as above
}

TEST_CASE("What unseen pixels may take off matches the double reference over 60 random shapes") {
  const auto device = test_device(2);
  double worst = 0;
  for (uint64_t number = 0; number < shapes(60); ++number) {
    const Case c = random_pose_case(number);
    Draws draws(number + 270);
    const auto pixels = static_cast<int64_t>(c.problem.pixels.size());
    const int64_t many = draws.integer(1, 11), first = draws.integer(0, static_cast<int>(pixels));
    const auto host_slices = draws.normals(many * pixels), host_moved = draws.normals(many * pixels),
               before = draws.normals(c.images);
    const Buffer<float> slices = on_device(*device, host_slices, many, pixels),
                        moved = on_device(*device, host_moved, many, pixels),
                        pictures = on_device(*device, c.pictures, c.images, c.stride),
                        bound = on_device(*device, before);
    Buffer<float> ctf;
    if (!c.ctf.empty()) ctf = on_device(*device, c.ctf, c.images, c.stride);
    pose_reserve(*device, PoseReserve{.slices = slices.view(),
                                      .moved = moved.view(),
                                      .images = pictures.view(),
                                      .ctf = ctf.view(),
                                      .bound = bound.view(),
                                      .first = first,
                                      .deviations = 3});
    Values expected;
    for (int64_t b = 0; b < c.images; ++b) {
      double norm = 0, unseen_most = 0, cell = 0;
      for (int64_t m = 0; m < many; ++m) {
        double power[2] = {0, 0}, variance = 0;  // power in the band, beyond it
        norm = 0;
        for (int64_t p = 0; p < pixels; ++p) {
          const size_t unseen = p >= first;
          const double g = c.ctf.empty() ? 1 : double(c.ctf[size_t(b * c.stride + p)]);
          const double slice = double(host_slices[size_t(m * pixels + p)]),
                       d = g * (unseen ? slice : slice - double(host_moved[size_t(m * pixels + p)])),
                       x = double(c.pictures[size_t(b * c.stride + p)]);
          power[unseen] += d * d;
          if (unseen) variance += d * d * x * x, norm += x * x;
        }
        unseen_most = std::max(unseen_most, power[1] + 2 * 3 * std::sqrt(variance));
        cell += power[0] / double(many);
      }
      expected.push_back(double(before[size_t(b)]) - norm + unseen_most + cell);
    }
    worst = std::max(worst, relative_error(bound.download(), expected));
  }
  MESSAGE("worst " << worst);
  CHECK(worst < 2e-6);
}

TEST_CASE("Pose equations match the double reference over 60 random shapes") {
  const auto device = test_device(2);
  double worst = 0;
  for (uint64_t number = 0; number < shapes(60); ++number) {
    const Case c = random_pose_case(number);
    Draws draws(number + 170);
    const auto pixels = static_cast<int64_t>(c.problem.pixels.size());
    const float step = 0.01f;
    const auto host_slices = draws.normals(4 * c.images * pixels), host_targets = draws.normals(c.images * pixels);
    const auto host_ctf = number % 2 ? draws.normals(c.images * pixels) : std::vector<float>{};
    const Buffer<float> slices = on_device(*device, host_slices, 4 * c.images, pixels),
                        targets = on_device(*device, host_targets, c.images, pixels),
                        sums(*device, c.images, pose_equation_sums);
    Buffer<float> ctf;
    if (!host_ctf.empty()) ctf = on_device(*device, host_ctf, c.images, pixels);
    const Buffer<Pixel> lattice = on_device(*device, c.problem.pixels);
    pose_equations(*device, PoseEquations{.slices = slices.view(),
                                          .targets = targets.view(),
                                          .ctf = ctf.view(),
                                          .pixels = lattice.view(),
                                          .sums = sums.view(),
                                          .side = c.problem.side,
                                          .step_rad = step});
    Values expected;
    for (int64_t b = 0; b < c.images; ++b) {
      std::vector<Values> rows(6);
      for (int64_t p = 0; p < pixels; ++p) {
        const auto slice = [&](int64_t row, int64_t at) {
          return double(host_slices[size_t((4 * b + row) * pixels + at)]);
        };
        const double g = host_ctf.empty() ? 1 : double(host_ctf[size_t(b * pixels + p)]);
        const double opposite = -2 * std::numbers::pi / c.problem.side * g * slice(0, p ^ 1);
        for (int64_t axis = 0; axis < 3; ++axis)
          rows[size_t(axis)].push_back(g * (slice(axis + 1, p) - slice(0, p)) / double(step));
        rows[3].push_back(c.problem.pixels[size_t(p)].x * opposite);
        rows[4].push_back(c.problem.pixels[size_t(p)].y * opposite);
        rows[5].push_back(g * slice(0, p) - double(host_targets[size_t(b * pixels + p)]));
      }
      for (size_t i = 0; i < 6; ++i)
        for (size_t j = 0; j <= i; ++j)
          expected.push_back(std::inner_product(rows[i].begin(), rows[i].end(), rows[j].begin(), 0.0));
    }
    worst = std::max(worst, relative_error(sums.download(), expected));
  }
  MESSAGE("worst " << worst);
  CHECK(worst < 1e-5);  // sums of a few hundred products whose signs differ
}

TEST_CASE("Pose selection keeps the best below the bound in order, as its definition does, and counts") {
  const auto device = test_device(2);
  for (uint64_t number = 0; number < shapes(200); ++number) {
    const Case c = random_pose_case(number);
    Draws draws(number + 900);
    const PoseListsOnDevice at(*device, c);
    const int64_t candidates = int64_t{c.rotations} * c.shifts, keep = draws.integer(1, 12);
    std::vector<float> host;
    for (int64_t i = 0; i < c.images * candidates; ++i)
      host.push_back(static_cast<float>(draws.integer(0, 40)));  // with ties
    const std::vector<float> bounds(size_t(c.images), static_cast<float>(draws.integer(-1, 41)));
    const Buffer<float> scores = on_device(*device, host, c.images, candidates), bound = on_device(*device, bounds);
    const bool bounded = draws.coin(), per_rotation = draws.coin();
    const KeptOnDevice kept(*device, c.images, keep);
    pose_select(*device, PoseSelect{.nodes = at.view,
                                    .scores = scores.view(),
                                    .bound = bounded ? bound.view() : View<const float>{},
                                    .kept = kept.view,
                                    .per_rotation = per_rotation});
    const auto count = kept.count.download(), below = kept.below.download();
    const auto rotations = kept.rotations.download();
    const auto shifts = kept.shifts.download();
    const auto values = kept.scores.download();
    for (int64_t b = 0; b < c.images; ++b) {
      const int64_t list = c.shared ? 0 : b, nr = c.rotation_count[size_t(list)], nt = c.shift_count[size_t(list)];
      std::vector<Candidate> all;
      for (int64_t r = 0; r < nr; ++r)
        for (int64_t t = 0; t < nt; ++t) all.push_back({double(host[size_t(b * candidates + r * c.shifts + t)]), r, t});
      const Selection expected = select(all, bounded ? double(bounds[size_t(b)]) : INFINITY, keep, per_rotation);
      CHECK(below[size_t(b)] == expected.below);
      REQUIRE(count[size_t(b)] == static_cast<int32_t>(expected.kept.size()));
      for (size_t i = 0; i < expected.kept.size(); ++i) {
        const Candidate& e = expected.kept[i];
        const size_t place = size_t(b * keep) + i;
        CHECK(double(values[place]) == e.score);
        CHECK(rotations[place] == c.nodes[size_t(list * c.rotations + e.rotation)]);
        CHECK(same(shifts[place], c.moves[size_t(list * c.shifts + e.shift)]));
      }
    }
  }
}

// The angle of a matrix in floats is wrong by 3e-7 at 1.5 turns, and its quaternion enters squared.
TEST_CASE("Pose expansion lists every child once, with its matrix, and marks the rest inactive") {
  const auto device = test_device(2);
  for (uint64_t number = 0; number < shapes(100); ++number) {
    Draws draws(number);
    const int images = draws.integer(1, 3), keep = draws.integer(1, 8), level = draws.integer(1, 4);
    const bool overlapping = draws.coin();
    const int cell = draws.integer(0, 4) == 0 ? 0 : 4 << draws.integer(0, 3);
    KeptOnDevice kept(*device, images, keep);
    std::vector<GridRotation> rotations;
    std::vector<ShiftNode> shifts;
    std::vector<int32_t> count;
    for (int i = 0; i < images * keep; ++i) {  // few pixels and near shifts, so that children coincide
      rotations.push_back({draws.integer(0, 3), draws.integer(0, static_cast<int>(so3_angles(level)) - 1)});
      shifts.push_back({draws.integer(-2, 2) * std::max(cell, 1), draws.integer(-2, 2) * std::max(cell, 1)});
    }
    for (int b = 0; b < images; ++b) count.push_back(draws.integer(1, keep));
    kept.rotations.upload(rotations), kept.shifts.upload(shifts), kept.count.upload(count);
    Case empty;
    empty.images = empty.lists = images, empty.rotations = 8 * keep, empty.shifts = 9 * keep;
    empty.nodes.resize(size_t(images * 8 * keep)), empty.moves.resize(size_t(images * 9 * keep));
    empty.rotation_count.resize(size_t(images)), empty.shift_count.resize(size_t(images));
    const PoseListsOnDevice children(*device, empty);
    pose_expand(*device, PoseExpand{.kept = kept.view,
                                    .children = children.view,
                                    .level = level,
                                    .shift_cell = cell,
                                    .overlapping_shifts = overlapping});
    const auto nodes = children.nodes.download();
    const auto moves = children.moves.download();
    const auto active = children.active.download(), nr = children.rotation_count.download(),
               nt = children.shift_count.download();
    const auto matrices = children.matrices.download();
    for (int b = 0; b < images; ++b) {
      const auto first = size_t(b * keep), last = first + size_t(count[size_t(b)]), at = size_t(b * 8 * keep);
      std::set<Node> r, t;
      for (size_t i = at; i < at + size_t(nr[size_t(b)]); ++i) {
        r.insert({nodes[i].pixel, nodes[i].psi});
        double matrix[9];
        so3_matrix(nodes[i], level + 1, matrix);
        for (size_t m = 0; m < 9; ++m) CHECK(std::abs(double(matrices[9 * i + m]) - matrix[m]) < 2e-6);
      }
      for (size_t i = 0; i < size_t(nt[size_t(b)]); ++i)
        t.insert({moves[size_t(b * 9 * keep) + i].x, moves[size_t(b * 9 * keep) + i].y});
      CHECK(r.size() == size_t(nr[size_t(b)]));
      CHECK(t.size() == size_t(nt[size_t(b)]));
      CHECK(r == child_rotations({rotations.begin() + int64_t(first), rotations.begin() + int64_t(last)}, level));
      const std::vector<ShiftNode> parents(shifts.begin() + int64_t(first), shifts.begin() + int64_t(last));
      CHECK(t == child_shifts(parents, cell, overlapping || cell == 0));
      for (size_t i = 0; i < size_t(8 * keep); ++i) CHECK(active[at + i] == (i < size_t(nr[size_t(b)]) ? 1 : 0));
    }
  }
}

// 20,000 images of the same four scores: shares within 5 standard deviations of the posterior's.
TEST_CASE("Drawn poses: a candidate's share is its posterior probability, and the same bits are drawn again") {
  const auto device = test_device(2);
  const int64_t images = 20000, pixels = 50;
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> one = {103, 100, 101, infinity, 108};  // sigma^2 = 100/50
  std::vector<float> host;
  std::vector<int32_t> numbers;
  for (int32_t i = 0; i < images; ++i) host.insert(host.end(), one.begin(), one.end()), numbers.push_back(7 * i);
  const Buffer<float> best = on_device(*device, std::vector<float>(size_t(images), 100.0f));
  const Buffer<int32_t> image = on_device(*device, numbers);
  const auto draw = [&](uint32_t epoch) {
    const Buffer<float> scores = on_device(*device, host, images, 5);
    pose_draw(*device, PoseDraw{.scores = scores.view(),
                                .best = best.view(),
                                .image = image.view(),
                                .pixels = pixels,
                                .seed = 3,
                                .sub = epoch});
    return scores.download();
  };
  const auto drawn = draw(1);
  CHECK(draw(1) == drawn);
  CHECK(draw(2) != drawn);
  double shares[5] = {}, total = 0;
  for (int64_t i = 0; i < images; ++i)
    shares[std::min_element(drawn.begin() + 5 * i, drawn.begin() + 5 * i + 5) - (drawn.begin() + 5 * i)] += 1;
  for (const float score : one) total += std::exp(-(double(score) - 100) / 4);
  for (size_t c = 0; c < 5; ++c) {
    const double p = std::exp(-(double(one[c]) - 100) / 4) / total;
    CHECK(std::abs(shares[c] / double(images) - p) <= 5 * std::sqrt(p * (1 - p) / double(images)));
  }
}

TEST_CASE("The best pose is the least score's matrix and shift") {
  const auto device = test_device(1);
  for (uint64_t number = 0; number < shapes(40); ++number) {
    const Case c = random_pose_case(number);
    const PoseListsOnDevice at(*device, c);
    const auto host = kernel_scores(*device, c);
    const int64_t candidates = int64_t{c.rotations} * c.shifts;
    const Buffer<float> scores = on_device(*device, host, c.images, candidates), matrices(*device, c.images, 9),
                        shifts(*device, c.images, 2), best(*device, 1, c.images);
    pose_best(*device, PoseBest{.nodes = at.view,
                                .scores = scores.view(),
                                .matrices = matrices.view(),
                                .shifts = shifts.view(),
                                .best = best.view(),
                                .shift_unit_px = c.unit});
    const auto found = best.download(), found_matrices = matrices.download(), found_shifts = shifts.download();
    for (int64_t b = 0; b < c.images; ++b) {
      const auto row = host.begin() + b * candidates;
      const int64_t index = std::min_element(row, row + candidates) - row, list = c.shared ? 0 : b;
      CHECK(found[size_t(b)] == row[index]);
      float matrix[9];
      so3_matrix(c.nodes[size_t(list * c.rotations + index / c.shifts)], 1, matrix);
      CHECK(std::equal(matrix, matrix + 9, found_matrices.begin() + 9 * b));
      CHECK(found_shifts[size_t(2 * b + 1)] ==
            static_cast<float>(c.moves[size_t(list * c.shifts + index % c.shifts)].y) * c.unit);
    }
  }
}
