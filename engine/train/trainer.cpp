#include "engine/train/trainer.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "engine/geometry/lattice.h"
#include "engine/geometry/rotation.h"
#include "engine/train/clock.h"
#include "engine/train/shuffle.h"
#include "engine/train/trainer_step.h"
#include "kernels/loss/loss.h"
#include "kernels/table/table.h"

namespace recon {
namespace {

/// Square roots of 1/σ² a shell, from the residual power of every pixel, scaled to a mean weight of 1. A shell's σ² is
/// at least a thousandth of the largest: no band is trusted without limit.
std::vector<float> noise_weights(const std::vector<Pixel>& pixels, const std::vector<double>& power) {
  std::vector<double> sums, counts;
  const auto shell = [&](size_t p) { return static_cast<size_t>(std::lround(std::hypot(pixels[p].x, pixels[p].y))); };
  for (size_t p = 0; p < pixels.size(); ++p) {
    if (shell(p) >= sums.size()) sums.resize(shell(p) + 1, 0), counts.resize(shell(p) + 1, 0);
    sums[shell(p)] += power[p];
    counts[shell(p)] += 1;
  }
  double largest = 1e-30, mean = 0;
  for (size_t i = 0; i < sums.size(); ++i) largest = std::max(largest, counts[i] > 0 ? sums[i] / counts[i] : 0);
  std::vector<double> weights;
  for (size_t p = 0; p < pixels.size(); ++p) {
    weights.push_back(1 / std::max(sums[shell(p)] / counts[shell(p)], 1e-3 * largest));
    mean += weights.back() / static_cast<double>(pixels.size());
  }
  std::vector<float> roots;
  for (const double w : weights) roots.push_back(static_cast<float>(std::sqrt(w / mean)));
  return roots;
}

}  // namespace

Trainer::Trainer(Device& device, const Dataset& data, const TrainConfig& config)
    : device_(&device), data_(&data), config_(config) {
  config_.model.side = data.side;
  model_ = std::make_unique<Model>(device, config_.model, data.pixel_count(), data.count);
  matrices_ = Buffer<float>(device, data.count, 9);
  shifts_ = Buffer<float>(device, data.count, 2);
  std::vector<float> identity(static_cast<size_t>(9 * data.count), 0.0f);
  for (size_t i = 0; i < identity.size(); i += 9) identity[i] = identity[i + 4] = identity[i + 8] = 1;
  matrices_.upload(identity);
  shifts_.zero();
  schedule_ = Buffer<int32_t>(device, (group_images() + config_.batch - 1) / config_.batch,
                              (step_record_words + 2 * config_.batch + 1) / 2 * 2);
  cursor_on_device_ = Buffer<int32_t>(device, 1, 1);
  now_ = Buffer<int32_t>(device, 1, schedule_.view().cols);
  sums_ = Buffer<double>(device, 1, 2);
  sums_.zero();
  weights_ = Buffer<float>(device, std::vector<float>(static_cast<size_t>(data.pixel_count()), 1.0f));
  window_ = std::make_unique<ImageWindow>(device, data, group_images());
  if (config_.poses == PoseMode::search) {
    search_ = std::make_unique<PoseSearch>(device, config_.search, data.side, data.host_pixels, data.pixels.view());
  }
  if (config_.pose_steps > 0 || (config_.poses == PoseMode::search && config_.source == SourceMode::lattice))
    lattice_ = std::make_unique<LatticeSource>(*model_);
}

Trainer::~Trainer() = default;

void Trainer::set_poses(const std::vector<float>& matrices, const std::vector<float>& shifts) {
  expect(static_cast<int64_t>(matrices.size()) == matrices_.size() &&
             static_cast<int64_t>(shifts.size()) == shifts_.size(),
         "trainer: one matrix and one shift an image");
  matrices_.upload(matrices);
  shifts_.upload(shifts);
}

void Trainer::set_latents(const std::vector<float>& z) {
  Buffer<float>& values = model_->table().values;
  expect(!values.empty() && static_cast<int64_t>(z.size()) == values.size(), "trainer: one z an image of the table");
  values.upload(z);
}

Trainer::Stage Trainer::stage_of(const TrainConfig& config, int epoch) {
  if (config.poses == PoseMode::given) return Stage::fixed;
  if (epoch < config.random_pose_epochs) return Stage::random;
  const int searched = epoch - config.random_pose_epochs;
  if (config.search_epochs > 0 && searched >= config.search_epochs) return Stage::fixed;
  if (epoch < config.latent_start_epoch) return Stage::search;
  return searched % std::max(1, config.search_every) == 0 ? Stage::search : Stage::fixed;
}

bool Trainer::steps_poses(int epoch) const {
  const bool network_is_new = epoch == 0 || epoch == polish_epoch();
  return config_.pose_steps > 0 && stage(epoch) == Stage::fixed && !network_is_new;
}

double Trainer::band(int epoch) const {
  const double full = config_.train_band > 0 ? std::min(config_.train_band, data_->side / 2.0) : data_->side / 2.0;
  if (config_.poses == PoseMode::given || epoch >= polish_epoch()) return full;
  if (epoch < config_.random_pose_epochs) return std::min(config_.search.band_min, full);
  const double first = config_.band_start > 0 ? std::min(config_.band_start, full) : full;
  const int marched = epoch - config_.random_pose_epochs - config_.band_hold_epochs + 1;
  return first + (full - first) * std::clamp(marched / double(config_.band_epochs + 1), 0.0, 1.0);
}

double Trainer::learning_rate_factor() const {
  // While poses turn the rate stays: a network that hardly moves any more holds images where their own noise is.
  const bool waits = config_.poses == PoseMode::search && config_.settled_degrees > 0;
  const int polish = polish_epoch(), settled = waits ? config_.random_pose_epochs + config_.race_epochs : 0,
            first = epoch_ < polish ? settled : polish, end = epoch_ < polish ? polish : config_.epochs;
  const double done = (epoch_ - first + double(cursor_) / static_cast<double>(data_->count)) / std::max(1, end - first);
  return config_.final_learning_rate +
         (1 - config_.final_learning_rate) * 0.5 * (1 + std::cos(std::numbers::pi * std::clamp(done, 0.0, 1.0)));
}

void Trainer::begin_epoch() {
  if (order_epoch_ != epoch_) order_ = shuffled(data_->count, config_.seed, static_cast<uint32_t>(epoch_));
  order_epoch_ = epoch_;
  const Stage now = stage(epoch_);
  last_matrices_ = matrices();
  report_ = {};
  if (cursor_ == 0) {
    if (starts_linearly()) start_latents();
    if (epoch_ == polish_epoch()) {
      const auto start = Clock::now();
      polish_poses();
      report_.search_seconds = seconds_since(start);
    }
    loss_sum_ = kl_sum_ = 0;
    sums_.zero();
  }
  if (cursor_ == 0 && now == Stage::search) {
    searched_ = searched_before_ = {};
    search_->reset_statistics();
  }
  report_.epoch = epoch_;
  report_.stage = now == Stage::random ? "random poses" : now == Stage::search ? "pose search" : "fixed poses";
  report_.band = band(epoch_);
}

bool Trainer::step_group() {
  if (finished()) return false;
  if (cursor_ == 0 || order_epoch_ != epoch_) begin_epoch();
  const int64_t count = std::min<int64_t>(group_images(), data_->count - cursor_);
  const std::vector<int32_t> images(order_.begin() + cursor_, order_.begin() + cursor_ + count);
  const Stage now = stage(epoch_);
  auto start = Clock::now();
  if (now == Stage::random) random_poses(images);
  if (now == Stage::search) search_group(images);
  if (steps_poses(epoch_)) step_poses(images);
  report_.search_seconds += seconds_since(start);
  start = Clock::now();
  train_group(images);
  if (const auto next = next_group(cursor_ + count); !next.empty()) window_->fetch_ahead(next);
  report_.train_seconds += seconds_since(start);
  cursor_ += count;
  settled_ = false;
  report_.images = cursor_;
  report_.learning_rate = config_.learning_rate * learning_rate_factor();
  if (cursor_ == data_->count) end_epoch();
  return true;
}

/// The group that follows when `done` images of this epoch are.
std::vector<int32_t> Trainer::next_group(int64_t done) const {
  if (done < data_->count) {
    const auto first = order_.begin() + done;
    return {first, first + std::min<int64_t>(group_images(), data_->count - done)};
  }
  if (epoch_ + 1 >= config_.epochs) return {};
  auto order = shuffled(data_->count, config_.seed, static_cast<uint32_t>(epoch_) + 1);
  order.resize(std::min(order.size(), static_cast<size_t>(group_images())));
  return order;
}

void Trainer::settle() const {
  if (settled_) return;
  const auto start = Clock::now();
  const auto sums = sums_.download();
  loss_sum_ = sums[0];
  kl_sum_ = sums[1];
  report_.loss = loss_sum_ / static_cast<double>(report_.images);
  report_.kl = kl_sum_ / static_cast<double>(report_.images);
  if (stage(report_.epoch) == Stage::search) {
    searched_ = searched_before_;
    searched_.add(search_->statistics());
    report_.search = searched_;
  }
  report_.train_seconds += seconds_since(start);
  settled_ = true;
}

const EpochReport& Trainer::report() const {
  settle();
  return report_;
}

Trainer::Progress Trainer::progress() const {
  settle();
  return {epoch_, cursor_, loss_sum_, kl_sum_, searched_};
}

void Trainer::end_epoch() {
  settle();
  if (stage(epoch_) == Stage::search || epoch_ == polish_epoch()) {
    const auto now = matrices();
    std::vector<double> change;
    for (size_t i = 0; i < now.size(); i += 9) {
      double distance = 0;
      for (size_t j = 0; j < 9; ++j)
        distance += (double(now[i + j]) - last_matrices_[i + j]) * (double(now[i + j]) - last_matrices_[i + j]);
      change.push_back(distance);
    }
    std::nth_element(change.begin(), change.begin() + static_cast<int64_t>(change.size() / 2), change.end());
    report_.pose_change_degrees = degrees_of_squared_frobenius(change[change.size() / 2]);
  }
  if (config_.noise == NoiseMode::shells && stage(epoch_) == Stage::fixed) estimate_noise();
  wait_for_poses();
  ++epoch_;
  cursor_ = 0;
}

/// The configuration itself grows by an epoch: it is what a checkpoint keeps.
void Trainer::wait_for_poses() {
  const bool race_is_over = epoch_ + 1 == config_.random_pose_epochs + config_.race_epochs;
  if (config_.poses != PoseMode::search || config_.settled_degrees == 0 || config_.settle_epochs == 0 || !race_is_over)
    return;
  // Only an epoch that searched can tell (search_every).
  if (stage(epoch_) == Stage::search && report_.pose_change_degrees <= config_.settled_degrees) return;
  --config_.settle_epochs;
  ++config_.epochs;
  ++config_.race_epochs;
  ++config_.band_hold_epochs;
  if (config_.search_epochs > 0) ++config_.search_epochs;
  if (config_.latent_start_epoch > epoch_) {
    // A latent table need not wait longer than for one more search, of images that did not race.
    const int next = config_.random_pose_epochs + config_.race_epochs;
    config_.latent_start_epoch = std::max(config_.latent_start_epoch, next + 1);
  }
}

void Trainer::random_poses(const std::vector<int32_t>& images) {
  const Philox random{config_.seed, Purpose::random_pose};
  std::vector<float> matrices;
  for (const int32_t image : images)
    for (const double v : random_rotation(random, static_cast<uint64_t>(image), static_cast<uint32_t>(epoch_)))
      matrices.push_back(static_cast<float>(v));
  Buffer<float> some(*device_, static_cast<int64_t>(images.size()), 9);
  some.upload(matrices);
  const Buffer<int32_t> rows(*device_, images);
  scatter_rows(*device_, ScatterRows{.from = some.view(), .rows = rows.view(), .to = matrices_.view()});
}

void Trainer::estimate_noise() {
  constexpr int64_t sample = 500;
  const int64_t chunk = std::min<int64_t>(50, group_images());
  const int64_t pixels = data_->pixel_count(), stride = std::max<int64_t>(1, data_->count / sample);
  std::vector<int32_t> images;
  for (int64_t i = 0; i < data_->count; i += stride) images.push_back(static_cast<int32_t>(i));
  const std::vector<float> z = config_.model.latent > 0 ? group_latents(images) : std::vector<float>{};
  Buffer<double> sums(*device_, 1, pixels);
  sums.zero();
  for (int64_t first = 0; first < static_cast<int64_t>(images.size()); first += chunk) {
    const int64_t count = std::min<int64_t>(chunk, static_cast<int64_t>(images.size()) - first);
    const auto some = std::span<const int32_t>(images).subspan(static_cast<size_t>(first), static_cast<size_t>(count));
    const Buffer<int32_t> rows(*device_, some), places(*device_, window_->rows(some));
    Buffer<float> matrices(*device_, count, 9), shifts(*device_, count, 2), target(*device_, count, pixels),
        prediction(*device_, count, pixels), ctf, latents;
    gather_rows(*device_, GatherRows{.from = matrices_.view(), .rows = rows.view(), .to = matrices.view()});
    gather_rows(*device_, GatherRows{.from = shifts_.view(), .rows = rows.view(), .to = shifts.view()});
    shift_images(*device_, ShiftImages{.images = window_->table(),
                                       .source = places.view(),
                                       .shifts = shifts.view(),
                                       .pixels = data_->pixels.view(),
                                       .out = target.view(),
                                       .side = data_->side});
    if (!data_->ctf.empty()) ctf = Buffer<float>(*device_, count, pixels);
    load_ctf(rows.view(), data_->pixels.view(), ctf.view());
    if (!z.empty()) {
      const auto width = static_cast<size_t>(config_.model.latent);
      latents = Buffer<float>(*device_, count, config_.model.latent);
      latents.upload(std::span(z).subspan(static_cast<size_t>(first) * width, static_cast<size_t>(count) * width));
    }
    decode(*device_, DecodeSlices{.net = model_->decoder_net(),
                                  .pixels = data_->pixels.view(),
                                  .rotations = matrices.view(),
                                  .latents = latents.view(),
                                  .values = prediction.view(),
                                  .side = data_->side});
    residual_power(
        *device_,
        ResidualPower{
            .prediction = prediction.view(), .target = target.view(), .ctf = ctf.view(), .sums = sums.view()});
  }
  weights_.upload(noise_weights(data_->host_pixels, sums.download()));
}

int64_t Trainer::group_images() const {
  return config_.poses == PoseMode::given ? 50 * config_.batch : config_.macro_batch;
}

void Trainer::restore(const Progress& progress) {
  epoch_ = progress.epoch;
  cursor_ = progress.cursor;
  if (cursor_ > 0) begin_epoch();
  loss_sum_ = progress.loss_sum;
  kl_sum_ = progress.kl_sum;
  sums_.upload(std::vector<double>{loss_sum_, kl_sum_});
  searched_ = searched_before_ = progress.search;
  if (search_) search_->reset_statistics();
  settled_ = true;
  if (cursor_ == 0 && epoch_ > 0) {  // the sums are those of the epoch that was finished last
    report_.epoch = epoch_ - 1;
    report_.loss = loss_sum_ / static_cast<double>(data_->count);
    report_.kl = kl_sum_ / static_cast<double>(data_->count);
  }
}

}  // namespace recon
