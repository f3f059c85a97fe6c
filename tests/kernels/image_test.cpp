#include "kernels/image/image.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/fourier/fourier.h"
#include "kernels/runtime/philox.h"
#include "kernels/runtime/vector_math.h"
#include "tests/reference/files.h"
#include "tests/reference/image_reference.h"
#include "tests/reference/test_device.h"

using namespace recon;

namespace {

std::vector<float> normals(int64_t count, uint64_t seed) {
  std::vector<float> out(static_cast<size_t>(count));
  const Philox philox{seed, Purpose::test};
  for (int64_t i = 0; i < count; ++i) out[static_cast<size_t>(i)] = normal_from(philox.draw(uint64_t(i)).v[0]);
  return out;
}

/// Pairs (k, −k) in any order will do for the operations; the engine's order is tested with the lattice.
std::vector<Pixel> pairs_of(int side) {
  std::vector<Pixel> pixels;
  for (int y = 0; y <= side / 2; ++y)
    for (int x = y == 0 ? 1 : -side / 2; x <= side / 2; ++x)
      if (x * x + y * y <= side * side / 4)
        for (const int sign : {1, -1})
          pixels.push_back({static_cast<int16_t>(sign * x), static_cast<int16_t>(sign * y)});
  return pixels;
}

struct Shifted {
  std::vector<float> out;
  int64_t columns;
};

Shifted shift(Device& device, const std::vector<float>& images, int64_t rows, const std::vector<Pixel>& pixels,
              const std::vector<float>& shifts, int side, const std::vector<int32_t>& source = {}) {
  const auto count = static_cast<int64_t>(pixels.size()), out_rows = static_cast<int64_t>(shifts.size() / 2);
  Buffer<float> in(device, rows, static_cast<int64_t>(images.size()) / rows), out(device, out_rows, count),
      moves(device, out_rows, 2);
  Buffer<Pixel> lattice(device, pixels);
  Buffer<int32_t> from;
  if (!source.empty()) from = Buffer<int32_t>(device, source);
  in.upload(images);
  moves.upload(shifts);
  shift_images(device, {.images = in.view(),
                        .source = from.view(),
                        .shifts = moves.view(),
                        .pixels = lattice.view(),
                        .out = out.view(),
                        .side = side});
  return {out.download(), count};
}

std::vector<float> ctf(Device& device, const std::vector<CtfParameters>& parameters, const std::vector<Pixel>& pixels,
                       int side, float pixel_size) {
  Buffer<CtfParameters> rows(device, parameters);
  Buffer<Pixel> lattice(device, pixels);
  Buffer<float> out(device, static_cast<int64_t>(parameters.size()), static_cast<int64_t>(pixels.size()));
  evaluate_ctf(device, {.parameters = rows.view(),
                        .source = {},
                        .pixels = lattice.view(),
                        .out = out.view(),
                        .side = side,
                        .pixel_size_angstrom = pixel_size});
  return out.download();
}

/// Images [count, side²] as the authors' loader gives them: windowed or not, Hartley, symmetrised, divided by
/// `divisor`.
std::vector<float> symmetrised(Device& device, std::vector<float> images, int count, int side, bool window,
                               double divisor) {
  Buffer<float> buffer(device, count, int64_t(side) * side);
  buffer.upload(images);
  if (window) window_images(device, {.images = buffer.view(), .side = side});
  hartley(device, Hartley2d{.images = buffer.view(), .hartley = buffer.view(), .side = side});
  std::vector<Pixel> pixels;
  for (int y = -side / 2; y <= side / 2; ++y)
    for (int x = -side / 2; x <= side / 2; ++x) pixels.push_back({static_cast<int16_t>(x), static_cast<int16_t>(y)});
  Buffer<Pixel> lattice(device, pixels);
  Buffer<float> out(device, count, static_cast<int64_t>(pixels.size()));
  gather_pixels(device, {.hartley = buffer.view(),
                         .pixels = lattice.view(),
                         .out = out.view(),
                         .side = side,
                         .scale = static_cast<float>(1 / divisor)});
  return out.download();
}

double largest_difference(const std::vector<float>& a, const std::vector<double>& b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(double(a[i]) - b[i]));
  return worst;
}

}  // namespace

