#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/analyze/align.h"
#include "engine/analyze/fsc.h"
#include "engine/analyze/statistics.h"
#include "engine/analyze/transform.h"
#include "engine/geometry/band_limited.h"
#include "engine/simulate/model.h"

using namespace recon;

namespace {

constexpr Philox words{11, Purpose::test};

double normal(uint64_t i, uint32_t sub = 0) { return normal_from(words.draw(i, sub).v[0]); }

Matrix3 mirrored(const Matrix3& r) { return {r[0], r[1], -r[2], r[3], r[4], -r[5], -r[6], -r[7], r[8]}; }

/// True poses and estimates of them: turned and moved as a whole, perhaps of the other hand, with `noise_deg` of error,
/// a fraction `wrong` of them at random.
struct PoseSet {
  std::vector<Matrix3> truth, estimate;
  std::vector<double> true_shifts, shifts;
  Alignment made;
};
PoseSet pose_set(size_t count, bool flipped, double noise_deg, double wrong) {
  PoseSet set;
  set.made = {.rotation = random_rotation(words, 999), .flipped = flipped, .offset_px = {1.5, -2, 0.7}};
  for (size_t i = 0; i < count; ++i) {
    const Matrix3 truth = random_rotation(words, i);
    // truth = M R M Q, so R = M (truth Qᵀ) M.
    const Vector3 axis = {normal(i, 1), normal(i, 2), normal(i, 3)};
    // The median length of three normals is 1.538.
    const double angle = noise_deg * degree * std::hypot(axis[0], axis[1], axis[2]) / 1.538;
    Matrix3 r = multiply(axis_angle_to_matrix(axis, angle), multiply(truth, transpose(set.made.rotation)));
    if (uniform01(words.draw(i, 4).v[0]) < wrong) r = random_rotation(words, i + 100000);
    set.truth.push_back(truth);
    set.estimate.push_back(flipped ? mirrored(r) : r);
    const Vector3 moved = multiply(truth, set.made.offset_px);
    for (size_t j = 0; j < 2; ++j) {
      set.true_shifts.push_back(3 * normal(i, static_cast<uint32_t>(5 + j)));
      set.shifts.push_back(set.true_shifts.back() + moved[j] + 0.1 * normal(i, static_cast<uint32_t>(7 + j)));
    }
  }
  return set;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(double(a[i]) - b[i]));
  return worst;
}

}  // namespace

TEST_CASE("a map correlates fully with itself, fully inversely with its negative, and little with noise") {
  const auto device = Device::cpu(2);
  const int side = 24;
  std::vector<float> a(size_t(side * side * side)), b(a.size()), negative(a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = float(normal(i));
    b[i] = float(normal(i, 1));
    negative[i] = -a[i];
  }
  for (const double value : fourier_shell_correlation(*device, a, a, side)) CHECK(value == doctest::Approx(1));
  for (const double value : fourier_shell_correlation(*device, a, negative, side)) CHECK(value == doctest::Approx(-1));
  const auto none = fourier_shell_correlation(*device, a, b, side);
  REQUIRE(none.size() == 12);
  for (size_t i = 4; i < none.size(); ++i)
    CHECK(std::abs(none[i]) < 5 / std::sqrt(4 * std::numbers::pi * double(i * i) / 2));
  const auto one_thread = Device::cpu(1);
  CHECK(fourier_shell_correlation(*one_thread, a, b, side) == none);
}

TEST_CASE("resolution is one over the first shell below the threshold, two pixels if none is") {
  const std::vector<double> curve = {1, 0.9, 0.6, 0.4, 0.55, 0.1};
  CHECK(resolution_px(curve, 0.5) == doctest::Approx(12.0 / 4));
  CHECK(resolution_px(curve, 0.143) == doctest::Approx(12.0 / 6));
  CHECK(resolution_px(curve, 0.05) == 2);
}

