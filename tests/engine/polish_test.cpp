#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/analyze/mask.h"
#include "engine/backproject/backproject.h"
#include "engine/pose/pose_steps.h"
#include "engine/simulate/simulate.h"
#include "tests/engine/small_runs.h"

using namespace recon;
using namespace recon::reference;

namespace {

struct Simulated {
  Dataset data;
  std::vector<ImageTruth> truths;
  std::vector<float> density;  ///< in the data's units
  std::vector<float> matrices, shifts;
};

/// Images of the one-bond complex, shifted by up to a pixel.
Simulated simulated(Device& device, int side, int count, double snr) {
  const GaussianModel model = one_bond_complex(side);
  Simulated out{.truths = draw_truths({.images = count, .seed = 3, .shift_extent_px = 1})};
  Buffer<float> images(device, count, int64_t{side} * side);
  render(device, *projectable(model), out.truths, 0, images.view());
  if (snr > 0) add_noise(device, images.view(), 0, std::sqrt(variance(images.download()) / snr), 1);
  out.data = prepare(device, side, 3, images.download(), {}, {.window = false});
  out.density = model_volume(device, model, 0.5);
  for (float& v : out.density) v *= out.data.scale;
  for (const ImageTruth& truth : out.truths) {
    for (const double v : truth.rotation) out.matrices.push_back(static_cast<float>(v));
    for (const double v : truth.shift_px) out.shifts.push_back(static_cast<float>(v));
  }
  return out;
}

/// The poses, turned by `degrees` about random axes and moved by `px` in random directions.
void disturb(std::vector<float>& matrices, std::vector<float>& shifts, double degrees, double px) {
  Draws draws(17);
  for (size_t i = 0; i < shifts.size() / 2; ++i) {
    Matrix3 m;
    std::copy_n(matrices.begin() + int64_t(9 * i), 9, m.begin());
    const Vector3 axis = {double(draws.normal()), double(draws.normal()), double(draws.normal())};
    m = multiply(axis_angle_to_matrix(axis, degrees * degree), m);
    std::copy_n(m.begin(), 9, matrices.begin() + int64_t(9 * i));
    const double angle = draws.uniform(0, 6.28);
    shifts[2 * i] += float(px * std::cos(angle)), shifts[2 * i + 1] += float(px * std::sin(angle));
  }
}

struct Errors {
  double degrees = 0, px = 0;  ///< medians
};
Errors errors_of(const Simulated& set, const std::vector<float>& matrices, const std::vector<float>& shifts) {
  std::vector<double> angle, move;
  for (size_t i = 0; i < set.truths.size(); ++i) {
    Matrix3 m;
    std::copy_n(matrices.begin() + int64_t(9 * i), 9, m.begin());
    angle.push_back(rotation_angle_degrees(m, set.truths[i].rotation));
    move.push_back(
        std::hypot(double(shifts[2 * i] - set.shifts[2 * i]), double(shifts[2 * i + 1] - set.shifts[2 * i + 1])));
  }
  const auto median = [](std::vector<double>& v) {
    std::nth_element(v.begin(), v.begin() + int64_t(v.size() / 2), v.end());
    return v[v.size() / 2];
  };
  return {median(angle), median(move)};
}

TrainConfig polishing() {
  TrainConfig config = config_for(PoseMode::search, LatentSource::none);
  config.search_epochs = 1, config.polish_rounds = 2;
  return config;
}

}  // namespace

