#include "engine/analyze/picture.h"

#include <doctest/doctest.h>

#include "engine/train/preset.h"
#include "kernels/runtime/check.h"

TEST_CASE("Picture: a ball is drawn as a disc of its radius on an empty ground") {
  const int side = 24, size = 48;
  std::vector<float> ball(static_cast<size_t>(side * side * side), 0.0f);
  for (int z = 0; z < side; ++z)
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x) {
        const int dx = x - side / 2, dy = y - side / 2, dz = z - side / 2;
        if (dx * dx + dy * dy + dz * dz <= 36) ball[static_cast<size_t>((z * side + y) * side + x)] = 1;
      }
  const recon::Picture picture = recon::render_surface(ball, side, size);
  int dark = 0;
  for (size_t i = 0; i < picture.rgb.size(); i += 3) dark += picture.rgb[i] < 200;
  CHECK(dark > 0.8 * 3.1416 * 12 * 12);  // radius 6 voxels at 2 pixels each, the rim softened
  CHECK(dark < 1.3 * 3.1416 * 12 * 12);
  CHECK(picture.rgb[0] > 230);
}

TEST_CASE("Picture: a montage has the pictures' pixels in their places") {
  recon::Picture a{1, 1, {1, 2, 3}}, b{1, 1, {4, 5, 6}}, c{1, 1, {7, 8, 9}};
  const recon::Picture all = recon::montage({a, b, c}, 2);
  CHECK(all.width == 2);
  CHECK(all.height == 2);
  CHECK(std::vector<uint8_t>(all.rgb.begin(), all.rgb.begin() + 9) == std::vector<uint8_t>{1, 2, 3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE("Preset: the paper's values are the defaults, and names are checked") {
  const recon::TrainConfig paper = recon::preset_config(recon::preset_from_name("paper"), 64);
  CHECK(paper.model.decoder_layers == 10);
  CHECK(paper.model.decoder_width == 128);
  CHECK(paper.learning_rate == 1e-4);
  CHECK(paper.batch == 10);
  CHECK(recon::preset_config(recon::preset_from_name("fast"), 64).model.encoding_per_axis == 256);
  const recon::TrainConfig motion = recon::preset_config(recon::preset_from_name("motion"), 64);
  CHECK(motion.model.latent == 1);
  CHECK(motion.model.source == recon::LatentSource::table);
  CHECK_THROWS_AS(recon::preset_from_name("slow"), std::invalid_argument);
}
