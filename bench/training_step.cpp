// The whole training step: the trainer as it runs, on random images at random poses.
#include "bench/operations.h"
#include "engine/geometry/lattice.h"
#include "engine/train/trainer.h"
#include "kernels/decoder/decoder.h"
#include "tests/reference/shapes.h"

namespace recon::bench {
namespace {

constexpr int steps = 20;  ///< of an epoch, which is a run

struct Training {
  Dataset data;
  std::vector<std::unique_ptr<Trainer>> trainers;
};

std::vector<Candidate> training_step_candidates(Device& device, const Size& s) {
  const auto m = std::make_shared<Training>();
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
  for (const auto& [name, precision] : {std::pair{"fp32", Precision::fp32},
                                        {"tf32", Precision::tf32},
                                        {"fp16", Precision::fp16},
                                        {"bf16", Precision::bf16}}) {
    if (!decodes_in(device, precision)) continue;
    config.model.precision = precision;
    Trainer& trainer = *m->trainers.emplace_back(std::make_unique<Trainer>(device, m->data, config));
    trainer.set_poses(rotations, std::vector<float>(2 * size_t(count)));
    expect(trainer.group_images() >= count, "bench: a group is shorter than an epoch");
    out.push_back(
        {.name = name, .precision = precision, .run = [&trainer, m] { trainer.step_group(); }, .times = steps});
    if (!device.state_or_null()) continue;
    const auto launched = [&device, &trainer, m] {
      device.set_recording(false);
      trainer.step_group();
      device.set_recording(true);
    };
    out.push_back(
        {.name = std::string(name) + ", not recorded", .precision = precision, .run = launched, .times = steps});
  }
  return out;
}

}  // namespace

/// Both of its costly parts: the decoder's training and what moves its weights.
Operation training_step(const Operation& decoder, const Operation& adam) {
  return {"training step", decoder.shape,
          [gradients = decoder.work, update = adam.work](const Size& s) {
            const Work a = gradients(s), b = update(s);
            return Work{a.flops + b.flops, a.bytes + b.bytes};
          },
          training_step_candidates};
}

}  // namespace recon::bench
