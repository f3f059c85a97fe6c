// Where a table of latents starts once poses are known.
#include <algorithm>

#include "engine/geometry/lattice.h"
#include "engine/train/linear_latents.h"
#include "engine/train/trainer.h"
#include "kernels/table/table.h"

namespace recon {

bool Trainer::starts_linearly() const {
  return config_.linear_latents && config_.model.source == LatentSource::table &&
         epoch_ == config_.latent_start_epoch && stage(epoch_) != Stage::random &&
         (config_.poses == PoseMode::given || epoch_ > config_.random_pose_epochs);
}

/// Images on the host, over a band, as LinearLatents takes them.
struct Trainer::HostImages {
  std::vector<float> matrices, values, ctf;
  LinearImages view() const { return {matrices, values, ctf}; }
};

Trainer::HostImages Trainer::host_images(const std::vector<int32_t>& images, int64_t pixels) {
  Device& d = *device_;
  HostImages out;
  const auto append = [](std::vector<float>& to, const std::vector<float>& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  const View<const Pixel> band{data_->pixels.view().data, 1, pixels};
  const auto group = static_cast<size_t>(group_images());
  for (size_t first = 0; first < images.size(); first += group) {
    const std::vector<int32_t> some(images.begin() + static_cast<int64_t>(first),
                                    images.begin() + static_cast<int64_t>(std::min(images.size(), first + group)));
    const auto count = static_cast<int64_t>(some.size());
    const Buffer<int32_t> rows(d, some), places(d, window_->rows(some));
    const Buffer<float> matrices(d, count, 9), shifts(d, count, 2), values(d, count, pixels);
    Buffer<float> ctf;
    if (!data_->ctf.empty() || config_.noise != NoiseMode::white) ctf = Buffer<float>(d, count, pixels);
    gather_rows(d, GatherRows{.from = matrices_.view(), .rows = rows.view(), .to = matrices.view()});
    gather_rows(d, GatherRows{.from = shifts_.view(), .rows = rows.view(), .to = shifts.view()});
    load_target(rows.view(), places.view(), shifts.view(), band, values.view(), ctf.view());
    append(out.matrices, matrices.download());
    append(out.values, values.download());
    if (!ctf.empty()) append(out.ctf, ctf.download());
  }
  return out;
}

void Trainer::start_latents() {
  constexpr int64_t learned_from = 20000, at_once = 5000;  // images
  const double limit = std::min(config_.search.band_min, band(epoch_));
  const int64_t pixels = pixels_within(data_->host_pixels, limit), count = data_->count;
  LinearLatents linear(device_->threads(), std::span(data_->host_pixels).first(static_cast<size_t>(pixels)), limit,
                       config_.model.latent, config_.seed);
  const auto some = [&](int64_t from, int64_t wanted, int64_t all) {
    std::vector<int32_t> images;
    for (int64_t i = 0; i < wanted; ++i) images.push_back(static_cast<int32_t>(from + i * all / wanted));
    return images;
  };
  if (device_->counts_only()) {
    host_images(some(0, std::min(count, group_images()), count), pixels);
    return;
  }
  linear.fit(host_images(some(0, std::min(count, learned_from), count), pixels).view());
  std::vector<float> z;
  for (int64_t first = 0; first < count; first += at_once) {
    const int64_t wanted = std::min(at_once, count - first);
    const std::vector<float> part = linear.of(host_images(some(first, wanted, wanted), pixels).view());
    z.insert(z.end(), part.begin(), part.end());
  }
  set_latents(z);
}

}  // namespace recon
