#include "engine/train/trainer.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/engine/small_runs.h"
#include "tests/reference/authors_step.h"

using namespace recon;
using namespace recon::reference;

namespace {

struct Outcome {
  Parameters::State state;
  std::vector<float> matrices, shifts, latents;
  double loss = 0;
};

Outcome outcome_of(Trainer& t) {
  return {t.model().parameters().state(), t.matrices(), t.shifts(), t.latents(), t.report().loss};
}

void check_same(const Outcome& a, const Outcome& b) {
  CHECK(a.state.values == b.state.values);
  CHECK(a.state.first_moments == b.state.first_moments);
  CHECK(a.state.second_moments == b.state.second_moments);
  CHECK(a.state.average == b.state.average);
  CHECK(a.matrices == b.matrices);
  CHECK(a.shifts == b.shifts);
  CHECK(a.latents == b.latents);
  CHECK(a.loss == b.loss);
}

Outcome train(int threads, const TrainConfig& config) {
  const auto device = Device::cpu(threads);
  const Dataset data = random_images(*device, 16, 14, true);
  Trainer trainer(*device, data, config);
  while (trainer.step_group()) {
  }
  return outcome_of(trainer);
}

/// Of random_images.
std::vector<float> true_rotations(int count) {
  std::vector<float> rotations;
  for (int i = 0; i < count; ++i)
    for (const double v : random_rotation({8, Purpose::test}, uint64_t(i))) rotations.push_back(static_cast<float>(v));
  return rotations;
}

/// 40 images of two structures, the second the negative of the first.
Dataset opposite_structures(Device& device, Placement placement = Placement::device) {
  Dataset data = random_images(device, 16, 40, false);
  auto images = data.images.download();
  std::for_each(images.begin() + int64_t(images.size() / 2), images.end(), [](float& v) { v = -v; });
  if (placement == Placement::host) {
    const auto kept = std::make_shared<float[]>(images.size());
    std::copy(images.begin(), images.end(), kept.get());
    data.host_images = kept, data.images = {};
  } else {
    data.images.upload(images);
  }
  return data;
}

/// Every paradigm, given poses that step against the network at each image's z, and poses that are drawn.
std::vector<TrainConfig> every_paradigm() {
  std::vector<TrainConfig> all;
  for (const auto& [poses, source] : paradigms) all.push_back(config_for(poses, source));
  all.push_back(config_for(PoseMode::given, LatentSource::table));
  all.back().pose_steps = 1, all.back().latent_start_epoch = 0;
  all.push_back(config_for(PoseMode::search, LatentSource::none));
  all.back().drawn_poses = true;
  return all;
}

}  // namespace

TEST_CASE("Trainer: parameters, poses and latents have the same bits for 1, 2 and 3 threads in every paradigm") {
  for (const TrainConfig& config : every_paradigm()) {
    const Outcome one = train(1, config);
    CHECK(std::isfinite(one.loss));
    check_same(train(2, config), one);
    check_same(train(3, config), one);
  }
  const TrainConfig exact = config_for(PoseMode::search, LatentSource::table, SourceMode::exact);
  check_same(train(2, exact), train(1, exact));
}

TEST_CASE("Trainer: a run that is saved after any group and restored ends with the bits of an uninterrupted one") {
  const auto device = Device::cpu(2);
  const Dataset data = random_images(*device, 16, 14, true);
  for (const TrainConfig& config : every_paradigm())
    for (const int stop : {1, 3, 4}) {
      Trainer whole(*device, data, config), first(*device, data, config), second(*device, data, config);
      while (whole.step_group()) {
      }
      for (int i = 0; i < stop; ++i)
        if (!first.step_group()) break;
      second.model().parameters().restore(first.model().parameters().state());
      if (config.model.source == LatentSource::table) {
        Model::Table &from = first.model().table(), &to = second.model().table();
        to.values.upload(from.values.download()), to.steps.upload(from.steps.download());
        to.first_moments.upload(from.first_moments.download()),
            to.second_moments.upload(from.second_moments.download());
      }
      second.set_poses(first.matrices(), first.shifts());
      second.restore(first.progress());
      while (second.step_group()) {
      }
      if (second.report().images == 0) continue;  // it was saved at the very end
      check_same(outcome_of(second), outcome_of(whole));
    }
}

TEST_CASE("Trainer: until --latent-start the table stays at zero, poses are searched, and then both move") {
  const auto device = Device::cpu(2);
  const Dataset data = random_images(*device, 16, 14, false);
  TrainConfig config = config_for(PoseMode::search, LatentSource::table);
  config.epochs = 5, config.latent_start_epoch = 3, config.linear_latents = false, config.search_every = 2;
  Trainer trainer(*device, data, config);
  std::vector<std::string> stages;
  while (trainer.step_group()) {
    if (!trainer.epoch_finished()) continue;
    stages.push_back(trainer.report().stage);
    const std::vector<float> z = trainer.latents();
    const auto moved = std::count_if(z.begin(), z.end(), [](float v) { return v != 0; });
    CHECK(moved == (trainer.epoch() > config.latent_start_epoch ? static_cast<int64_t>(z.size()) : 0));
  }
  CHECK(stages == std::vector<std::string>{"random poses", "pose search", "pose search", "pose search", "fixed poses"});
}

