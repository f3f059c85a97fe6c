#include <doctest/doctest.h>

#include "kernels/slice/variants/slice_variants_cpu.h"
#include "tests/reference/shapes.h"
#include "tests/reference/test_device.h"
#include "tests/reference/volume_reference.h"

using namespace recon;
using namespace recon::reference;

namespace {

/// The relative error of slices of `density` through a lattice.
double error_of(Device& device, const VolumeCase& c, const cpu::Interpolation& interpolation, double oversampling,
                bool bf16) {
  const int64_t side = c.side, slices = int64_t(c.rotations.size()) / 9, count = int64_t(c.pixels.size());
  const Buffer<float> density = on_device(device, c.density, side * side, side), values(device, slices, count),
                      rotations = on_device(device, c.rotations, slices, 9);
  const Buffer<Pixel> pixels = on_device(device, c.pixels);
  const VolumeSlices args{density.view(), pixels.view(), rotations.view(), values.view(), c.side};
  cpu::GriddedVolume(device, args, interpolation, oversampling, bf16).sample(device, args);
  return relative_error(values.download(), exact_slices(c));
}

VolumeCase volume_case(bool particle) {
  Draws draws(31);
  VolumeCase c{.side = 16};
  c.density = particle ? blobs(draws, c.side) : ball(draws, c.side);
  c.pixels = random_pixels(draws, c.side - 2, 150);
  c.rotations = random_rotations(draws, 10);
  return c;
}

}  // namespace

TEST_CASE("Interpolations: slices of noise that fills the box are as wrong as the kernel's images say") {
  const auto device = test_device(2);
  if (device->state_or_null()) return;  // they are of the CPU
  const VolumeCase noise = volume_case(false), particle = volume_case(true);
  struct Way {
    std::string name;
    cpu::Interpolation interpolation;
    double oversampling;
  };
  for (const Way& way : {Way{"linear", cpu::linear_interpolation(), 1},
                         {"linear", cpu::linear_interpolation(), 1.5},
                         {"linear", cpu::linear_interpolation(), 2},
                         {"cubic", cpu::cubic_spline(), 1},
                         {"cubic", cpu::cubic_spline(), 2},
                         {"Kaiser-Bessel", cpu::kaiser_bessel(1.5), 1.5},
                         {"Kaiser-Bessel", cpu::kaiser_bessel(2), 2}}) {
    INFO(way.name << " at " << way.oversampling);
    const double predicted = cpu::aliasing(way.interpolation, way.oversampling);
    const double measured = error_of(*device, noise, way.interpolation, way.oversampling, false);
    const double within = error_of(*device, particle, way.interpolation, way.oversampling, false);
    MESSAGE(way.name << " at " << way.oversampling << ": predicted " << predicted << ", noise " << measured
                     << ", particle " << within);
    CHECK(measured == doctest::Approx(predicted).epsilon(0.25));
    CHECK(within < measured);  // where the images are smaller
  }
}

TEST_CASE("Interpolations: bf16 adds its rounding and no more, and wider kernels are more exact at the same lattice") {
  const auto device = test_device(2);
  if (device->state_or_null()) return;  // they are of the CPU
  const VolumeCase noise = volume_case(false);
  const cpu::Interpolation fine = cpu::kaiser_bessel(2);
  const double exact = error_of(*device, noise, fine, 2, false), rounded = error_of(*device, noise, fine, 2, true);
  CHECK(rounded > exact);
  CHECK(rounded * rounded - exact * exact < 0x1p-18);  // 2⁻⁹, the most that a value of a lattice is rounded by
  CHECK(error_of(*device, noise, cpu::cubic_spline(), 2, false) <
        0.2 * error_of(*device, noise, cpu::linear_interpolation(), 2, false));
}
