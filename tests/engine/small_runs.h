#pragma once
// Training runs of a second: some images of 16 pixels, networks of one hidden layer.
#include <algorithm>
#include <utility>
#include <vector>

#include "engine/geometry/lattice.h"
#include "engine/geometry/rotation.h"
#include "engine/train/trainer.h"
#include "kernels/runtime/half.h"
#include "tests/reference/compare.h"

namespace recon::reference {

/// Noisy images of a random structure at random poses, without the way through files.
inline Dataset random_images(Device& device, int side, int count, bool ctf, Placement placement = Placement::device,
                             bool half_precision = false) {
  Dataset data;
  data.side = side, data.pixel_size_angstrom = 3, data.count = count;
  data.host_pixels = circular_pixels(side, side / 2);
  data.pixels = on_device(device, data.host_pixels);
  ModelConfig config{.side = side,
                     .decoder_layers = 1,
                     .decoder_width = 12,
                     .encoding = Encoding::gaussian,
                     .encoding_sigma = 0.7,
                     .seed = 99};
  const Model truth(device, config, 0, 0);
  std::vector<float> rotations;
  for (int i = 0; i < count; ++i)
    for (const double v : random_rotation({8, Purpose::test}, uint64_t(i))) rotations.push_back(static_cast<float>(v));
  const Buffer<float> matrices = on_device(device, rotations, count, 9);
  data.images = Buffer<float>(device, count, data.pixel_count());
  ExactSource(truth).slices(data.pixels.view(), matrices.view(), {}, {}, data.images.view());
  auto images = data.images.download();
  Draws draws(3);
  for (float& v : images) v = 3 * v + 0.2f * draws.normal();
  std::vector<uint16_t> halves;
  for (float& v : images)
    if (half_precision) v = from_half(halves.emplace_back(to_half(v)));
  if (placement == Placement::host) {
    const auto kept = std::make_shared<float[]>(images.size());
    std::copy(images.begin(), images.end(), kept.get());
    data.host_images = kept;
    data.images = {};
  } else if (half_precision) {
    data.halves = std::make_shared<Buffer<uint16_t>>(on_device(device, halves, count, data.pixel_count()));
    data.images = {};
  } else {
    data.images.upload(images);
  }
  if (ctf)
    data.ctf = on_device(
        device, std::vector<CtfParameters>(size_t(count), {.defocus_u_angstrom = 9000, .defocus_v_angstrom = 8000}));
  return data;
}

inline TrainConfig config_for(PoseMode poses, LatentSource source, SourceMode slices = SourceMode::lattice) {
  TrainConfig c;
  c.model = {.latent = source == LatentSource::none ? 0 : 2,
             .source = source,
             .decoder_layers = 1,
             .decoder_width = 16,
             .encoder_layers = 1,
             .encoder_width = 16,
             .seed = 5};
  c.poses = poses, c.source = slices;
  c.epochs = 3, c.batch = 4, c.macro_batch = 8, c.average_steps = 10, c.learning_rate = 1e-3;
  c.kl_weight = 0.1, c.lattice_bins = 2;
  if (source == LatentSource::table) c.latent_start_epoch = 2, c.linear_latents = true, c.joint_search_epochs = 1;
  c.search.subdivisions = 2, c.search.shift_extent_px = 1, c.search.shift_grid = 3;
  c.search.band_min = 3, c.search.band_steps = 3, c.search.max_kept = 3, c.search.chunk_images = 4,
  c.search.finalists = 2;
  c.seed = 11;
  return c;
}

inline const std::vector<std::pair<PoseMode, LatentSource>> paradigms = {{PoseMode::search, LatentSource::none},
                                                                         {PoseMode::given, LatentSource::encoder},
                                                                         {PoseMode::search, LatentSource::encoder},
                                                                         {PoseMode::search, LatentSource::table}};

}  // namespace recon::reference
