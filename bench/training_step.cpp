// The whole training step: the trainer as it runs, on random images at random poses.
#include <cstring>

#include "bench/operations.h"
#include "engine/geometry/lattice.h"
#include "engine/train/trainer.h"
#include "kernels/ops.h"
#include "tests/reference/shapes.h"

namespace recon::bench {
namespace {

constexpr int steps = 20;  ///< of an epoch, which is a run

struct Training {
  Dataset data;
  std::vector<std::unique_ptr<Trainer>> trainers;
};

std::vector<Candidate> training_step_candidates(Device& device, const Size& s, std::shared_ptr<void>& memory) {
  auto m = std::make_shared<Training>();
  reference::Draws draws(7);
  const int count = steps * s.batch;
  m->data = prepare(device, s.box, 1, draws.normals(int64_t{count} * s.box * s.box), {}, {.window = false});
  TrainConfig config;
  config.model.latent = s.latent;
  config.model.source = s.latent > 0 ? LatentSource::table : LatentSource::none;
  config.model.decoder_width = s.width, config.model.decoder_layers = s.layers;
  config.poses = PoseMode::given;
  config.epochs = 1 << 20, config.batch = s.batch;
  const auto rotations = reference::random_rotations(draws, count);
  std::vector<Candidate> out;
  for (const auto& [name, precision] :
       {std::pair{"fp32", Precision::fp32}, {"fp16", Precision::fp16}, {"bf16", Precision::bf16}}) {
    if (precision != Precision::fp32 && std::strcmp(device.ops().name, "cpu") == 0) continue;
    config.model.precision = precision;
    Trainer& trainer = *m->trainers.emplace_back(std::make_unique<Trainer>(device, m->data, config));
    trainer.set_poses(rotations, std::vector<float>(2 * size_t(count)));
    expect(trainer.group_images() >= count, "bench: a group is shorter than an epoch");
    out.push_back({.name = name, .precision = precision, .run = [&trainer] { trainer.step_group(); }, .times = steps});
  }
  memory = m;
  return out;
}

}  // namespace

Operation training_step() {
  return {"training step", [](const Size& s) { return all_operations()[1].shape(s); },
          [](const Size& s) {
            // With what moves the weights: Adam's 32 bytes a parameter.
            const Work decoder = all_operations()[1].work(s), adam = all_operations().back().work(s);
            return Work{decoder.flops + adam.flops, decoder.bytes + adam.bytes};
          },
          training_step_candidates};
}

}  // namespace recon::bench