TEST_CASE("Pose steps: from 4 degrees and half a pixel back to where the images were made") {
  const auto device = Device::cpu(2);
  const Simulated set = simulated(*device, 32, 40, 0);
  const int64_t n = set.data.count, pixels = set.data.pixel_count();
  Lattice lattice(*device, 32);
  const Buffer<float> density = on_device(*device, set.density, 32 * 32, 32);
  lattice.fill(density.view());
  auto matrices = set.matrices, shifts = set.shifts;
  disturb(matrices, shifts, 4, 0.5);
  PoseSteps steps(matrices, shifts);
  const Buffer<float> slices(*device, 4 * n, pixels), targets(*device, n, pixels), sums(*device, n, pose_equation_sums);
  for (int i = 0; i < 8; ++i) {
    const Buffer<float> turned = on_device(*device, steps.turned(), 4 * n, 9),
                        moves = on_device(*device, steps.shifts(), n, 2);
    lattice.slices(set.data.pixels.view(), turned.view(), {}, slices.view());
    shift_images(*device, ShiftImages{.images = set.data.images.view(),
                                      .source = {},
                                      .shifts = moves.view(),
                                      .pixels = set.data.pixels.view(),
                                      .out = targets.view(),
                                      .side = 32});
    pose_equations(*device, PoseEquations{.slices = slices.view(),
                                          .targets = targets.view(),
                                          .ctf = {},
                                          .pixels = set.data.pixels.view(),
                                          .sums = sums.view(),
                                          .side = 32,
                                          .step_rad = PoseSteps::turn_rad});
    steps.take(sums.download());
  }
  for (size_t i = 0; i < size_t(n); ++i) {
    std::copy_n(steps.best(i).rotation.begin(), 9, matrices.begin() + int64_t(9 * i));
    std::copy_n(steps.best(i).shift, 2, shifts.begin() + int64_t(2 * i));
  }
  const Errors left = errors_of(set, matrices, shifts);
  MESSAGE("left " << left.degrees << " degrees, " << left.px << " px");
  CHECK(left.degrees < 0.2);  // the lattice's interpolation
  CHECK(left.px < 0.01);
}

TEST_CASE("Pose steps: an image that says nothing of its pose keeps it") {
  const std::vector<float> matrices = {1, 0, 0, 0, 1, 0, 0, 0, 1}, shifts = {0.5f, -1};
  PoseSteps steps(matrices, shifts);
  const std::vector<float> nothing(pose_equation_sums, 0.0f);
  for (int i = 0; i < 3; ++i) steps.take(nothing);
  CHECK(steps.best(0).rotation == identity_matrix);
  CHECK(steps.best(0).shift[0] == 0.5);
  CHECK(steps.shifts() == shifts);
}

TEST_CASE("Back-projection without a part is the back-projection of the rest") {
  const auto device = Device::cpu(2);
  const Simulated set = simulated(*device, 16, 120, 0.3);
  std::vector<Matrix3> rotations;
  for (const ImageTruth& truth : set.truths) rotations.push_back(truth.rotation);
  const Buffer<float> moves = on_device(*device, set.shifts, 120, 2);
  const auto insert = [&](Backprojection& to, int64_t first, int64_t n) {
    to.insert({.images = set.data.images.rows(first, n),
               .pixels = set.data.pixels.view(),
               .rotations = std::span(rotations).subspan(size_t(first), size_t(n)),
               .shifts = moves.rows(first, n)});
  };
  Backprojection all(*device, 16), part(*device, 16), rest(*device, 16, {.regularise = false});
  insert(all, 0, 120), insert(part, 40, 40), insert(rest, 0, 40), insert(rest, 80, 40);
  const std::vector<float> together = all.finish().volume;
  const std::vector<float> expected = rest.finish().volume, found = all.without(part, std::vector<double>(9, 1.0));
  const auto distance = [&](const std::vector<float>& map) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      difference += std::pow(double(map[i]) - expected[i], 2);
      norm += double(expected[i]) * expected[i];
    }
    return std::sqrt(difference / norm);
  };
  MESSAGE("from the rest " << distance(found) << ", all from the rest " << distance(together));
  CHECK(distance(found) < 0.01);  // the constant beside the weights is that of all images
  CHECK(distance(together) > 0.1);
}

