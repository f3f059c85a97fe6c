#include "engine/backproject/backproject.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <sstream>

#include "engine/analyze/fsc.h"
#include "engine/analyze/transform.h"
#include "engine/geometry/lattice.h"
#include "engine/simulate/simulate.h"
#include "kernels/fourier/fourier.h"
#include "tests/reference/files.h"

using namespace recon;

namespace {

struct ImageSet {
  int side = 0;
  int64_t count = 0;
  Buffer<float> hartley;
  Buffer<Pixel> pixels;
  Buffer<float> shifts;
  Buffer<CtfParameters> ctf;
  std::vector<Matrix3> rotations;
  float pixel_size = 1;

  BackprojectImages rows(int64_t first, int64_t n) const {
    return {.images = hartley.rows(first, n),
            .pixels = pixels.view(),
            .rotations = std::span(rotations).subspan(size_t(first), size_t(n)),
            .shifts = shifts.rows(first, n),
            .ctf = ctf.empty() ? View<const CtfParameters>{} : View<const CtfParameters>{ctf.view().data + first, 1, n},
            .half_set = {},
            .pixel_size_angstrom = pixel_size};
  }
};

ImageSet image_set(Device& device, std::vector<float> images, int side, std::vector<Matrix3> rotations,
                   const std::vector<float>& shifts) {
  const auto count = static_cast<int64_t>(rotations.size());
  const auto pixels = circular_pixels(side, side / 2);
  ImageSet set;
  set.side = side;
  set.count = count;
  set.rotations = std::move(rotations);
  set.pixels = Buffer<Pixel>(device, pixels);
  set.shifts = Buffer<float>(device, count, 2);
  set.shifts.upload(shifts);
  set.hartley = Buffer<float>(device, count, static_cast<int64_t>(pixels.size()));
  Buffer<float> real(device, count, int64_t(side) * side);
  real.upload(images);
  hartley(device, Hartley2d{.images = real.view(), .hartley = real.view(), .side = side});
  gather_pixels(device, {.hartley = real.view(), .pixels = set.pixels.view(), .out = set.hartley.view(), .side = side});
  return set;
}

ImageSet simulated(Device& device, const GaussianModel& model, int64_t count, bool ctf, double snr) {
  const auto truths = draw_truths({.images = count, .seed = 1, .shift_extent_px = 2});
  Buffer<float> images(device, count, int64_t(model.box) * model.box);
  const float pixel_size = float(model.pixel_size_angstrom);
  render(device, *projectable(model), truths, ctf ? pixel_size : 0, images.view());
  if (snr > 0) add_noise(device, images.view(), 0, std::sqrt(variance(images.download()) / snr), 1);
  std::vector<Matrix3> rotations;
  std::vector<float> shifts;
  std::vector<CtfParameters> parameters;
  for (const ImageTruth& truth : truths) {
    rotations.push_back(truth.rotation);
    shifts.insert(shifts.end(), {float(truth.shift_px[0]), float(truth.shift_px[1])});
    parameters.push_back(truth.ctf);
  }
  ImageSet set = image_set(device, images.download(), model.box, rotations, shifts);
  if (ctf) set.ctf = Buffer<CtfParameters>(device, parameters);
  set.pixel_size = pixel_size;
  return set;
}

BackprojectResult reconstruct(Device& device, const ImageSet& set, int64_t batch) {
  Backprojection backprojection(device, set.side);
  for (int64_t first = 0; first < set.count; first += batch)
    backprojection.insert(set.rows(first, std::min(batch, set.count - first)));
  return backprojection.finish();
}

ImageSet ribosome(Device& device, const std::filesystem::path& folder, const char* stack) {
  const auto images = reference::read_mrc(folder / "ribo64" / stack);
  std::ifstream poses(folder / "ribo64/poses.csv");
  std::string line;
  std::getline(poses, line);
  std::vector<Matrix3> rotations;
  std::vector<float> shifts;
  while (std::getline(poses, line)) {
    std::replace(line.begin(), line.end(), ',', ' ');
    std::istringstream row(line);
    Matrix3 r;
    float x = 0, y = 0;
    for (double& entry : r) row >> entry;
    row >> x >> y;
    rotations.push_back(r);
    shifts.insert(shifts.end(), {x, y});
  }
  return image_set(device, std::vector<float>(images.values.begin(), images.values.end()), 64, std::move(rotations),
                   shifts);
}

}  // namespace

TEST_CASE("a molecule is recovered from exact projections, in its own grey values") {
  const auto device = Device::cpu(2);
  const GaussianModel model = one_bond_complex(32);
  const auto truth = model_volume(*device, model, 0.5);
  const auto result = reconstruct(*device, simulated(*device, model, 400, false, 0), 400);
  const auto curve = fourier_shell_correlation(*device, result.volume, truth, 32);
  // The blobs' transform falls a thousandfold to Nyquist, so the interpolation's error shows in the last shells.
  CHECK(*std::min_element(curve.begin(), curve.end() - 4) > 0.997);
  CHECK(*std::min_element(curve.begin(), curve.end()) > 0.9);
  CHECK(resolution_px(result.fsc, 0.143) == 2);
  double mean = 0, cross = 0, square = 0;
  for (const float value : truth) mean += value / double(truth.size());
  for (size_t i = 0; i < truth.size(); ++i) {
    cross += (truth[i] - mean) * result.volume[i];
    square += (truth[i] - mean) * (truth[i] - mean);
  }
  CHECK(cross / square == doctest::Approx(1).epsilon(0.02));
}