TEST_CASE("pose alignment finds rotation, hand and offset again, with wrong poses among them") {
  for (const bool flipped : {false, true})
    for (const double wrong : {0.0, 0.3}) {
      const PoseSet set = pose_set(700, flipped, 2, wrong);
      const PoseErrors errors = align_poses(set.estimate, set.truth, set.shifts, set.true_shifts);
      CHECK(errors.alignment.flipped == flipped);
      CHECK(rotation_angle_degrees(errors.alignment.rotation, set.made.rotation) < 0.5);
      if (wrong == 0) CHECK(errors.degrees_median == doctest::Approx(2).epsilon(0.1));
      CHECK(errors.squared_frobenius_median ==
            doctest::Approx(8 * std::pow(std::sin(errors.degrees_median / 2 * degree), 2)));
      CHECK(errors.within_5_degrees == doctest::Approx(1 - wrong).epsilon(0.1));
      CHECK(errors.within_10_degrees >= errors.within_5_degrees);
      for (size_t j = 0; j < 3; ++j)
        CHECK(errors.alignment.offset_px[j] == doctest::Approx(set.made.offset_px[j]).epsilon(0.05));
      CHECK(errors.shift_median_px == doctest::Approx(0.1 * 1.1774).epsilon(0.1));  // median of a Rayleigh variable
      CHECK(errors.shift_median_raw_px > 1);
      double worst = 0;
      for (size_t i = 0; i < 20 && wrong == 0; ++i)
        worst =
            std::max(worst, rotation_angle_degrees(aligned_rotation(set.estimate[i], errors.alignment), set.truth[i]));
      CHECK(worst < 6);
    }
}

TEST_CASE("the error of random poses is that of chance") {
  const PoseSet set = pose_set(400, false, 0, 1);
  CHECK(align_poses(set.estimate, set.truth).degrees_median > 60);
}

TEST_CASE("a band-limited volume gives the direct Fourier sum at any frequency") {
  const auto device = Device::cpu(2);
  const int side = 20, half = side / 2;
  std::vector<float> map(size_t(side * side * side));
  for (size_t i = 0; i < map.size(); ++i) map[i] = float(normal(i));
  const BandLimitedVolume volume(*device, map, side);
  for (uint64_t trial = 0; trial < 50; ++trial) {
    const u32x4 random = words.draw(trial, 9);
    const double k[3] = {(uniform01(random.v[0]) - 0.5) * side, (uniform01(random.v[1]) - 0.5) * side,
                         (uniform01(random.v[2]) - 0.5) * 3 * side};
    double here = 0, opposite = 0;
    size_t at = 0;
    for (int z = -half; z < half; ++z)
      for (int y = -half; y < half; ++y)
        for (int x = -half; x < half; ++x, ++at) {
          const double phase = 2 * std::numbers::pi * (k[0] * x + k[1] * y + k[2] * z) / side;
          here += map[at] * (std::cos(phase) + std::sin(phase));
          opposite += map[at] * (std::cos(phase) - std::sin(phase));
        }
    const auto value = volume.sample(k[0], k[1], k[2]);
    // White noise up to the corners is the worst case: the window's transform is smallest there. Unit: a coefficient's
    // standard deviation.
    const double scale = std::sqrt(double(map.size()));
    CHECK(std::abs(value[0] - here) < 5e-5 * scale);
    CHECK(std::abs(value[1] - opposite) < 5e-5 * scale);
  }
}

TEST_CASE("a transformed map is the molecule drawn in the transformed frame") {
  const auto device = Device::cpu(2);
  GaussianModel model = one_bond_complex(32);
  for (Blob& blob : model.blobs)  // small enough to stay inside the box wherever it is turned
    for (double& x : blob.position_angstrom) x *= 0.6;
  model.moving.assign(model.blobs.size(), 0);
  const auto map = model_volume(*device, model, 0.5);
  for (const bool flipped : {false, true}) {
    const Alignment a{.rotation = random_rotation(words, 5), .flipped = flipped, .offset_px = {1.2, -0.8, 0.5}};
    // v'(x) = v(M Q (x + o)): a blob at p is seen at Qᵀ M p − o.
    GaussianModel turned = model;
    for (size_t i = 0; i < turned.blobs.size(); ++i) {
      Vector3 p = positions_px(model, 0.5)[i];
      if (flipped) p[2] = -p[2];
      p = multiply(transpose(a.rotation), p);
      for (size_t j = 0; j < 3; ++j)
        turned.blobs[i].position_angstrom[j] = (p[j] - a.offset_px[j]) * model.pixel_size_angstrom;
    }
    turned.angle_deg = 0;
    const auto expected = model_volume(*device, turned, 0.5), got = transform_volume(*device, map, 32, a);
    const auto curve = fourier_shell_correlation(*device, expected, got, 32);
    // A map cut at |k| = D/2 rings between its lattice points there: only the last two shells feel it.
    CHECK(*std::min_element(curve.begin(), curve.end() - 2) > 0.9998);
    CHECK(curve[14] > 0.995);
    CHECK(curve[15] > 0.95);
    CHECK(largest_difference(expected, got) < 0.01 * *std::max_element(expected.begin(), expected.end()));
  }
}