TEST_CASE("the polynomial sine and cosine are within 1.5e-7 over thousands of turns") {
  double worst = 0;
  const Philox philox{1, Purpose::test};
  for (uint64_t i = 0; i < 200000; ++i) {
    const float turns = (uniform01(philox.draw(i).v[0]) - 0.5f) * (i % 2 ? 2.0f : 4096.0f);
    const double exact = 2 * std::numbers::pi * (double(turns) - std::rint(double(turns)));
    float sine, cosine;
    sincos_turns(turns, sine, cosine);
    worst = std::max({worst, std::abs(sine - std::sin(exact)), std::abs(cosine - std::cos(exact))});
  }
  CHECK(worst < 1.5e-7);
}

TEST_CASE("the soft circle is 1 inside, 0 outside and linear between, as defined") {
  const auto device = reference::test_device(2);
  for (const int side : {2, 8, 30, 64}) {
    Buffer<float> images(*device, 5, int64_t(side) * side);
    images.upload(std::vector<float>(static_cast<size_t>(5 * side * side), 1.0f));
    window_images(*device, {.images = images.view(), .side = side});
    const auto out = images.download();
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x)
        CHECK(out[static_cast<size_t>((4 * side + y) * side + x)] ==
              doctest::Approx(reference::window(x, y, side, 0.85, 0.99)).epsilon(1e-5));
  }
}

TEST_CASE("a shift equals its definition for random shapes, sources and strides") {
  const auto device = reference::test_device(3);
  const Philox philox{5, Purpose::test};
  for (int trial = 0; trial < 24; ++trial) {
    const u32x4 random = philox.draw(static_cast<uint64_t>(trial));
    const int side = 2 + 2 * static_cast<int>(random.v[0] % 33);
    const int64_t rows = 1 + random.v[1] % 9, out_rows = 1 + random.v[2] % 13;
    const auto pixels = pairs_of(side);
    const int64_t stride = static_cast<int64_t>(pixels.size()) + random.v[3] % 3;
    const auto images = normals(rows * stride, random.v[0]);
    auto shifts = normals(2 * out_rows, random.v[1]);
    for (auto& t : shifts) t *= 5;
    std::vector<int32_t> source;
    for (int64_t b = 0; b < out_rows; ++b) source.push_back(static_cast<int32_t>((b * 7 + 3) % rows));
    const auto [out, columns] = shift(*device, images, rows, pixels, shifts, side, source);
    double worst = 0;
    for (int64_t b = 0; b < out_rows; ++b)
      for (int64_t p = 0; p < columns; ++p) {
        const float* image = &images[static_cast<size_t>(source[static_cast<size_t>(b)] * stride)];
        const double expected =
            reference::shifted(image[p], image[p ^ 1], pixels[static_cast<size_t>(p)],
                               shifts[static_cast<size_t>(2 * b)], shifts[static_cast<size_t>(2 * b + 1)], side);
        worst = std::max(worst, std::abs(expected - out[static_cast<size_t>(b * columns + p)]));
      }
    // |k·t| reaches 40 turns at 6e-8 relative, on values up to 5: 40·6e-8·2π·5·2.
    CHECK(worst < 1.5e-4);
  }
}

TEST_CASE("shifting by t and then by −t gives the image back, and a shift is the adjoint of its opposite") {
  const auto device = reference::test_device(2);
  const int side = 30;
  const auto pixels = pairs_of(side);
  const auto count = static_cast<int64_t>(pixels.size());
  const auto a = normals(count, 1), b = normals(count, 2);
  const auto there = shift(*device, a, 1, pixels, {3.7f, -2.2f}, side).out;
  const auto back = shift(*device, there, 1, pixels, {-3.7f, 2.2f}, side).out;
  const auto adjoint = shift(*device, b, 1, pixels, {-3.7f, 2.2f}, side).out;
  double worst = 0, left = 0, right = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, double(std::abs(back[i] - a[i])));
    left += double(there[i]) * b[i];
    right += double(a[i]) * adjoint[i];
  }
  CHECK(worst < 1e-5);
  CHECK(left == doctest::Approx(right).epsilon(1e-5));
}

TEST_CASE("without shifts the operation is a plain gather of rows") {
  const auto device = reference::test_device(2);
  const auto pixels = pairs_of(8);
  const auto count = static_cast<int64_t>(pixels.size());
  const auto images = normals(3 * count, 1);
  Buffer<float> in(*device, 3, count), out(*device, 2, count);
  Buffer<Pixel> lattice(*device, pixels);
  Buffer<int32_t> source(*device, std::vector<int32_t>{2, 0});
  in.upload(images);
  shift_images(*device, {.images = in.view(),
                         .source = source.view(),
                         .shifts = {},
                         .pixels = lattice.view(),
                         .out = out.view(),
                         .side = 8});
  const auto result = out.download();
  CHECK(std::equal(result.begin(), result.begin() + count, images.begin() + 2 * count));
  CHECK(std::equal(result.begin() + count, result.end(), images.begin()));
}

