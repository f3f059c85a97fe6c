#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>

#include "engine/geometry/lattice.h"
#include "engine/geometry/rotation.h"
#include "engine/geometry/shift_grid.h"
#include "engine/geometry/so3_grid.h"
#include "tests/reference/files.h"

using namespace recon;

namespace {

double largest_difference(const Matrix3& a, const Matrix3& b) {
  double worst = 0;
  for (size_t i = 0; i < 9; ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
  return worst;
}

constexpr Philox random_words{4, Purpose::test};

}  // namespace

TEST_CASE("the circular pixels are all of the disc but its centre, by radius, in pairs") {
  for (const int side : {2, 8, 32, 66}) {
    const double radius = side / 2;
    const auto pixels = circular_pixels(side, radius);
    int64_t expected = 0;
    for (int y = -side; y <= side; ++y)
      for (int x = -side; x <= side; ++x) expected += x * x + y * y > 0 && x * x + y * y <= radius * radius;
    REQUIRE(static_cast<int64_t>(pixels.size()) == expected);
    std::set<std::pair<int, int>> seen;
    for (size_t i = 0; i < pixels.size(); ++i) {
      seen.insert({pixels[i].x, pixels[i].y});
      CHECK(pixels[i].x == -pixels[i ^ 1].x);
      CHECK(pixels[i].y == -pixels[i ^ 1].y);
      if (i % 2 == 0) CHECK((pixels[i].y > 0 || (pixels[i].y == 0 && pixels[i].x > 0)));
      if (i > 0)
        CHECK(pixels[i - 1].x * pixels[i - 1].x + pixels[i - 1].y * pixels[i - 1].y <=
              pixels[i].x * pixels[i].x + pixels[i].y * pixels[i].y);
    }
    CHECK(static_cast<int64_t>(seen.size()) == expected);
    for (const double band : {0.0, 1.0, 1.5, radius}) {
      const auto count = pixels_within(pixels, band);
      CHECK(count ==
            std::count_if(pixels.begin(), pixels.end(), [&](Pixel p) { return p.x * p.x + p.y * p.y <= band * band; }));
    }
  }
  CHECK(circular_pixels(128, 64).size() == 12852);  // the authors' count for D = 128
  CHECK_THROWS_AS(circular_pixels(7, 3), ContractError);
  CHECK_THROWS_AS(circular_pixels(8, 9), ContractError);
  CHECK(circular_pixels(8, 8).size() == 80);  // the whole square of 9² but its centre
}

TEST_CASE("Euler angles, matrices and quaternions turn into each other and back") {
  for (uint64_t i = 0; i < 2000; ++i) {
    const Matrix3 r = random_rotation(random_words, i);
    CHECK(largest_difference(multiply(r, transpose(r)), identity_matrix) < 1e-14);
    CHECK(determinant(r) == doctest::Approx(1));
    const EulerDegrees e = matrix_to_euler(r);
    CHECK(e.tilt >= 0);
    CHECK(largest_difference(euler_to_matrix(e), r) < 1e-13);
    CHECK(largest_difference(quaternion_to_matrix(matrix_to_quaternion(r)), r) < 1e-13);
    CHECK(largest_difference(nearest_rotation(r), r) < 1e-13);
  }
  for (const double tilt : {0.0, 180.0})
    for (const double psi : {-170.0, 0.0, 33.0}) {
      const Matrix3 r = euler_to_matrix({12, tilt, psi});
      CHECK(matrix_to_euler(r).rot == 0);
      CHECK(largest_difference(euler_to_matrix(matrix_to_euler(r)), r) < 1e-12);
    }
}

TEST_CASE("the angle of a rotation about an axis is found again, and 0.0004 squared Frobenius is 0.81 degrees") {
  for (uint64_t i = 0; i < 100; ++i) {
    const Matrix3 r = random_rotation(random_words, i);
    const double angle = 1.8 * static_cast<double>(i);
    const Matrix3 turned = multiply(axis_angle_to_matrix({1, -2, 0.5}, angle * std::numbers::pi / 180), r);
    CHECK(rotation_angle_degrees(r, turned) == doctest::Approx(angle).epsilon(1e-9));
  }
  CHECK(degrees_of_squared_frobenius(0.0004) == doctest::Approx(0.8103).epsilon(1e-3));
}

// Mean of R is 0 with variance 1/3 an entry; the angle has density (1 − cos a)/π, so its mean is π/2 + 2/π.
TEST_CASE("random rotations are uniform on SO(3)") {
  const int count = 20000;
  Matrix3 mean{};
  double angle = 0;
  for (int i = 0; i < count; ++i) {
    const Matrix3 r = random_rotation(random_words, static_cast<uint64_t>(i));
    for (size_t j = 0; j < 9; ++j) mean[j] += r[j] / count;
    angle += rotation_angle_degrees(r, identity_matrix) / count;
  }
  for (const double m : mean) CHECK(std::abs(m) < 5 * std::sqrt(1.0 / 3 / count));
  CHECK(angle == doctest::Approx((std::numbers::pi / 2 + 2 / std::numbers::pi) * 180 / std::numbers::pi).epsilon(0.01));
}

TEST_CASE("HEALPix directions are distinct, cover the sphere evenly and nest") {
  for (int level = 0; level <= 4; ++level) {
    Vector3 mean{};
    double z2 = 0;
    const auto count = static_cast<double>(so3_pixels(level));
    for (int32_t pixel = 0; pixel < so3_pixels(level); ++pixel) {
      const auto d = healpix_direction<double>(pixel, level);
      const auto f = healpix_direction<float>(pixel, level);
      const double sine = 2 * d.sin_half_theta * d.cos_half_theta;
      const Vector3 v = {sine * std::cos(d.phi), sine * std::sin(d.phi), 1 - 2 * d.sin_half_theta * d.sin_half_theta};
      for (size_t i = 0; i < 3; ++i) mean[i] += v[i] / count;
      z2 += v[2] * v[2] / count;
      CHECK(std::abs(double(f.sin_half_theta) - d.sin_half_theta) < 1e-6);
      CHECK(std::abs(double(f.phi) - d.phi) < 2e-6);
    }
    for (const double m : mean) CHECK(std::abs(m) < 1e-12);
    CHECK(z2 == doctest::Approx(1.0 / 3).epsilon(0.13 / (1 << level)));
  }
}

TEST_CASE("children lie one level down, within 1.3 parent steps, and together reach most of that level") {
  for (const int level : {1, 2}) {
    std::set<std::pair<int32_t, int32_t>> reached;
    for (const GridRotation node : so3_grid(level)) {
      const Matrix3 parent = grid_matrix(node, level);
      std::set<std::pair<int32_t, int32_t>> distinct;
      for (const GridRotation child : grid_children(node, level)) {
        distinct.insert({child.pixel, child.psi});
        CHECK(child.psi >= 0);
        CHECK(child.psi < so3_angles(level + 1));
        CHECK(rotation_angle_degrees(parent, grid_matrix(child, level + 1)) <
              1.3 * grid_step_degrees(level));  // polar pixels are long
      }
      CHECK(distinct.size() == 8);
      reached.insert(distinct.begin(), distinct.end());
    }
    // Each parent has 8 and there are 8 times as many nodes below: near-ties leave out few.
    CHECK(static_cast<double>(reached.size()) > 0.8 * static_cast<double>(so3_size(level + 1)));
  }
}

TEST_CASE("the rotation grid and its children are the authors'") {
  const auto folder = reference::data_folder();
  if (folder.empty()) {
    MESSAGE("reference data not found: skipped");
    return;
  }
  const auto file = reference::read_npz(folder / "reference/so3_grid.npz");
  const auto nodes = so3_grid(1);
  REQUIRE(nodes.size() == 576);
  for (size_t i = 0; i < nodes.size(); ++i) {
    CHECK(nodes[i].pixel == file.at("base_s2").values[i]);
    CHECK(nodes[i].psi == file.at("base_s1").values[i]);
    Matrix3 expected;
    std::copy_n(&file.at("base_rot").values[9 * i], 9, expected.begin());
    CHECK(largest_difference(grid_matrix(nodes[i], 1), expected) < 1e-6);
    float in_floats[9];
    so3_matrix(nodes[i], 1, in_floats);
    for (size_t j = 0; j < 9; ++j) CHECK(std::abs(double(in_floats[j]) - expected[j]) < 1e-5);
  }
  const auto same_children = [](GridRotation node, int level, const double* expected) {
    std::set<std::pair<int64_t, int64_t>> ours, theirs;
    const auto angles = so3_angles(level + 1);
    for (const GridRotation child : grid_children(node, level)) ours.insert({child.pixel, child.psi});
    for (int c = 0; c < 8; ++c) {
      const auto psi = static_cast<int64_t>(expected[2 * c + 1]);
      theirs.insert({static_cast<int64_t>(expected[2 * c]), (psi + angles) % angles});
    }
    return ours == theirs;
  };
  for (size_t i = 0; i < nodes.size(); ++i)
    CHECK_MESSAGE(same_children(nodes[i], 1, &file.at("res1_neigh_ind").values[16 * i]), i);
  const auto& parents = file.at("res2_parent_ind");
  for (int64_t i = 0; i < parents.rows(); ++i)
    CHECK_MESSAGE(same_children({static_cast<int32_t>(parents(i, 0)), static_cast<int32_t>(parents(i, 1))}, 2,
                                &file.at("res2_neigh_ind").values[static_cast<size_t>(16 * i)]),
                  i);
}

TEST_CASE("the shift grid and its children are the authors'") {
  const auto folder = reference::data_folder();
  if (folder.empty()) {
    MESSAGE("reference data not found: skipped");
    return;
  }
  const auto file = reference::read_npz(folder / "reference/shift_grid_extent5_n7.npz");
  const ShiftGrid grid{.extent_px = 5, .cells = 7};
  const auto cells = grid.level(0);
  REQUIRE(cells.size() == 49);
  for (size_t i = 0; i < cells.size(); ++i) {
    const auto centre = grid.centre_px(cells[i], 0);
    CHECK(centre[0] == doctest::Approx(file.at("base").values[2 * i]).epsilon(1e-5));
    CHECK(centre[1] == doctest::Approx(file.at("base").values[2 * i + 1]).epsilon(1e-5));
    for (const ShiftCell child : ShiftGrid::children(cells[i])) {
      const auto c = grid.centre_px(child, 1);
      bool found = false;
      for (size_t j = 0; j < 4; ++j) {
        const double* expected = &file.at("res0_neigh").values[8 * i + 2 * j];
        found = found || std::hypot(c[0] - expected[0], c[1] - expected[1]) < 1e-5;
      }
      CHECK(found);
    }
  }
}
