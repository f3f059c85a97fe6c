#include "engine/simulate/simulate.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>
#include <stdexcept>

#include "kernels/fourier/fourier.h"
#include "tests/reference/files.h"

using namespace recon;

namespace {

std::vector<float> rendered(Device& device, const Projectable& particle, std::span<const ImageTruth> truths,
                            float pixel_size = 0) {
  Buffer<float> images(device, static_cast<int64_t>(truths.size()), int64_t(particle.side()) * particle.side());
  render(device, particle, truths, pixel_size, images.view());
  return images.download();
}

double correlation(std::span<const float> a, std::span<const float> b) {
  double ab = 0, aa = 0, bb = 0, ma = 0, mb = 0;
  for (size_t i = 0; i < a.size(); ++i) ma += a[i] / double(a.size()), mb += b[i] / double(a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - ma) * (b[i] - mb);
    aa += (a[i] - ma) * (a[i] - ma);
    bb += (b[i] - mb) * (b[i] - mb);
  }
  return ab / std::sqrt(aa * bb);
}

}  // namespace

TEST_CASE("the projection of a Gaussian is a Gaussian at the rotated, shifted place") {
  const auto device = Device::cpu(2);
  const int side = 32;
  GaussianModel model{.pixel_size_angstrom = 2,
                      .box = side,
                      .blobs = {{.position_angstrom = {6, -8, 10}, .weight = 3, .sigma_angstrom = 4, .group = 0}},
                      .moving = {0}};
  const auto particle = projectable(model);
  for (uint64_t i = 0; i < 10; ++i) {
    ImageTruth truth{.rotation = random_rotation({1, Purpose::test}, i), .shift_px = {1.5, -0.5}};
    const auto image = rendered(*device, *particle, {&truth, 1});
    const Vector3 p = multiply(truth.rotation, Vector3{3, -4, 5});
    double worst = 0;
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x) {
        // Centred by the shift: the particle stands at D/2 − shift.
        double expected = 0;
        for (const int wrap_x : {-side, 0, side})  // images are periodic
          for (const int wrap_y : {-side, 0, side}) {
            const double dx = x + wrap_x - (side / 2 + p[0] - 1.5), dy = y + wrap_y - (side / 2 + p[1] + 0.5);
            expected += 3 / (2 * std::numbers::pi * 4) * std::exp(-(dx * dx + dy * dy) / 8);
          }
        worst = std::max(worst, std::abs(expected - image[size_t(y * side + x)]));
      }
    CHECK(worst < 1e-7);  // exp(−2π²·4/4) = 3e-9 is beyond the band; peak 0.12 in floats
  }
}

TEST_CASE("a map of the model gives the model's own projections") {
  const auto device = Device::cpu(2);
  const GaussianModel model = one_bond_complex(32);
  const auto direct = projectable(model), sliced = projectable(*device, {model_volume(*device, model, 0.5)}, 32);
  TruthOptions options{.images = 20, .seed = 3, .shift_extent_px = 2};
  const auto truths = draw_truths(options);
  const auto a = rendered(*device, *direct, truths), b = rendered(*device, *sliced, truths);
  // Not closer: the map is cut at |k| = D/2 where the blobs' transform is 1.5e-3 of its peak.
  CHECK(correlation(a, b) > 0.9999);
}

TEST_CASE("the volume of a state holds the blobs' weight and moves only the arm") {
  const auto device = Device::cpu(2);
  const GaussianModel model = one_bond_complex(32);
  double weight = 0;
  for (const Blob& blob : model.blobs) weight += blob.weight;
  const auto volume = model_volume(*device, model, 0.2);
  double sum = 0;
  for (const float value : volume) sum += value;
  CHECK(sum == doctest::Approx(weight).epsilon(1e-4));
  const auto a = positions_px(model, 0), b = positions_px(model, 1);
  const Vector3 hinge = model.hinge_angstrom;
  for (size_t i = 0; i < a.size(); ++i) {
    const double moved = std::hypot(a[i][0] - b[i][0], a[i][1] - b[i][1], a[i][2] - b[i][2]);
    if (!model.moving[i]) CHECK(moved == 0);
    const double px = model.pixel_size_angstrom;
    CHECK(std::hypot(a[i][0] - hinge[0] / px, a[i][1] - hinge[1] / px, a[i][2] - hinge[2] / px) ==
          doctest::Approx(std::hypot(b[i][0] - hinge[0] / px, b[i][1] - hinge[1] / px, b[i][2] - hinge[2] / px)));
  }
  CHECK(std::count(model.moving.begin(), model.moving.end(), 1) == 7);
}