TEST_CASE("the CTF of the CPU backend is within 1e-5 of the scalar formula and of the double reference") {
  const auto device = reference::test_device(2);
  const Philox philox{9, Purpose::test};
  std::vector<CtfParameters> rows;
  for (uint64_t i = 0; i < 12; ++i) {
    const u32x4 a = philox.draw(i), b = philox.draw(i, 1);
    rows.push_back({.defocus_u_angstrom = 5000 + 40000 * uniform01(a.v[0]),
                    .defocus_v_angstrom = 5000 + 40000 * uniform01(a.v[1]),
                    .defocus_angle_rad = 3 * uniform01(a.v[2]),
                    .voltage_kv = i % 2 ? 200.0f : 300.0f,
                    .spherical_aberration_mm = 3 * uniform01(a.v[3]),
                    .amplitude_contrast = 0.2f * uniform01(b.v[0]),
                    .phase_shift_rad = i % 3 ? 0 : 1.5f,
                    .b_factor_angstrom2 = i % 4 ? 0 : 50.0f,
                    .scale = 1 + uniform01(b.v[1])});
  }
  for (const int side : {16, 66}) {
    const auto pixels = pairs_of(side);
    const float pixel_size = 1.3f;
    const auto out = ctf(*device, rows, pixels, side, pixel_size);
    double to_scalar = 0, to_reference = 0;
    for (size_t n = 0; n < rows.size(); ++n)
      for (size_t p = 0; p < pixels.size(); ++p) {
        const double step = 1.0 / (side * double(pixel_size)), sx = pixels[p].x * step, sy = pixels[p].y * step;
        const double value = out[n * pixels.size() + p];
        to_scalar = std::max(to_scalar, std::abs(value - ctf_value(rows[n], sx, sy)));
        to_reference = std::max(to_reference, std::abs(value - reference::ctf(rows[n], sx, sy)));
      }
    CHECK(to_scalar < 1e-5);
    CHECK(to_reference < 1e-5);
  }
}

TEST_CASE("phase flipping multiplies by the sign of the CTF and may be done in place") {
  const auto device = reference::test_device(2);
  Buffer<float> image(*device, std::vector<float>{1, -2, 3, -4}),
      ctf_values(*device, std::vector<float>{-0.5f, 0.5f, 0, -1});
  phase_flip(*device, {.in = image.view(), .ctf = ctf_values.view(), .out = image.view()});
  CHECK(image.download() == std::vector<float>{-1, -2, 0, 4});
}

// The authors' wavelength (12.2639/√V…) is 3e-5 longer than CODATA's; the phase reaches π λ df s²/… = 120 rad here.
TEST_CASE("the CTF agrees with the authors' code") {
  const auto folder = reference::data_folder();
  if (folder.empty()) {
    MESSAGE("reference data not found: skipped");
    return;
  }
  const auto file = reference::read_npz(folder / "reference/ctf.npz");
  for (const char* name : {"ctf1", "ctf2"}) {
    const auto& values = file.at(name).values;
    const auto& p = file.at(std::string(name) + "_params").values;
    const auto& frequency = file.at("freqs_px");
    const double degree = std::numbers::pi / 180;
    const CtfParameters parameters{.defocus_u_angstrom = float(p[2]),
                                   .defocus_v_angstrom = float(p[3]),
                                   .defocus_angle_rad = float(p[4] * degree),
                                   .voltage_kv = float(p[5]),
                                   .spherical_aberration_mm = float(p[6]),
                                   .amplitude_contrast = float(p[7]),
                                   .phase_shift_rad = float(p[8] * degree)};
    double worst = 0;
    for (int64_t i = 0; i < frequency.rows(); ++i) {
      const double sx = frequency(i, 0) / p[1], sy = frequency(i, 1) / p[1], s2 = sx * sx + sy * sy;
      const double phase_error = 4e-5 * std::numbers::pi * 0.025 * std::max(p[2], p[3]) * s2;
      worst = std::max(worst, std::abs(ctf_value(parameters, sx, sy) - values[static_cast<size_t>(i)]) - phase_error);
    }
    CHECK(worst < 2e-5);
  }
}

