// The engine on the CUDA backend, emulated or real, against the CPU. Run with RECON_TEST_DEVICE=cuda only.
#include <doctest/doctest.h>

#include "engine/train/memory_plan.h"
#include "tests/engine/small_runs.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

struct Curve {
  std::vector<double> losses;
  std::vector<float> weights, matrices, latents;
};

Curve train_on(Device& device, const TrainConfig& config, uint64_t* waits = nullptr, uint64_t* allocations = nullptr) {
  const Dataset data = random_images(device, 16, 14, true);
  Trainer trainer(device, data, config);
  Curve curve;
  uint64_t waits_before = 0;
  while (!trainer.finished()) {
    const DeviceState* state = device.state_or_null();
    if (state && trainer.epoch() == config.epochs - 2 && trainer.epoch_finished()) {
      waits_before = state->synchronizations();
      if (allocations) *allocations = state->device_allocations();
    }
    trainer.step_group();
    if (trainer.epoch_finished()) curve.losses.push_back(trainer.report().loss);
  }
  if (waits) *waits = device.state().synchronizations() - waits_before;
  if (allocations) *allocations = device.state().device_allocations() - *allocations;
  curve.weights = trainer.model().parameters().state().values;
  curve.matrices = trainer.matrices();
  curve.latents = trainer.latents();
  return curve;
}

/// The part of images whose poses are the same on both.
double equal_poses(const std::vector<float>& a, const std::vector<float>& b) {
  double equal = 0;
  for (size_t i = 0; i < a.size(); i += 9) {
    double distance = 0;
    for (size_t j = 0; j < 9; ++j) distance += std::abs(double(a[i + j]) - b[i + j]);
    equal += distance < 1e-5;
  }
  return equal / (static_cast<double>(a.size()) / 9);
}

}  // namespace

TEST_SUITE("backend") {
  // Gradients agree to some 2^-20 of themselves; Adam's first steps turn the sign of a gradient near 0 into a whole
  // step of 1e-3, so weights may differ by some of these and losses by their effect.
  TEST_CASE("Backend: with given poses CUDA follows the training curve of the CPU") {
    for (const LatentSource source : {LatentSource::none, LatentSource::encoder, LatentSource::table}) {
      const TrainConfig config = config_for(PoseMode::given, source);
      const auto cuda = test_device(), cpu = Device::cpu(2);
      const Curve a = train_on(*cuda, config), b = train_on(*cpu, config);
      CHECK(relative_error(a.losses, b.losses) < 1e-4);
      CHECK(relative_error(a.weights, b.weights) < 1e-3);
      if (source != LatentSource::none) CHECK(relative_error(a.latents, b.latents, 1e-2) < 1e-2);
    }
  }

  TEST_CASE("Backend: with searched poses CUDA finds the CPU's, with every kind of latent") {
    for (const LatentSource source : {LatentSource::none, LatentSource::encoder, LatentSource::table}) {
      TrainConfig config = config_for(PoseMode::search, source);
      config.epochs = 2;  // random poses, then a search; later ones drift apart as chance has it
      const auto cuda = test_device(), cpu = Device::cpu(2);
      const Curve a = train_on(*cuda, config), b = train_on(*cpu, config);
      MESSAGE("equal poses: " << equal_poses(a.matrices, b.matrices));
      CHECK(equal_poses(a.matrices, b.matrices) >= 0.9);
      CHECK(relative_error(a.losses, b.losses) < 1e-2);
    }
  }

  TEST_CASE("Backend: a run on CUDA gives the same bits twice") {
    const TrainConfig config = config_for(PoseMode::search, LatentSource::table);
    const auto one = test_device(), two = test_device();
    const Curve a = train_on(*one, config), b = train_on(*two, config);
    CHECK(a.losses == b.losses);
    CHECK(a.weights == b.weights);
    CHECK(a.matrices == b.matrices);
    CHECK(a.latents == b.latents);
  }

  TEST_CASE(
      "Backend: the host waits as often for few steps and groups as for many, and a settled run allocates nothing") {
    for (const PoseMode poses : {PoseMode::given, PoseMode::search}) {
      TrainConfig config = config_for(poses, poses == PoseMode::given ? LatentSource::encoder : LatentSource::none);
      config.epochs = poses == PoseMode::given ? 4 : 5;
      uint64_t waits[2] = {}, allocations[2] = {};
      for (const int i : {0, 1}) {
        config.batch = i == 0 ? 7 : 1;         // 2 steps an epoch, 14 steps an epoch
        config.macro_batch = i == 0 ? 14 : 7;  // 1 search an epoch, 2 of them
        const auto cuda = test_device();
        train_on(*cuda, config, &waits[i], &allocations[i]);
      }
      CHECK(waits[0] == waits[1]);
      CHECK(allocations[0] == 0);
      CHECK(allocations[1] == 0);
    }
  }

  TEST_CASE("Backend: a run holds what the plan says, to a tenth") {
    for (const auto& [source, placement] :
         {std::pair(LatentSource::none, Placement::device), std::pair(LatentSource::encoder, Placement::device),
          std::pair(LatentSource::encoder, Placement::host)}) {
      const TrainConfig config = config_for(PoseMode::search, source);
      const auto cuda = test_device();
      const MemoryPlan plan = plan_memory(*cuda, {.side = 16, .count = 14, .ctf = true}, {config}, placement);
      CHECK(plan.exact);
      CHECK(plan.placement == placement);
      CHECK(cuda->bytes_peak() == 0);
      const Dataset data = random_images(*cuda, 16, 14, true, placement);
      Trainer trainer(*cuda, data, config);
      while (trainer.step_group()) {
      }
      trainer.model().volume(std::vector<float>(static_cast<size_t>(trainer.config().model.latent), 0.0f), 8);
      MESSAGE("planned " << plan.peak << ", held " << cuda->bytes_peak());
      CHECK(double(cuda->bytes_peak()) < 1.1 * double(plan.peak));
      CHECK(double(cuda->bytes_peak()) > 0.9 * double(plan.peak));
    }
  }

  TEST_CASE("Backend: a recorded step goes on with the same bits after another operation has grown the workspace") {
    const auto run = [](bool grow) {
      const auto device = test_device();
      const Dataset data = random_images(*device, 16, 14, false);
      TrainConfig config = config_for(PoseMode::given, LatentSource::none);
      config.epochs = 4;
      Trainer trainer(*device, data, config);
      while (!trainer.finished()) {
        if (grow && trainer.epoch() == 2) device->workspace(size_t{1} << 22);
        trainer.step_group();
      }
      return trainer.model().parameters().state().values;
    };
    CHECK(run(true) == run(false));
  }
}