TEST_CASE("A density's mask holds the density and leaves the corners out, noise or not") {
  const auto device = Device::cpu(2);
  const int side = 32;
  std::vector<float> volume = model_volume(*device, one_bond_complex(side), 0.5);
  const auto total = [](const std::vector<float>& v) { return std::inner_product(v.begin(), v.end(), v.begin(), 0.0); };
  const double power = total(volume), rms = std::sqrt(power / double(volume.size()));
  Draws draws(5);
  for (const float noise : {0.0f, 0.5f}) {
    std::vector<float> noisy = volume;
    for (float& v : noisy) v += noise * static_cast<float>(rms) * draws.normal();
    const std::vector<float> mask = density_mask(*device, noisy, side);
    std::vector<float> inside = volume;
    for (size_t i = 0; i < inside.size(); ++i) inside[i] *= mask[i];
    CHECK(total(inside) > 0.995 * power);
    CHECK(std::accumulate(mask.begin(), mask.end(), 0.0) < 0.5 * double(mask.size()));
    CHECK(mask.front() < 1e-6f);  // the transforms' rounding
    CHECK(*std::max_element(mask.begin(), mask.end()) == 1);
  }
  CHECK(density_mask(*device, std::vector<float>(volume.size(), 0.0f), side) ==
        std::vector<float>(volume.size(), 1.0f));
}

TEST_CASE("Trainer: poses of noisy images, off by two grid steps, come closer to the truth when polished") {
  const auto device = Device::cpu(2);
  const Simulated set = simulated(*device, 24, 300, 10);
  auto matrices = set.matrices, shifts = set.shifts;
  disturb(matrices, shifts, 4, 0.3);
  TrainConfig config = polishing();
  config.epochs = 4;
  Trainer trainer(*device, set.data, config);
  trainer.set_poses(matrices, shifts);
  trainer.restore({.epoch = 2});
  trainer.step_group();
  const Errors before = errors_of(set, matrices, shifts), after = errors_of(set, trainer.matrices(), trainer.shifts());
  MESSAGE("from " << before.degrees << " degrees and " << before.px << " px to " << after.degrees << " and "
                  << after.px);
  CHECK(after.degrees < 0.6 * before.degrees);
  CHECK(after.px < 0.6 * before.px);
}

TEST_CASE("Trainer: given poses that are off come closer to the truth as they step against the network") {
  const auto device = Device::cpu(2);
  const Simulated set = simulated(*device, 24, 300, 0);
  auto matrices = set.matrices, shifts = set.shifts;
  disturb(matrices, shifts, 4, 0.3);
  TrainConfig config = config_for(PoseMode::given, LatentSource::none);
  config.model.encoding = Encoding::gaussian, config.model.encoding_per_axis = 288, config.model.encoding_sigma = 1;
  config.model.decoder_width = 64;
  config.batch = 10, config.learning_rate = 3e-3, config.epochs = 6;
  const auto train = [&](int steps) {
    config.pose_steps = steps;
    Trainer trainer(*device, set.data, config);
    trainer.set_poses(matrices, shifts);
    while (trainer.step_group()) {
    }
    return std::pair{errors_of(set, trainer.matrices(), trainer.shifts()), trainer.report().loss};
  };
  const Errors before = errors_of(set, matrices, shifts);
  const auto [kept, kept_loss] = train(0);
  const auto [after, loss] = train(2);
  MESSAGE("from " << before.degrees << " degrees and " << before.px << " px to " << after.degrees << " and " << after.px
                  << ", loss " << kept_loss << " to " << loss);
  CHECK((kept.degrees == before.degrees && kept.px == before.px));
  CHECK(after.degrees < 0.6 * before.degrees);
  CHECK(after.px < 0.6 * before.px);
  CHECK(loss < 0.1 * kept_loss);
}

TEST_CASE("Trainer: a polished run has the same bits for any number of threads, and when it was saved and restored") {
  const auto run = [](int threads, int stop) {
    const auto device = Device::cpu(threads);
    const Dataset data = random_images(*device, 16, 14, true);
    Trainer trainer(*device, data, polishing()), other(*device, data, polishing());
    for (int i = 0; i < stop; ++i) trainer.step_group();
    other.model().parameters().restore(trainer.model().parameters().state());
    other.set_poses(trainer.matrices(), trainer.shifts());
    other.restore(trainer.progress());
    while (other.step_group()) {
    }
    return std::pair{other.model().parameters().state().values, other.matrices()};
  };
  const auto one = run(1, 0);
  CHECK(run(2, 0) == one);
  CHECK(run(3, 4) == one);  // at the end of the search
  CHECK(run(2, 5) == one);  // after the first group of the epoch that follows
}