TEST_CASE("ten ribosome images have the authors' Hartley coefficients, with and without the window") {
  const auto folder = reference::data_folder();
  if (folder.empty()) {
    MESSAGE("reference data not found: skipped");
    return;
  }
  const auto device = reference::test_device(2);
  const auto file = reference::read_npz(folder / "reference/hartley_ribo32_first10.npz");
  const auto stack = reference::read_mrc(folder / "ribo32/particles_clean.mrcs");
  const std::vector<float> images(stack.values.begin(), stack.values.begin() + 10 * 32 * 32);
  for (const bool window : {false, true}) {
    const std::string suffix = window ? "_windowed" : "";
    const auto out = symmetrised(*device, images, 10, 32, window, file.at("norm" + suffix).values[1]);
    CHECK(largest_difference(out, file.at("ht" + suffix).values) < 1e-5);
  }
}

TEST_CASE("eleven images of a hand have the authors' coefficients after inversion, window and normalisation") {
  const auto folder = reference::data_folder();
  if (folder.empty()) {
    MESSAGE("reference data not found: skipped");
    return;
  }
  const auto device = reference::test_device(2);
  const auto expected = reference::read_npy(folder / "cryodrgn/hand_11_particles.npy");
  const auto stack = reference::read_mrc(folder / "cryodrgn/hand.mrcs");
  std::vector<float> images;
  for (const int n : {43, 12, 53, 64, 31, 56, 75, 63, 27, 62, 96})
    for (int i = 0; i < 64 * 64; ++i)
      images.push_back(-static_cast<float>(stack.values[static_cast<size_t>(n * 4096 + i)]));
  // Their norm is the deviation (about zero mean) of the un-windowed symmetrised stack.
  const std::vector<float> all(stack.values.begin(), stack.values.end());
  const auto transformed = symmetrised(*device, all, 100, 64, false, 1);
  double sum = 0, squares = 0;
  for (const float value : transformed) sum += value, squares += double(value) * value;
  const double mean = sum / double(transformed.size());
  const double deviation = std::sqrt(squares / double(transformed.size()) - mean * mean);
  CHECK(deviation == doctest::Approx(94.4594).epsilon(1e-5));
  const auto out = symmetrised(*device, images, 11, 64, true, deviation);
  // Their test's tolerance: numpy.allclose with atol = rtol = 1e-5.
  double worst = 0;
  for (size_t i = 0; i < out.size(); ++i)
    worst = std::max(worst, std::abs(out[i] - expected.values[i]) / (1 + std::abs(expected.values[i])));
  CHECK(worst < 1e-5);
}

TEST_CASE("a shift of (5, 10) moves the content right by 5 and down by 10, as the authors' does") {
  const auto folder = reference::data_folder();
  if (folder.empty()) {
    MESSAGE("reference data not found: skipped");
    return;
  }
  const auto device = reference::test_device(2);
  const int side = 64;
  const auto expected = reference::read_npy(folder / "cryodrgn/im_shifted.npy");
  const auto stack = reference::read_mrc(folder / "cryodrgn/hand.mrcs");
  const std::vector<float> image(stack.values.begin(), stack.values.begin() + side * side);
  const auto pixels = pairs_of(side);
  const auto packed = [&](const std::vector<float>& real) {
    Buffer<float> buffer(*device, 1, side * side), out(*device, 1, static_cast<int64_t>(pixels.size()));
    Buffer<Pixel> lattice(*device, pixels);
    buffer.upload(real);
    hartley(*device, Hartley2d{.images = buffer.view(), .hartley = buffer.view(), .side = side});
    gather_pixels(*device, {.hartley = buffer.view(), .pixels = lattice.view(), .out = out.view(), .side = side});
    return out.download();
  };
  const auto moved = shift(*device, packed(image), 1, pixels, {5, 10}, side).out;
  const auto target = packed(std::vector<float>(expected.values.begin(), expected.values.end()));
  double worst = 0, largest = 0;
  for (size_t i = 0; i < pixels.size(); ++i) {
    if (std::max(std::abs(pixels[i].x), std::abs(pixels[i].y)) == side / 2) continue;  // Nyquist: k and −k coincide
    worst = std::max(worst, double(std::abs(moved[i] - target[i])));
    largest = std::max(largest, double(std::abs(target[i])));
  }
  CHECK(worst < 1e-5 * largest);
}