TEST_CASE("truths are functions of seed and image, whatever the number of images, and spread as asked") {
  TruthOptions options{.images = 4000, .seed = 5, .shift_extent_px = 4, .states = 0};
  const auto many = draw_truths(options);
  options.images = 10;
  const auto few = draw_truths(options);
  double shift = 0, state = 0;
  for (size_t i = 0; i < few.size(); ++i) {
    CHECK(few[i].rotation == many[i].rotation);
    CHECK(few[i].shift_px == many[i].shift_px);
    CHECK(few[i].state == many[i].state);
  }
  for (const ImageTruth& truth : many) {
    CHECK(std::abs(truth.shift_px[0]) < 4);
    shift += truth.shift_px[1] * truth.shift_px[1] / 4000;
    state += truth.state / 4000;
    CHECK(truth.ctf.defocus_u_angstrom >= truth.ctf.defocus_v_angstrom);
  }
  CHECK(shift == doctest::Approx(16.0 / 3).epsilon(0.05));
  CHECK(state == doctest::Approx(0.5).epsilon(0.03));
  options.states = 3;
  options.images = 100;
  std::set<double> states;
  for (const ImageTruth& truth : draw_truths(options)) states.insert(truth.state);
  CHECK(states == std::set<double>{0, 0.5, 1});
}

TEST_CASE("noise has the deviation asked for, and the same bits for any number of threads and any batch") {
  const auto one = Device::cpu(1), three = Device::cpu(3);
  Buffer<float> all(*one, 8, 30 * 30), part(*three, 3, 30 * 30);
  all.zero();
  part.zero();
  add_noise(*one, all.view(), 0, 2.5, 42);
  add_noise(*three, part.view(), 5, 2.5, 42);
  const auto noise = all.download(), tail = part.download();
  CHECK(std::equal(tail.begin(), tail.end(), noise.begin() + 5 * 900));
  CHECK(std::sqrt(variance(noise)) == doctest::Approx(2.5).epsilon(0.03));
  const GaussianModel model = one_bond_complex(16);
  const auto truths = draw_truths({.images = 5, .seed = 1});
  CHECK(rendered(*one, *projectable(model), truths) == rendered(*three, *projectable(model), truths));
}

TEST_CASE("the CTF of a simulated image is that of its truth") {
  const auto device = Device::cpu(2);
  const GaussianModel model = one_bond_complex(32);
  const auto truths = draw_truths({.images = 1, .seed = 2});
  const auto particle = projectable(model);
  Buffer<float> clean(*device, 1, 32 * 32), blurred(*device, 1, 32 * 32);
  render(*device, *particle, truths, 0, clean.view());
  render(*device, *particle, truths, 3, blurred.view());
  for (auto* image : {&clean, &blurred})
    hartley(*device, Hartley2d{.images = image->view(), .hartley = image->view(), .side = 32});
  const auto a = clean.download(), b = blurred.download();
  double worst = 0, largest = 0;
  for (int y = 1; y < 32; ++y)
    for (int x = 1; x < 32; ++x) {
      const size_t at = size_t(y * 32 + x);
      worst =
          std::max(worst, std::abs(double(b[at]) - a[at] * ctf_value(truths[0].ctf, (x - 16) / 96.0, (y - 16) / 96.0)));
      largest = std::max(largest, std::abs(double(a[at])));
    }
  CHECK(worst < 1e-5 * largest);
}

