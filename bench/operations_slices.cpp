// Slices out of a lattice, and out of a lattice that is made of a volume in one way or another.
#include "bench/problem.h"
#include "tests/reference/slice_case.h"
#include "tests/reference/volume_reference.h"

namespace recon::bench {
namespace {

constexpr int rotations_an_image = 10;

Problem<SampleSlices> slices_problem(Device& device, const Size& s) {
  struct Memory {
    LatticeCase problem;
    std::unique_ptr<LatticeOnDevice> device;
  };
  auto m = std::make_shared<Memory>();
  Draws draws(3);
  m->problem.problem = {.side = 2 * s.box,
                        .oversampling = 2,
                        .pixels = circular_pixels(s.box, s.box / 2 - 1),
                        .rotations = widen(random_rotations(draws, rotations_an_image * s.batch))};
  const int64_t side = m->problem.problem.side;
  m->problem.volume = draws.normals(side * side * side);
  m->device = std::make_unique<LatticeOnDevice>(device, m->problem);
  return {m, m->device->args, [] {}, [m] { return m->device->values.download(); },
          [m] { return expected_samples(m->problem); }};
}
Work slices_work(const Size& s) {
  const double samples = double(circular_pixels(s.box, s.box / 2 - 1).size()) * rotations_an_image * s.batch;
  const double sphere = 4.18879 * std::pow(s.box, 3);
  return {25 * samples, 4 * (samples + std::min(8 * samples, sphere))};
}

/// Of a density without order that fills the box, or of blobs within its inner three fifths, as a particle stands in
/// its box.
template <bool Particle>
Problem<VolumeSlices> volume_problem(Device& device, const Size& s) {
  struct Memory {
    VolumeCase problem;
    Buffer<float> density, rotations, values;
    Buffer<Pixel> pixels;
  };
  auto m = std::make_shared<Memory>();
  Draws draws(10);
  const int64_t side = s.box;
  m->problem = {.side = s.box,
                .density = Particle ? blobs(draws, s.box) : ball(draws, s.box),
                .pixels = circular_pixels(s.box, s.box / 2 - 1),
                .rotations = random_rotations(draws, rotations_an_image * s.batch)};
  m->density = on_device(device, m->problem.density, side * side, side);
  m->pixels = on_device(device, m->problem.pixels);
  m->rotations = on_device(device, m->problem.rotations, rotations_an_image * s.batch, 9);
  m->values = Buffer<float>(device, rotations_an_image * s.batch, int64_t(m->problem.pixels.size()));
  return {m,
          {m->density.view(), m->pixels.view(), m->rotations.view(), m->values.view(), s.box},
          [] {},
          [m] { return m->values.download(); },
          [m] { return exact_slices(m->problem); }};
}

}  // namespace

std::vector<Operation> slice_operations() {
  return {operation("slices of a lattice", images_text, slices_work, &Variants::slices, slices_problem),
          operation("slices of a full box", images_text, slices_work, &Variants::volume_slices, volume_problem<false>),
          operation("slices of a particle", images_text, slices_work, &Variants::volume_slices, volume_problem<true>)};
}

}  // namespace recon::bench