// The decoder has learned them at z = −1 and 1.
TEST_CASE("Trainer: searched with their poses, z that were swapped find back to where they fit") {
  const auto device = Device::cpu(2);
  const Dataset data = opposite_structures(*device);
  TrainConfig config = config_for(PoseMode::given, LatentSource::table);
  config.model.latent = 1, config.epochs = 60, config.batch = 10, config.learning_rate = 5e-3;
  config.latent_start_epoch = 0, config.linear_latents = false;
  config.latent_learning_rate = 1e-12, config.kl_weight = 0;  // too small to move 1
  const auto rotations = true_rotations(40);
  std::vector<float> known, swapped;
  for (int i = 0; i < 40; ++i) known.push_back(i < 20 ? -1.0f : 1.0f), swapped.push_back(i % 2 == 0 ? -1.0f : 1.0f);
  Trainer first(*device, data, config);
  first.set_poses(rotations, std::vector<float>(80));
  first.set_latents(known);
  while (first.step_group()) {
  }
  config.poses = PoseMode::search, config.epochs = 2, config.learning_rate = 0, config.macro_batch = 40;
  config.search.shift_extent_px = 0, config.search.max_kept = 8;
  struct Found {
    double loss;
    int64_t home, posed;
  };
  const auto after_search = [&](int joint_epochs, SourceMode source) {
    config.joint_search_epochs = joint_epochs, config.joint_bins = 2, config.source = source;
    Trainer second(*device, data, config);
    CHECK(second.first_joint_epoch() == (joint_epochs > 0 ? 1 : 2));
    second.model().parameters().restore(first.model().parameters().state());
    second.set_latents(swapped);
    while (second.step_group()) {
    }
    const auto z = second.latents(), matrices = second.matrices();
    Found found{second.report().loss, 0, 0};
    for (size_t i = 0; i < z.size(); ++i) {
      found.home += (z[i] < 0) == (known[i] < 0);
      double trace = 0;
      for (size_t j = 0; j < 9; ++j) trace += double(matrices[9 * i + j]) * double(rotations[9 * i + j]);
      found.posed += std::acos(std::clamp((trace - 1) / 2, -1.0, 1.0)) < 0.3;
    }
    return found;
  };
  for (const SourceMode source : {SourceMode::lattice, SourceMode::exact}) {
    const Found kept = after_search(0, source), searched = after_search(1, source);
    CHECK(kept.home == 20);
    CHECK(searched.home == 40);
    CHECK(searched.posed > kept.posed + 5);
    CHECK(searched.loss < kept.loss);
    MESSAGE("at their z ", kept.home, " and ", searched.home, ", posed ", kept.posed, " and ", searched.posed);
  }
}

TEST_CASE("Trainer: a table that starts linearly tells two structures apart before its first step") {
  std::vector<float> found[3];
  for (const int threads : {1, 2, 3}) {
    const auto device = Device::cpu(threads);
    const Dataset data = opposite_structures(*device, threads == 3 ? Placement::host : Placement::device);
    TrainConfig config = config_for(PoseMode::given, LatentSource::table);
    config.model.latent = 1, config.epochs = 1, config.latent_start_epoch = 0, config.latent_learning_rate = 0;
    Trainer trainer(*device, data, config);
    trainer.set_poses(true_rotations(40), std::vector<float>(80));
    trainer.step_group();
    found[threads - 1] = trainer.latents();
  }
  const auto& z = found[0];
  for (size_t i = 0; i < 40; ++i) CHECK((z[i] < 0) == ((i < 20) == (z[0] < 0)));
  CHECK(found[1] == z);
  CHECK(found[2] == z);
}

TEST_CASE("Trainer: a given latent table of learning rate 0 keeps its bits while the decoder learns") {
  const auto device = Device::cpu(2);
  const Dataset data = random_images(*device, 16, 14, true);
  TrainConfig config = config_for(PoseMode::given, LatentSource::table);
  config.latent_learning_rate = 0, config.linear_latents = false;
  Trainer trainer(*device, data, config);
  const auto before = trainer.model().parameters().state().values;
  std::vector<float> known;
  for (int i = 0; i < 28; ++i) known.push_back(0.1f * static_cast<float>(i));
  trainer.set_latents(known);
  while (trainer.step_group()) {
  }
  CHECK(trainer.latents() == known);
  CHECK(trainer.model().parameters().state().values != before);
  CHECK_THROWS_AS(trainer.set_latents({1, 2}), ContractError);
}