TEST_CASE("the CTF is undone where the images together have seen every frequency") {
  const auto device = Device::cpu(2);
  const GaussianModel model = one_bond_complex(32);
  const auto truth = model_volume(*device, model, 0.5);
  const auto result = reconstruct(*device, simulated(*device, model, 600, true, 0), 600);
  const auto curve = fourier_shell_correlation(*device, result.volume, truth, 32);
  CHECK(*std::min_element(curve.begin(), curve.end() - 4) > 0.99);
  CHECK(*std::min_element(curve.begin(), curve.end()) > 0.85);
}

TEST_CASE("the map has the same bits for any number of threads and any cut into batches") {
  const auto one = Device::cpu(1), three = Device::cpu(3);
  const GaussianModel model = one_bond_complex(16);
  const auto a = reconstruct(*one, simulated(*one, model, 301, true, 0.1), 301);
  const auto b = reconstruct(*three, simulated(*three, model, 301, true, 0.1), 77);
  CHECK(a.volume == b.volume);
  CHECK(a.half_a == b.half_a);
  CHECK(a.fsc == b.fsc);
}

TEST_CASE("halves of noisy images agree where the signal is and the Wiener filter damps the rest") {
  const auto device = Device::cpu(2);
  const GaussianModel model = one_bond_complex(32);
  const auto truth = model_volume(*device, model, 0.5);
  const auto result = reconstruct(*device, simulated(*device, model, 300, false, 0.05), 300);
  CHECK(result.fsc[1] > 0.8);
  const double from_halves = resolution_px(result.fsc, 0.143);
  const double from_truth = resolution_px(fourier_shell_correlation(*device, result.volume, truth, 32), 0.5);
  CHECK(from_halves == doctest::Approx(from_truth).epsilon(0.3));  // Rosenthal & Henderson 2003: 0.143 of halves is 0.5
  double filtered = 0, plain = 0;
  for (size_t i = 0; i < result.volume.size(); ++i) {
    filtered += double(result.volume[i]) * result.volume[i];
    const double whole = 0.5 * (double(result.half_a[i]) + result.half_b[i]);
    plain += whole * whole;
  }
  CHECK(filtered < 0.9 * plain);
}

TEST_CASE("a map from poses of another frame, origin and hand is brought onto the truth by the poses' alignment") {
  const auto device = Device::cpu(2);
  const GaussianModel model = one_bond_complex(32);
  const auto truth = model_volume(*device, model, 0.5);
  for (const bool flipped : {false, true}) {
    ImageSet set = simulated(*device, model, 300, false, 0);
    const std::vector<Matrix3> true_rotations = set.rotations;
    const auto host = set.shifts.download();
    const std::vector<double> true_shifts(host.begin(), host.end());
    const Matrix3 q = random_rotation({3, Purpose::test}, 1);
    const Vector3 offset = {0.7, -1.1, 0.4};
    std::vector<double> shifts = true_shifts;
    for (size_t i = 0; i < set.rotations.size(); ++i) {
      Matrix3 r = multiply(true_rotations[i], transpose(q));  // R_true = M R M Q
      if (flipped) r = {r[0], r[1], -r[2], r[3], r[4], -r[5], -r[6], -r[7], r[8]};
      set.rotations[i] = r;
      const Vector3 moved = multiply(true_rotations[i], offset);
      shifts[2 * i] += moved[0];
      shifts[2 * i + 1] += moved[1];
    }
    set.shifts.upload(std::vector<float>(shifts.begin(), shifts.end()));
    const auto elsewhere = reconstruct(*device, set, 300).volume;
    const PoseErrors errors = align_poses(set.rotations, true_rotations, shifts, true_shifts);
    CHECK(errors.alignment.flipped == flipped);
    CHECK(errors.degrees_median < 1e-3);
    CHECK(errors.shift_median_px < 1e-3);
    const auto aligned = transform_volume(*device, elsewhere, 32, errors.alignment);
    const auto before = fourier_shell_correlation(*device, elsewhere, truth, 32);
    const auto after = fourier_shell_correlation(*device, aligned, truth, 32);
    CHECK(mean_correlation(before) < 0.5);
    CHECK(*std::min_element(after.begin(), after.begin() + 10) > 0.997);
  }
}

TEST_CASE("counts that differ are refused") {
  const auto device = Device::cpu(1);
  const ImageSet set = simulated(*device, one_bond_complex(16), 4, false, 0);
  Backprojection backprojection(*device, 16);
  auto images = set.rows(0, 4);
  images.rotations = images.rotations.subspan(1);
  CHECK_THROWS_AS(backprojection.insert(images), ContractError);
  CHECK_THROWS_AS(backprojection.finish(), ContractError);
}

TEST_CASE("1,000 clean ribosome projections give FSC >= 0.98 in every shell, noisy ones 4.6 pixels" *
          doctest::test_suite("slow")) {
  const auto folder = reference::data_folder();
  if (folder.empty()) {
    MESSAGE("reference data not found: skipped");
    return;
  }
  const auto device = Device::cpu();
  const auto map = reference::read_mrc(folder / "ribo64/gt_map64.mrc");
  const std::vector<float> truth(map.values.begin(), map.values.end());
  const auto clean = reconstruct(*device, ribosome(*device, folder, "particles_clean.mrcs"), 1000);
  const auto curve = fourier_shell_correlation(*device, clean.volume, truth, 64);
  CHECK(*std::min_element(curve.begin(), curve.end()) > 0.98);
  const auto noisy = reconstruct(*device, ribosome(*device, folder, "particles_snr0.1.mrcs"), 1000);
  CHECK(resolution_px(fourier_shell_correlation(*device, noisy.volume, truth, 64), 0.5) < 4.7);  // RELION: 4.61
}
