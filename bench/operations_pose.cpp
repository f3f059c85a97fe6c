// The base level of a pose search: shared slices of all rotations against images at 7 × 7 shifts.
#include "bench/problem.h"
#include "tests/kernels/pose_case.h"

namespace recon::bench {
namespace {

constexpr int shifts_an_axis = 7;
constexpr int shift_period = 24;  ///< shifts are multiples of a 24th of the box, so that a transform holds them

/// Of the two base grids, the one with Finer times as many rotations.
template <int Finer>
PoseCase pose_case(const Size& s) {
  Draws draws(9);
  PoseCase c;
  c.problem.side = s.box, c.problem.pixels = circular_pixels(s.box, std::min(12, s.box / 2));
  c.images = s.batch, c.rotations = Finer * s.rotations, c.shifts = shifts_an_axis * shifts_an_axis;
  c.shared = c.slices_shared = true;
  c.unit = float(s.box) / shift_period;
  c.nodes.resize(size_t(c.rotations));
  for (int t = 0; t < c.shifts; ++t)
    c.moves.push_back({t % shifts_an_axis - shifts_an_axis / 2, t / shifts_an_axis - shifts_an_axis / 2});
  c.rotation_count = {c.rotations}, c.shift_count = {c.shifts};
  const auto pixels = int64_t(c.problem.pixels.size());
  c.stride = int(pixels);
  c.slices = draws.normals(c.rotations * pixels), c.pictures = draws.normals(c.images * pixels);
  c.ctf = draws.normals(c.images * pixels, 0.7);
  return c;
}

template <int Finer>
Problem<PoseScore> pose_problem(Device& device, const Size& s) {
  struct Memory {
    PoseCase problem;
    std::unique_ptr<PoseScoreOnDevice> device;
  };
  auto m = std::make_shared<Memory>();
  m->problem = pose_case<Finer>(s);
  m->device = std::make_unique<PoseScoreOnDevice>(device, m->problem);
  return {m, m->device->args, [] {}, [m] { return m->device->scores.download(); },
          [m] { return expected_scores(m->problem); }};
}

/// Products, and |gS|², of which each takes three operations; slices, images, CTFs and scores once.
template <int Finer>
Work pose_work(const Size& s) {
  const double pixels = double(circular_pixels(s.box, std::min(12, s.box / 2)).size()), rotations = Finer * s.rotations,
               shifts = shifts_an_axis * shifts_an_axis;
  return {s.batch * rotations * pixels * (2 * shifts + 3),
          4 * (rotations * pixels + s.batch * (2 * pixels + rotations * shifts))};
}

template <int Finer>
std::string pose_text(const Size& s) {
  return text("%d px, %d rotations, batch %d", s.box, Finer * s.rotations, s.batch);
}

template <int Finer>
Operation pose_operation(const char* name) {
  return operation(name, pose_text<Finer>, pose_work<Finer>, &Variants::pose_score, pose_problem<Finer>);
}

}  // namespace

std::vector<Operation> pose_operations() {
  return {pose_operation<1>("pose base level"), pose_operation<8>("fine pose base level")};
}

}  // namespace recon::bench