TEST_CASE("Trainer: with given poses the loss falls to less than a third of the images' power") {
  const auto device = Device::cpu(2);
  Dataset data = random_images(*device, 16, 40, false);
  TrainConfig config = config_for(PoseMode::given, LatentSource::none);
  config.epochs = 60, config.batch = 10, config.learning_rate = 5e-3;
  config.model.encoding = Encoding::gaussian, config.model.encoding_sigma = 0.7;
  Trainer trainer(*device, data, config);
  trainer.set_poses(true_rotations(40), std::vector<float>(80, 0.0f));
  double first = 0;
  while (trainer.step_group())
    if (trainer.epoch() == 1 && first == 0) first = trainer.report().loss;
  const auto images = data.images.download();
  const double power = norm(images) * norm(images) / double(images.size());
  MESSAGE("power " << power << ", first epoch " << first << ", last " << trainer.report().loss);
  CHECK(trainer.report().loss < power / 3);
  CHECK(trainer.report().loss > 0.5 * 0.04);  // the noise cannot be fitted
}

TEST_CASE("Trainer: noise of another variance in each shell gives each shell a weight of one over its variance") {
  const auto device = Device::cpu(2);
  const int count = 300;
  Dataset data = random_images(*device, 16, count, false);
  // A variance that falls to a fifteenth from the first shell to the last, beside the white noise of 0.04.
  const auto sigma = [](int shell) { return 4 * std::exp(-0.2 * shell); };
  auto shell_of = [&](size_t p) {
    return static_cast<int>(std::lround(std::hypot(data.host_pixels[p].x, data.host_pixels[p].y)));
  };
  const auto pixels = static_cast<size_t>(data.pixel_count());
  auto images = data.images.download();
  Draws draws(12);
  for (size_t i = 0; i < images.size(); ++i)
    images[i] += static_cast<float>(sigma(shell_of(i % pixels)) * draws.normal());
  data.images.upload(images);
  TrainConfig config = config_for(PoseMode::given, LatentSource::none);
  config.noise = NoiseMode::shells, config.epochs = 4, config.batch = 10, config.learning_rate = 5e-3;
  Trainer trainer(*device, data, config);
  std::vector<float> rotations;
  for (int i = 0; i < count; ++i)
    for (const double v : random_rotation({8, Purpose::test}, uint64_t(i))) rotations.push_back(static_cast<float>(v));
  trainer.set_poses(rotations, std::vector<float>(2 * count, 0.0f));
  while (trainer.step_group()) {
  }
  const auto roots = trainer.weights();
  std::vector<double> expected;
  double mean = 0;
  for (size_t p = 0; p < pixels; ++p) {
    expected.push_back(1 / (0.04 + sigma(shell_of(p)) * sigma(shell_of(p))));
    mean += expected.back() / double(pixels);
  }
  double worst = 0;
  for (size_t p = 0; p < pixels; ++p)
    worst = std::max(worst, std::abs(double(roots[p]) * roots[p] * mean / expected[p] - 1));
  MESSAGE("largest relative difference " << worst);
  // Three standard errors of a variance from 300 images of the 4 pixels of the smallest shell are 12 %.
  CHECK(worst < 0.12);
}

TEST_CASE("Trainer: the authors' step, from their images and shifts to the weights after Adam, is theirs to 1e-5") {
  const auto folder = data_folder();
  if (folder.empty()) {
    MESSAGE("reference data not found: skipped");
    return;
  }
  const AuthorsStep step(folder / "reference/step_hartley_geom_ft.npz",
                         circular_pixels(AuthorsStep::side, AuthorsStep::side / 2));
  const auto device = Device::cpu(2);
  Dataset data;
  data.side = AuthorsStep::side, data.count = 10;
  data.host_pixels = step.pixels;
  data.pixels = on_device(*device, step.pixels);
  data.images = on_device(*device, step.images("y"), 10, data.pixel_count());
  TrainConfig config;
  config.model = {.decoder_layers = AuthorsStep::layers, .half_space = false};
  config.poses = PoseMode::given, config.epochs = 1;
  Trainer trainer(*device, data, config);
  auto state = trainer.model().parameters().state();
  state.values = step.parameters("w0");
  trainer.model().parameters().restore(state);
  trainer.set_poses(AuthorsStep::narrow(step.file.at("rot")), AuthorsStep::narrow(step.file.at("trans_px")));
  CHECK(trainer.step_group());
  const auto weights = step.compare_weights(trainer.model().parameters().state().values);
  MESSAGE("loss " << trainer.report().loss << ", weights " << weights.worst << " (uncertain: " << weights.uncertain
                  << ")");
  CHECK(trainer.report().loss == doctest::Approx(step.file.at("loss").values[0]).epsilon(1e-5));
  CHECK(weights.worst < 1e-5);
  CHECK(weights.uncertain < 177665 / 50);
}
