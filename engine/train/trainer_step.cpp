// The training step: recorded once for a shape, issued again and again from a schedule in device memory.
#include "engine/train/trainer_step.h"

#include <cstring>

#include "engine/geometry/lattice.h"
#include "kernels/adam/adam.h"
#include "kernels/loss/loss.h"
#include "kernels/table/table.h"

namespace recon {

Trainer::Step& Trainer::step_for(int64_t batch, int64_t pixels, bool latents_move) {
  auto& step = steps_[{batch, pixels, latents_move}];
  if (!step) {
    step = std::make_unique<Step>(*device_);
    step->batch = batch;
    step->pixels = pixels;
    step->latents_move = latents_move;
    record_step(*step);
  }
  return *step;
}

void Trainer::record_step(Step& s) {
  Device& d = *device_;
  const ModelConfig& m = config_.model;
  const int64_t all = data_->pixel_count();
  const bool encoder = m.source == LatentSource::encoder;
  s.images = {now_.view().data + step_record_words, 1, s.batch};
  s.rows = {s.images.data + config_.batch, 1, s.batch};
  s.matrices = Buffer<float>(d, s.batch, 9);
  s.shifts = Buffer<float>(d, s.batch, 2);
  s.target = Buffer<float>(d, s.batch, s.pixels);
  s.loss = Buffer<float>(d, 1, s.batch);
  s.kl = Buffer<float>(d, 1, s.batch);
  const bool weighted = config_.noise != NoiseMode::white;
  if (!data_->ctf.empty() || weighted) s.ctf = Buffer<float>(d, s.batch, encoder ? all : s.pixels);
  if (encoder) s.encoder_input = Buffer<float>(d, s.batch, all);
  const View<const int32_t> images = s.images;
  const auto* now = reinterpret_cast<const StepRecord*>(now_.view().data);
  const StepScalars scalars{
      .epoch = Scalar(&now->epoch), .loss_scale = Scalar(&now->loss_scale), .kl_scale = Scalar(&now->kl_scale)};
  s.tape.record([this, &s] { load_minibatch(s); }, {});
  if (encoder) {
    const Var encoded =
        mlp(s.tape, Tape::constant(s.encoder_input.view()), model_->encoder(), &s.products.emplace_back());
    s.z = reparameterize(s.tape, encoded, images, config_.seed, scalars, s.kl.view());
  } else if (m.source == LatentSource::table) {
    s.z = gather_latents(s.tape, model_->table().values.view(), images, scalars, s.kl.view());
  }
  const View<const float> ctf =
      s.ctf.empty() ? View<const float>{} : View<const float>(s.ctf.shaped(s.batch, s.pixels));
  const View<const Pixel> band{data_->pixels.view().data, 1, s.pixels};
  decode_loss(s.tape, model_->decoder_vars(), band, data_->side, s.matrices.view(), s.z, s.target.view(), ctf, scalars,
              s.loss.view());
}

void Trainer::load_minibatch(Step& s) {
  const View<const Pixel> band{data_->pixels.view().data, 1, s.pixels};
  gather_rows(*device_, GatherRows{.from = matrices_.view(), .rows = s.images, .to = s.matrices.view()});
  gather_rows(*device_, GatherRows{.from = shifts_.view(), .rows = s.images, .to = s.shifts.view()});
  if (!s.encoder_input.empty())
    load_encoder_input(s.images, s.rows, s.shifts.view(), s.encoder_input.view(), s.ctf.view());
  load_target(s.images, s.rows, s.shifts.view(), band, s.target.view(),
              s.ctf.empty() ? View<float>{} : s.ctf.shaped(s.batch, s.pixels));
}

/// What a prediction is compared with: shifted pixels, and the CTF it is multiplied by (empty: 1), over `pixels`.
void Trainer::load_target(View<const int32_t> images, View<const int32_t> rows, View<const float> shifts,
                          View<const Pixel> pixels, View<float> target, View<float> ctf) {
  shift_images(*device_, ShiftImages{.images = window_->table(),
                                     .source = rows,
                                     .shifts = shifts,
                                     .pixels = pixels,
                                     .out = target,
                                     .side = data_->side});
  if (ctf.empty()) return;
  load_ctf(images, pixels, ctf);
  if (config_.noise == NoiseMode::white) return;
  // The likelihood's weights: both sides of the squared error are multiplied by their square roots.
  scale_pixels(*device_, ScalePixels{.in = target, .factors = weights_.view(), .out = target});
  scale_pixels(*device_,
               ScalePixels{.in = data_->ctf.empty() ? View<float>{} : ctf, .factors = weights_.view(), .out = ctf});
}

void Trainer::load_ctf(View<const int32_t> rows, View<const Pixel> pixels, View<float> out) {
  if (data_->ctf.empty()) return;
  evaluate_ctf(*device_, EvaluateCtf{.parameters = data_->ctf.view(),
                                     .source = rows,
                                     .pixels = pixels,
                                     .out = out,
                                     .side = data_->side,
                                     .pixel_size_angstrom = static_cast<float>(data_->pixel_size_angstrom)});
}

void Trainer::load_encoder_input(View<const int32_t> images, View<const int32_t> rows, View<const float> shifts,
                                 View<float> out, View<float> ctf) {
  // Centred when the poses are given (appendix C), as it is when they are searched.
  shift_images(*device_, ShiftImages{.images = window_->table(),
                                     .source = rows,
                                     .shifts = config_.poses == PoseMode::given ? shifts : View<const float>{},
                                     .pixels = data_->pixels.view(),
                                     .out = out,
                                     .side = data_->side});
  if (data_->ctf.empty()) return;
  load_ctf(images, data_->pixels.view(), ctf);
  phase_flip(*device_, PhaseFlip{.in = out, .ctf = ctf, .out = out});
}

/// A row of the schedule: the step's numbers, then its images and their rows. Counts the step.
std::vector<int32_t> Trainer::schedule_row(std::span<const int32_t> images, std::span<const int32_t> rows,
                                           int64_t pixels) {
  const double values = static_cast<double>(images.size()) * static_cast<double>(pixels);
  const double warm =
      config_.kl_warmup_epochs > 0
          ? std::min(1.0, (epoch_ + double(cursor_) / static_cast<double>(data_->count)) / config_.kl_warmup_epochs)
          : 1.0;
  const double factor = learning_rate_factor();
  const double encoder = config_.encoder_learning_rate > 0 ? config_.encoder_learning_rate : config_.learning_rate;
  const Parameters::Step next = model_->parameters().next_step(config_.average_steps);
  const StepRecord record{
      .step = next.number,
      .epoch = static_cast<uint32_t>(epoch_),
      .loss_scale = static_cast<float>(1 / values),
      .kl_scale = static_cast<float>(config_.kl_weight * warm / values),
      .average_rate = next.average_rate,
      .learning_rates = {static_cast<float>(config_.learning_rate * factor), static_cast<float>(encoder * factor)},
      .latent_learning_rate = static_cast<float>(config_.latent_learning_rate * factor)};
  std::vector<int32_t> row(static_cast<size_t>(step_record_words));
  std::memcpy(row.data(), &record, sizeof record);
  row.insert(row.end(), images.begin(), images.end());
  row.resize(static_cast<size_t>(step_record_words + config_.batch), 0);
  row.insert(row.end(), rows.begin(), rows.end());
  row.resize(static_cast<size_t>(schedule_.view().cols), 0);
  return row;
}

/// The group's schedule is uploaded at once; after that its steps need nothing of the host.
void Trainer::train_group(const std::vector<int32_t>& images) {
  const int64_t pixels = pixels_within(data_->host_pixels, band(epoch_));
  const bool latents_move = config_.model.source == LatentSource::table && epoch_ >= config_.latent_start_epoch;
  const auto batch = static_cast<size_t>(config_.batch);
  const std::vector<int32_t> rows = window_->rows(images);
  std::vector<int32_t> schedule;
  for (size_t first = 0; first < images.size(); first += batch) {
    const size_t count = std::min(images.size() - first, batch);
    const auto row =
        schedule_row(std::span(images).subspan(first, count), std::span(rows).subspan(first, count), pixels);
    schedule.insert(schedule.end(), row.begin(), row.end());
  }
  schedule_.upload(schedule);
  cursor_on_device_.zero();
  for (size_t first = 0; first < images.size();) {
    const size_t left = images.size() - first, count = std::min(left, batch);
    Step& step = step_for(static_cast<int64_t>(count), pixels, latents_move);
    const bool many = left >= run_steps * batch;
    device_->repeat(many ? step.run_recording : step.recording, [&] {
      for (size_t i = 0; i < (many ? run_steps : 1); ++i) issue_step(step);
    });
    first += (many ? run_steps : 1) * count;
  }
}

void Trainer::issue_step(Step& s) {
  const auto* now = reinterpret_cast<const StepRecord*>(now_.view().data);
  take_row(*device_, TakeRow{.from = schedule_.view(), .cursor = cursor_on_device_.view(), .to = now_.view()});
  s.tape.forward();
  s.tape.backward();
  std::vector<Scalar<float>> rates = {Scalar(&now->learning_rates[0])};
  if (model_->encoder_module() >= 0) rates.push_back(Scalar(&now->learning_rates[1]));
  model_->parameters().adam_step(rates, Scalar(&now->step), Scalar(&now->average_rate), config_.average_steps > 0,
                                 s.products);
  if (s.latents_move) {
    Model::Table& table = model_->table();
    adam_rows(*device_, AdamRows{.parameters = table.values.view(),
                                 .first_moments = table.first_moments.view(),
                                 .second_moments = table.second_moments.view(),
                                 .steps = table.steps.view(),
                                 .rows = s.images,
                                 .gradients = s.z.gradient,
                                 .learning_rate = Scalar(&now->latent_learning_rate)});
  }
  const View<double> sums = sums_.view();
  sum_values(*device_, SumValues{.values = s.loss.view(),
                                 .out = {sums.data, 1, 1},
                                 .scale = 1.0 / static_cast<double>(s.pixels),
                                 .accumulate = true});
  if (config_.model.latent > 0)
    sum_values(*device_, SumValues{.values = s.kl.view(), .out = {sums.data + 1, 1, 1}, .accumulate = true});
}

}  // namespace recon
