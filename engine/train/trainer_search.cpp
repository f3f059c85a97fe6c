// The pose-search half of the trainer: which images are searched against which slices.
#include <algorithm>
#include <cmath>

#include "engine/analyze/cluster.h"
#include "engine/geometry/lattice.h"
#include "engine/train/shuffle.h"
#include "engine/train/trainer.h"
#include "kernels/table/table.h"

namespace recon {
namespace {

/// The mean of some points [N, width].
std::vector<float> centre_of(const std::vector<float>& points, size_t width, const std::vector<int32_t>& members) {
  std::vector<float> centre(width, 0.0f);
  for (const int32_t i : members)
    for (size_t j = 0; j < width; ++j)
      centre[j] += points[static_cast<size_t>(i) * width + j] / static_cast<float>(members.size());
  return centre;
}

}  // namespace

double Trainer::search_band(int epoch) const {
  const double limit = band(epoch);
  return config_.search.band_max > 0 ? std::min(config_.search.band_max, limit) : limit;
}

bool Trainer::draws_poses(int epoch) const {
  bool searches_again = false;
  for (int later = epoch + 1; later < config_.epochs; ++later) searches_again |= stage(later) == Stage::search;
  return config_.drawn_poses && searches_again;
}

/// What slices are compared with.
struct Trainer::SearchInput {
  Buffer<int32_t> rows;       ///< [1, B] images
  Buffer<float> pixels, ctf;  ///< [B, P]; ctf may be empty
};

Trainer::SearchInput Trainer::search_input(const std::vector<int32_t>& images) {
  Device& d = *device_;
  const auto count = static_cast<int64_t>(images.size());
  SearchInput input{Buffer<int32_t>(d, images), Buffer<float>(d, count, data_->pixel_count()), {}};
  const Buffer<int32_t> places(d, window_->rows(images));
  if (!data_->ctf.empty() || config_.noise != NoiseMode::white)
    input.ctf = Buffer<float>(d, count, data_->pixel_count());
  load_target(input.rows.view(), places.view(), {}, data_->pixels.view(), input.pixels.view(), input.ctf.view());
  return input;
}

void Trainer::search_group(const std::vector<int32_t>& images) {
  search_->set_band(std::min(config_.search.band_min, band(epoch_)), search_band(epoch_));
  if (searches_jointly(epoch_)) return search_jointly(images, group_latents(images));
  if (config_.source == SourceMode::exact) return search_exactly(images);
  with_lattices(images, search_->config().band_max,
                [this](const std::vector<int32_t>& some) { search_images(*lattice_, some); });
}

/// Calls `use` for the images of each bin of z while the lattice holds the structure at the bin's centre, up to `band`;
/// for one structure once for all.
void Trainer::with_lattices(const std::vector<int32_t>& images, double band,
                            const std::function<void(const std::vector<int32_t>&)>& use) {
  constexpr double beyond = 2;  // for the interpolation at the band's edge
  const auto width = static_cast<size_t>(config_.model.latent);
  if (width == 0) {
    lattice_->refresh({}, band + beyond);
    return use(images);
  }
  const std::vector<float> z = group_latents(images);
  for (const auto& members :
       cluster(z, config_.model.latent, epoch_ < config_.latent_start_epoch ? 1 : config_.lattice_bins)) {
    std::vector<int32_t> some;
    for (const int32_t i : members) some.push_back(images[static_cast<size_t>(i)]);
    lattice_->refresh(centre_of(z, width, members), band + beyond);
    use(some);
  }
}

void Trainer::search_exactly(const std::vector<int32_t>& images) {
  if (config_.model.latent == 0) {
    ExactSource source(*model_);
    return search_images(source, images);
  }
  const std::vector<float> z = group_latents(images);
  const auto width = static_cast<size_t>(config_.model.latent),
             chunk = static_cast<size_t>(search_->config().chunk_images);
  for (size_t first = 0; first < images.size(); first += chunk) {
    const size_t last = std::min(images.size(), first + chunk);
    Buffer<float> latents(*device_, static_cast<int64_t>(last - first), config_.model.latent);
    latents.upload(std::span(z).subspan(first * width, (last - first) * width));
    ExactSource source(*model_, latents.view());
    search_images(source, {images.begin() + static_cast<int64_t>(first), images.begin() + static_cast<int64_t>(last)});
  }
}

bool Trainer::searches_jointly(int epoch) const {
  const int began = std::max(config_.latent_start_epoch, config_.random_pose_epochs - 1);
  if (stage(epoch) != Stage::search || epoch <= began || config_.model.source != LatentSource::table ||
      config_.latent_learning_rate == 0)
    return false;
  int searched = 0;
  for (int earlier = began + 1; earlier < epoch; ++earlier) searched += stage(earlier) == Stage::search;
  return searched < config_.joint_search_epochs;
}

int Trainer::first_joint_epoch() const {
  int epoch = 0;
  while (epoch < config_.epochs && !searches_jointly(epoch)) ++epoch;
  return epoch;
}

void Trainer::search_jointly(const std::vector<int32_t>& images, const std::vector<float>& z) {
  Device& d = *device_;
  const int width = config_.model.latent;
  const auto bins = cluster(z, width, config_.joint_bins);
  const auto count = static_cast<int64_t>(images.size()), all = static_cast<int64_t>(bins.size());
  const SearchInput input = search_input(images);
  Buffer<float> matrices(d, all * count, 9), shifts(d, all * count, 2), scores(d, all, count);
  std::vector<float> latents;  // the bins' centres, then the images' own
  std::vector<int64_t> bin_of(images.size());
  for (int64_t bin = 0; bin < all; ++bin) {
    const auto& members = bins[static_cast<size_t>(bin)];
    for (const int32_t i : members) bin_of[static_cast<size_t>(i)] = bin;
    const std::vector<float> centre = centre_of(z, static_cast<size_t>(width), members);
    latents.insert(latents.end(), centre.begin(), centre.end());
    search_at(centre, input, matrices.rows(bin * count, count), shifts.rows(bin * count, count), scores.rows(bin, 1));
  }
  latents.insert(latents.end(), z.begin(), z.end());
  const std::vector<float> found = scores.download();
  std::vector<int32_t> best_pose, best_latent;
  for (int64_t i = 0; i < count; ++i) {
    int64_t best = 0;
    for (int64_t bin = 1; bin < all; ++bin)
      if (found[static_cast<size_t>(bin * count + i)] < found[static_cast<size_t>(best * count + i)]) best = bin;
    best_pose.push_back(static_cast<int32_t>(best * count + i));
    best_latent.push_back(static_cast<int32_t>(best == bin_of[static_cast<size_t>(i)] ? all + i : best));
  }
  const auto keep = [&](const Buffer<float>& from, const std::vector<int32_t>& which, View<float> to) {
    const Buffer<int32_t> rows(d, which);
    const Buffer<float> chosen(d, count, from.view().cols);
    gather_rows(d, GatherRows{.from = from.view(), .rows = rows.view(), .to = chosen.view()});
    scatter_rows(d, ScatterRows{.from = chosen.view(), .rows = input.rows.view(), .to = to});
  };
  keep(matrices, best_pose, matrices_.view());
  keep(shifts, best_pose, shifts_.view());
  Buffer<float> candidates(d, all + count, width);
  candidates.upload(latents);
  keep(candidates, best_latent, model_->table().values.view());
}

/// Searches all images against the structure at one z.
void Trainer::search_at(std::span<const float> z, const SearchInput& input, View<float> matrices, View<float> shifts,
                        View<float> scores) {
  if (config_.source == SourceMode::lattice) {
    lattice_->refresh({z.begin(), z.end()}, search_->config().band_max + 2);
    return search_->run(*lattice_, nullptr, input.pixels.view(), input.ctf.view(), matrices, shifts, scores);
  }
  const int64_t all = input.pixels.view().rows, chunk = search_->config().chunk_images;
  std::vector<float> repeated;
  for (int64_t i = 0; i < std::min(all, chunk); ++i) repeated.insert(repeated.end(), z.begin(), z.end());
  Buffer<float> latents(*device_, std::min(all, chunk), static_cast<int64_t>(z.size()));
  latents.upload(repeated);
  for (int64_t first = 0; first < all; first += chunk) {
    const int64_t count = std::min(chunk, all - first);
    ExactSource source(*model_, latents.rows(0, count));
    search_->run(source, nullptr, input.pixels.rows(first, count),
                 input.ctf.empty() ? View<float>{} : input.ctf.rows(first, count), matrices.slice_rows(first, count),
                 shifts.slice_rows(first, count), {scores.data + first, 1, count});
  }
}

void Trainer::search_images(SliceSource& source, const std::vector<int32_t>& images) {
  Device& d = *device_;
  const auto count = static_cast<int64_t>(images.size());
  const SearchInput input = search_input(images);
  const Buffer<float> matrices(d, count, 9), shifts(d, count, 2);
  // Finalists are scored exactly with the decoder itself; with a latent the lattice's own z stands in for the image's.
  ExactSource exact(*model_);
  search_->run(source, config_.source == SourceMode::lattice && config_.model.latent == 0 ? &exact : nullptr,
               input.pixels.view(), input.ctf.view(), matrices.view(), shifts.view(), {},
               draws_poses(epoch_) ? PoseLottery{input.rows.view(), config_.seed, static_cast<uint32_t>(epoch_)}
                                   : PoseLottery{});
  scatter_rows(d, ScatterRows{.from = matrices.view(), .rows = input.rows.view(), .to = matrices_.view()});
  scatter_rows(d, ScatterRows{.from = shifts.view(), .rows = input.rows.view(), .to = shifts_.view()});
}

std::optional<double> Trainer::lattice_error() {
  constexpr size_t slices = 20, slices_of_a_bin = 4;
  int last = std::min(epoch_, config_.epochs - 1);
  while (last >= 0 && stage(last) != Stage::search) --last;
  if (config_.source == SourceMode::exact || last < 0) return {};
  const double limit = search_band(last);
  const View<const Pixel> band{data_->pixels.view().data, 1, pixels_within(data_->host_pixels, limit)};
  std::vector<int32_t> group = shuffled(data_->count, config_.seed, static_cast<uint32_t>(last));
  group.resize(static_cast<size_t>(std::min(group_images(), data_->count)));
  LatticeSource::Error sum;
  with_lattices(group, limit, [&](std::vector<int32_t> some) {
    const bool one_structure = config_.model.latent == 0;
    some.resize(std::min(some.size(), one_structure ? slices : slices_of_a_bin));
    const LatticeSource::Error error = lattice_->measure_error(
        band, one_structure ? std::vector<float>{} : group_latents(some), static_cast<int>(some.size()), config_.seed);
    sum.difference += error.difference;
    sum.exact += error.exact;
  });
  return sum.relative();
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
  // Of a size that does not hang on where images are kept: a product's rounding may differ with its number of rows.
  const auto chunk = static_cast<size_t>(std::min<int64_t>(100, group_images()));
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
