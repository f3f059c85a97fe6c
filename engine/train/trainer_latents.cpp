// Latents of a table by search. A table's z move by gradients, and an image that stands at the wrong end of the latent
// does not come past the others: the same structure is then found at both ends. So now and then each image is compared
// with the structures at some other images' z, and takes the z of the one it fits best.
#include <algorithm>

#include "engine/geometry/lattice.h"
#include "engine/train/trainer.h"
#include "kernels/decoder/decoder.h"
#include "kernels/loss/loss.h"
#include "kernels/runtime/philox.h"
#include "kernels/table/table.h"

namespace recon {
namespace {

constexpr int64_t tried = 15, at_once = 10;  // other images' z, and images

/// Rows of z, those of the images tried and then those of `images` themselves; and for each pair of an image and a z
/// that is compared, which these are. An image's own z comes last.
struct Trials {
  std::vector<float> z;
  std::vector<int32_t> image_of, latent_of;

  Trials(const std::vector<float>& all, int64_t width, std::span<const int32_t> images, const Philox& random,
         int epoch) {
    const int64_t count = static_cast<int64_t>(all.size()) / width;
    const auto add = [&](int64_t row) {
      z.insert(z.end(), all.begin() + row * width, all.begin() + (row + 1) * width);
    };
    for (int64_t i = 0; i < tried; ++i)
      add(random.draw(static_cast<uint64_t>(images[0] * tried + i), static_cast<uint32_t>(epoch)).v[0] % count);
    for (const int32_t image : images) {
      const auto b = static_cast<int32_t>(latent_of.size()) / static_cast<int32_t>(tried + 1);
      add(image);
      image_of.insert(image_of.end(), static_cast<size_t>(tried + 1), b);
      for (int32_t i = 0; i < tried; ++i) latent_of.push_back(i);
      latent_of.push_back(static_cast<int32_t>(tried) + b);
    }
  }

  void take_best(const std::vector<float>& losses, int64_t width) {
    for (int64_t first = 0, b = 0; first < static_cast<int64_t>(losses.size()); first += tried + 1, ++b) {
      const auto own = losses.begin() + first + tried;
      const int64_t best = std::min_element(own - tried, own + 1) - (own - tried);
      if (best < tried) std::copy_n(z.begin() + best * width, width, z.begin() + (tried + b) * width);
    }
  }
};

}  // namespace

bool Trainer::searches_latents(int epoch) const {
  if (config_.model.source != LatentSource::table || config_.latent_learning_rate == 0 ||
      config_.latent_search_every <= 0)
    return false;
  const int moving = epoch - config_.latent_start_epoch;
  return moving > 0 && moving % config_.latent_search_every == 0 &&
         2 * moving <= config_.epochs - config_.latent_start_epoch;
}

void Trainer::search_latents(const std::vector<int32_t>& images) {
  const std::vector<float> all = latents();
  const auto most = static_cast<size_t>(at_once);
  for (size_t first = 0; first < images.size(); first += most)
    search_latents(std::span(images).subspan(first, std::min(images.size() - first, most)), all);
}

void Trainer::search_latents(std::span<const int32_t> images, const std::vector<float>& all) {
  Device& d = *device_;
  const int64_t width = config_.model.latent, pixels = pixels_within(data_->host_pixels, band(epoch_));
  const View<const Pixel> band_pixels{data_->pixels.view().data, 1, pixels};
  Trials trials(all, width, images, {config_.seed, Purpose::latent_search}, epoch_);
  const auto count = static_cast<int64_t>(images.size()), pairs = count * (tried + 1);
  const Buffer<int32_t> rows(d, images), places(d, window_->rows(images)), image(d, trials.image_of),
      latent(d, trials.latent_of);
  const Buffer<float> matrices(d, count, 9), shifts(d, count, 2), target(d, count, pixels), turns(d, pairs, 9),
      targets(d, pairs, pixels), values(d, pairs, pixels), loss(d, 1, pairs);
  Buffer<float> z(d, tried + count, width), ctf, ctfs;
  if (!data_->ctf.empty() || config_.noise != NoiseMode::white)
    ctf = Buffer<float>(d, count, pixels), ctfs = Buffer<float>(d, pairs, pixels);
  gather_rows(d, GatherRows{.from = matrices_.view(), .rows = rows.view(), .to = matrices.view()});
  gather_rows(d, GatherRows{.from = shifts_.view(), .rows = rows.view(), .to = shifts.view()});
  load_target(rows.view(), places.view(), shifts.view(), band_pixels, target.view(), ctf.view());
  gather_rows(d, GatherRows{.from = matrices.view(), .rows = image.view(), .to = turns.view()});
  gather_rows(d, GatherRows{.from = target.view(), .rows = image.view(), .to = targets.view()});
  if (!ctf.empty()) gather_rows(d, GatherRows{.from = ctf.view(), .rows = image.view(), .to = ctfs.view()});
  z.upload(trials.z);
  decode(d, DecodeSlices{.net = model_->decoder_net(),
                         .pixels = band_pixels,
                         .rotations = turns.view(),
                         .latents = z.view(),
                         .latent_of = latent.view(),
                         .values = values.view(),
                         .side = data_->side});
  squared_error(
      d, SquaredError{.prediction = values.view(), .target = targets.view(), .ctf = ctfs.view(), .loss = loss.view()});
  trials.take_best(loss.download(), width);
  z.upload(trials.z);
  scatter_rows(d, ScatterRows{.from = z.rows(tried, count), .rows = rows.view(), .to = model_->table().values.view()});
}

}  // namespace recon