TEST_CASE("volume alignment is refined from 5 degrees and 1.5 pixels to the truth") {
  const auto device = Device::cpu(2);
  const GaussianModel model = one_bond_complex(32);
  const auto map = model_volume(*device, model, 0.3);
  const Alignment made{.rotation = random_rotation(words, 6), .flipped = true, .offset_px = {0.6, 1, -0.4}};
  const auto fixed = transform_volume(*device, map, 32, made);
  Alignment start = made;
  start.rotation = multiply(made.rotation, axis_angle_to_matrix({1, 2, -1}, 5 * degree));
  start.offset_px[0] += 1.5;
  const VolumeAlignment refined = refine_alignment(*device, map, fixed, 32, start);
  CHECK(refined.mean_fsc > 0.99);
  CHECK(rotation_angle_degrees(refined.alignment.rotation, made.rotation) < 0.2);
  for (size_t j = 0; j < 3; ++j) CHECK(std::abs(refined.alignment.offset_px[j] - made.offset_px[j]) < 0.05);
}

TEST_CASE("volumes are aligned without a start, hand included" * doctest::test_suite("slow")) {
  const auto device = Device::cpu(2);
  const auto map = model_volume(*device, one_bond_complex(32), 0.3);
  for (const bool flipped : {false, true}) {
    const Alignment made{.rotation = random_rotation(words, 8), .flipped = flipped, .offset_px = {0.6, 1, -0.4}};
    const auto found = align_volumes(*device, map, transform_volume(*device, map, 32, made), 32);
    CHECK(found.alignment.flipped == flipped);
    CHECK(rotation_angle_degrees(found.alignment.rotation, made.rotation) < 0.3);
  }
}

TEST_CASE("Spearman's correlation counts order only, and shares the rank of ties") {
  const std::vector<double> a = {1, 2, 3, 4, 5}, cubes = {1, 8, 27, 64, 125}, ties = {1, 1, 2, 2, 2};
  CHECK(spearman(a, cubes) == doctest::Approx(1));
  CHECK(spearman(a, ties) == doctest::Approx(0.8660254));  // scipy.stats.spearmanr
  CHECK(spearman(a, std::vector<double>(5, 3.0)) == 0);
  CHECK(median({3, 1, 2}) == 2);
  CHECK(median({4, 1, 2, 3}) == 2.5);
}

TEST_CASE("a line orders by its first component, a horseshoe only by a smooth function, noise by neither") {
  const size_t count = 600;
  std::vector<double> state(count);
  std::vector<float> line(3 * count), horseshoe(3 * count), noise(8 * count);
  for (size_t i = 0; i < count; ++i) {
    state[i] = uniform01(words.draw(i, 20).v[0]);
    const double angle = 5.2 * (state[i] - 0.5), s = 0.02;
    const double curve[3] = {std::cos(angle), std::sin(angle), 0}, straight[3] = {2 * state[i], -state[i], state[i]};
    for (size_t j = 0; j < 3; ++j) {
      line[3 * i + j] = float(straight[j] + s * normal(i, static_cast<uint32_t>(21 + j)));
      horseshoe[3 * i + j] = float(curve[j] + s * normal(i, static_cast<uint32_t>(24 + j)));
    }
    for (size_t j = 0; j < 8; ++j) noise[8 * i + j] = float(normal(i, static_cast<uint32_t>(30 + j)));
  }
  CHECK(latent_order(line, 3, state).principal > 0.99);
  CHECK(latent_order(line, 3, state).regression > 0.99);
  CHECK(latent_order(horseshoe, 3, state).principal < 0.93);
  CHECK(latent_order(horseshoe, 3, state).regression > 0.97);
  CHECK(latent_order(noise, 8, state).regression < 0.2);
}

TEST_CASE("principal components are orthonormal, in falling order, and carry the variance") {
  std::vector<float> rows(4 * 500);
  for (size_t i = 0; i < 500; ++i)
    for (size_t j = 0; j < 4; ++j) rows[4 * i + j] = float(normal(i, static_cast<uint32_t>(j)) * double(j + 1) + 3);
  const auto pca = principal_components(rows, 4, 3);
  REQUIRE(pca.variance.size() == 3);
  CHECK(pca.variance[0] == doctest::Approx(16).epsilon(0.2));
  for (size_t a = 0; a < 3; ++a)
    for (size_t b = 0; b < 3; ++b) {
      double dot = 0;
      for (size_t i = 0; i < 4; ++i) dot += pca.axes[4 * a + i] * pca.axes[4 * b + i];
      CHECK(dot == doctest::Approx(a == b ? 1 : 0));
    }
}