TEST_CASE("a model survives JSON, and every mistake in it is named") {
  const GaussianModel model = one_bond_complex(16);
  const GaussianModel back = model_from_json(model_to_json(model));
  CHECK(back.box == 16);
  CHECK(back.moving == model.moving);
  CHECK(back.axis == model.axis);
  REQUIRE(back.blobs.size() == model.blobs.size());
  for (size_t i = 0; i < back.blobs.size(); ++i) {
    CHECK(back.blobs[i].position_angstrom == model.blobs[i].position_angstrom);
    CHECK(back.blobs[i].weight == model.blobs[i].weight);
  }
  const auto message = [](const std::string& text) -> std::string {
    try {
      model_from_json(text);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "accepted";
  };
  const auto names = [&](const std::string& text, const std::string& field) {
    const std::string said = message(text);
    CHECK_MESSAGE(said.find(field) != std::string::npos, said);
  };
  const std::string blob = R"({"position_angstrom":[0,0,0],"sigma_angstrom":2})";
  const auto with = [&](const std::string& rest) {
    return R"({"pixel_size_angstrom":1,"box":8,"blobs":[)" + blob + "]" + rest + "}";
  };
  CHECK(message(with("")) == "accepted");
  CHECK(model_from_json(with(R"(,"bond":{"hinge_angstrom":[0,0,0],"axis":[0,0,1]},"moving":[0])")).moving[0] == 1);
  names("", "JSON");
  names("[1]", "top level");
  names("{\"box\":8}", "pixel_size_angstrom");
  names(R"({"pixel_size_angstrom":1,"box":7,"blobs":[]})", "box");
  names(R"({"pixel_size_angstrom":-1,"box":8,"blobs":[]})", "pixel_size_angstrom");
  names(R"({"pixel_size_angstrom":1,"box":8,"blobs":[]})", "blobs");
  names(R"({"pixel_size_angstrom":1,"box":8,"blobs":[{"sigma_angstrom":1}]})", "blobs[0].position_angstrom");
  names(R"({"pixel_size_angstrom":1,"box":8,"blobs":[{"position_angstrom":[0,0,"a"],"sigma_angstrom":1}]})", "[2]");
  names(R"({"pixel_size_angstrom":1,"box":8,"blobs":[{"position_angstrom":[0,0,0],"sigma_angstrom":0}]})", "sigma");
  names(with(R"(,"colour":1)"), "colour");
  names(with(R"(,"moving":[0])"), "bond");
  names(with(R"(,"bond":{"hinge_angstrom":[0,0,0],"axis":[0,0,0]})"), "axis");
  names(with(R"(,"bond":{"hinge_angstrom":[0,0,0],"axis":[0,0,1]},"moving":[1])"), "moving[0]");
  names(std::string(100000, '['), "deeper");
}

TEST_CASE("a PDB file becomes a model whose chain turns about a bond, and a bad line is named") {
  const auto atom = [](int serial, const char* name, char chain, int residue, double x, double y, double z,
                       const char* element) {
    char line[96];
    std::snprintf(line, sizeof line, "ATOM  %5d %-4s ALA %c%4d    %8.3f%8.3f%8.3f  1.00  0.00          %2s\n", serial,
                  name, chain, residue, x, y, z, element);
    return std::string(line);
  };
  const std::string text = "HEADER\n" + atom(1, " N  ", 'A', 1, 0, 0, 0, " N") +
                           atom(2, " CA ", 'A', 1, 1, 0, 0, " C") + atom(3, " CA ", 'B', 5, 4, 0, 0, " C") +
                           atom(4, " CA ", 'B', 6, 4, 3, 0, " C") + atom(5, " O  ", 'B', 7, 6, 3, 0, " O") + "END\n";
  PdbOptions options{.chain = 'B', .first_residue = 6, .last_residue = 7, .bond_from = 5, .bond_to = 6};
  const GaussianModel model = model_from_pdb(text, options);
  REQUIRE(model.blobs.size() == 5);
  CHECK(model.blobs[0].weight == 7);
  CHECK(model.blobs[4].weight == 8);
  CHECK(model.moving == std::vector<uint8_t>{0, 0, 0, 1, 1});
  CHECK(model.axis == Vector3{0, 3, 0});
  double mass = 0, x = 0;
  for (const Blob& blob : model.blobs) mass += blob.weight, x += blob.weight * blob.position_angstrom[0];
  CHECK(std::abs(x / mass) < 1e-12);
  options.bond_to = 99;
  CHECK_THROWS_WITH_AS(model_from_pdb(text, options), "model: bond_to: chain B has no CA of residue 99",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(model_from_pdb("ATOM      1  N   ALA A   1       x.000   0.000   0.000\n", {}),
                       "model: PDB line 1: x: not a number", std::invalid_argument);
  CHECK_THROWS_AS(model_from_pdb("", {}), std::invalid_argument);
  CHECK_THROWS_AS(model_from_pdb("ATOM", {}), std::invalid_argument);
  CHECK_THROWS_AS(model_from_pdb("ATOM  ", {}), std::invalid_argument);
}
