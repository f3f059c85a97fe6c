// The pose-search half of the trainer: which images are searched against which slices.
#include <algorithm>
#include <cmath>

#include "engine/analyze/cluster.h"
#include "engine/geometry/lattice.h"
#include "engine/train/trainer.h"
#include "kernels/table/table.h"

namespace recon {
double Trainer::search_band(int epoch) const {
  const double limit = band(epoch);
  return config_.search.band_max > 0 ? std::min(config_.search.band_max, limit) : limit;
}

void Trainer::search_group(const std::vector<int32_t>& images) {
  search_->set_band(std::min(config_.search.band_min, band(epoch_)), search_band(epoch_));
  if (config_.model.latent > 0) return search_with_latents(images);
  if (config_.source == SourceMode::exact) {
    ExactSource source(*model_);
    return search_images(source, images);
  }
  lattice_->refresh({}, search_->config().band_max + 2);
  search_images(*lattice_, images);
}

void Trainer::search_with_latents(const std::vector<int32_t>& images) {
  const std::vector<float> z = group_latents(images);
  const auto width = static_cast<size_t>(config_.model.latent);
  if (config_.source == SourceMode::exact) {
    const auto chunk = static_cast<size_t>(search_->config().chunk_images);
    for (size_t first = 0; first < images.size(); first += chunk) {
      const size_t last = std::min(images.size(), first + chunk);
      Buffer<float> latents(*device_, static_cast<int64_t>(last - first), config_.model.latent);
      latents.upload(std::span(z).subspan(first * width, (last - first) * width));
      ExactSource source(*model_, latents.view());
      search_images(source,
                    {images.begin() + static_cast<int64_t>(first), images.begin() + static_cast<int64_t>(last)});
    }
    return;
  }
  for (const auto& members :
       cluster(z, config_.model.latent, epoch_ < config_.latent_start_epoch ? 1 : config_.lattice_bins)) {
    std::vector<float> centre(width, 0.0f);
    std::vector<int32_t> some;
    for (const int32_t i : members) {
      some.push_back(images[static_cast<size_t>(i)]);
      for (size_t j = 0; j < width; ++j)
        centre[j] += z[static_cast<size_t>(i) * width + j] / static_cast<float>(members.size());
    }
    lattice_->refresh(centre, search_->config().band_max + 2);
    search_images(*lattice_, some);
  }
}

void Trainer::search_images(SliceSource& source, const std::vector<int32_t>& images) {
  Device& d = *device_;
  const auto count = static_cast<int64_t>(images.size());
  const Buffer<int32_t> rows(d, images), places(d, window_->rows(images));
  Buffer<float> pixels(d, count, data_->pixel_count()), ctf, matrices(d, count, 9), shifts(d, count, 2), latents;
  if (!data_->ctf.empty() || config_.noise != NoiseMode::white) ctf = Buffer<float>(d, count, data_->pixel_count());
  load_target(rows.view(), places.view(), {}, data_->pixels.view(), pixels.view(), ctf.view());
  // Finalists are scored exactly with the decoder itself; with a latent the lattice's own z stands in for the image's.
  ExactSource exact(*model_);
  search_->run(source, config_.source == SourceMode::lattice && config_.model.latent == 0 ? &exact : nullptr,
               pixels.view(), ctf.view(), matrices.view(), shifts.view());
  scatter_rows(d, ScatterRows{.from = matrices.view(), .rows = rows.view(), .to = matrices_.view()});
  scatter_rows(d, ScatterRows{.from = shifts.view(), .rows = rows.view(), .to = shifts_.view()});
}

std::optional<double> Trainer::lattice_error() {
  constexpr int slices = 20;
  int last = std::min(epoch_, config_.epochs - 1);
  while (last >= 0 && stage(last) != Stage::search) --last;
  if (!lattice_ || last < 0) return {};
  const auto width = static_cast<size_t>(config_.model.latent);
  std::vector<float> mean(width, 0.0f);
  const std::vector<float> z = latents();
  for (size_t i = 0; i < z.size(); ++i) mean[i % width] += z[i] / static_cast<float>(data_->count);
  lattice_->refresh(mean, search_band(last) + 2);
  const View<const Pixel> band{data_->pixels.view().data, 1, pixels_within(data_->host_pixels, search_band(last))};
  return lattice_->measure_error(band, mean, slices, config_.seed);
}

std::vector<float> Trainer::group_latents(const std::vector<int32_t>& images) {
  const auto width = static_cast<size_t>(config_.model.latent);
  if (config_.model.source == LatentSource::table) {
    const Buffer<int32_t> rows(*device_, images);
    Buffer<float> z(*device_, static_cast<int64_t>(images.size()), config_.model.latent);
    gather_rows(*device_, GatherRows{.from = model_->table().values.view(), .rows = rows.view(), .to = z.view()});
    return z.download();
  }
  const std::vector<float> encoded = encode(images);
  std::vector<float> z;
  for (size_t i = 0; i < images.size(); ++i)
    z.insert(z.end(), encoded.begin() + static_cast<int64_t>(2 * i * width),
             encoded.begin() + static_cast<int64_t>((2 * i + 1) * width));
  return z;
}

std::vector<float> Trainer::encode(const std::vector<int32_t>& images) {
  const auto chunk = static_cast<size_t>(std::min<int64_t>(100, window_->capacity()));
  std::vector<float> out;
  for (size_t first = 0; first < images.size(); first += chunk) {
    const std::vector<int32_t> some(images.begin() + static_cast<int64_t>(first),
                                    images.begin() + static_cast<int64_t>(std::min(images.size(), first + chunk)));
    const auto count = static_cast<int64_t>(some.size());
    Device& d = *device_;
    const Buffer<int32_t> rows(d, some), places(d, window_->rows(some));
    Buffer<float> shifts(d, count, 2), input(d, count, data_->pixel_count());
    gather_rows(d, GatherRows{.from = shifts_.view(), .rows = rows.view(), .to = shifts.view()});
    Buffer<float> ctf;
    if (!data_->ctf.empty()) ctf = Buffer<float>(d, count, data_->pixel_count());
    load_encoder_input(rows.view(), places.view(), shifts.view(), input.view(), ctf.view());
    Tape tape(d);
    const Var encoded = mlp(tape, Tape::constant(input.view()), model_->encoder());
    tape.forward();
    std::vector<float> host(static_cast<size_t>(encoded.value.size()));
    d.download(host.data(), encoded.value.data, host.size() * sizeof(float));
    out.insert(out.end(), host.begin(), host.end());
  }
  return out;
}

std::vector<float> Trainer::latents(std::vector<float>* log_variances) {
  if (config_.model.latent == 0) return {};
  std::vector<int32_t> all(static_cast<size_t>(data_->count));
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int32_t>(i);
  if (config_.model.source == LatentSource::table) return group_latents(all);
  const auto width = static_cast<size_t>(config_.model.latent);
  const std::vector<float> encoded = encode(all);
  std::vector<float> means;
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t j = 0; j < width; ++j) {
      means.push_back(encoded[2 * i * width + j]);
      if (log_variances) log_variances->push_back(encoded[(2 * i + 1) * width + j]);
    }
  return means;
}

}  // namespace recon
