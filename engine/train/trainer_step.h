#pragma once
#include "engine/train/trainer.h"

namespace recon {

/// What changes from one training step to the next, as it stands in device memory: a row of the schedule of a group of
/// steps, followed by the numbers of the step's images and their rows in the image window, for the largest batch each.
/// The step itself is recorded once and reads it.
struct StepRecord {
  int64_t step = 0;  ///< of Adam
  uint32_t epoch = 0;
  float loss_scale = 1, kl_scale = 0;
  float average_rate = 0;
  float learning_rates[2] = {};  ///< decoder, encoder
  float latent_learning_rate = 0;
  uint32_t unused = 0;
};
constexpr int64_t step_record_words = sizeof(StepRecord) / sizeof(int32_t);
static_assert(sizeof(StepRecord) == 40 && step_record_words == 10);

/// Steps that are launched together where that many of full size are left: small minibatches last no longer than what
/// lies between two launches, a few microseconds.
constexpr size_t run_steps = 8;

/// A minibatch's arrays and its tape. Recorded once for a shape, replayed with new image numbers.
struct Trainer::Step {
  explicit Step(Device& device) : tape(device) {}
  int64_t batch = 0, pixels = 0;
  bool latents_move = false;
  View<const int32_t> images, rows;  ///< of the trainer's current row of the schedule
  Buffer<float> matrices, shifts, target, ctf, encoder_input, loss, kl;
  Var z;
  std::vector<Parameters::Product> products;  ///< gradients that are formed as the weights move
  Tape tape;
  Recording recording, run_recording;  ///< of one step, and of run_steps
};

}  // namespace recon
