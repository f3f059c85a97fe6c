#include "engine/data/image_window.h"

#include <doctest/doctest.h>

#include "kernels/table/table.h"
#include "tests/engine/small_runs.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

/// What the device finds at the rows that the window names, against the images themselves.
void check_rows(Device& device, ImageWindow& window, const std::vector<float>& truth,
                const std::vector<int32_t>& images) {
  const Buffer<int32_t> rows(device, window.rows(images));
  const int64_t columns = window.table().cols, count = static_cast<int64_t>(images.size());
  Buffer<float> found(device, count, columns);
  gather_rows(device, GatherRows{.from = window.table(), .rows = rows.view(), .to = found.view()});
  std::vector<float> expected;
  for (const int32_t i : images)
    expected.insert(expected.end(), truth.begin() + i * columns, truth.begin() + (i + 1) * columns);
  CHECK(found.download() == expected);
}

struct Kept {
  Placement placement;
  bool half_precision;
};
constexpr Kept everywhere[] = {
    {Placement::device, false}, {Placement::host, false}, {Placement::device, true}, {Placement::host, true}};

void walk(Device& device, const Kept& kept) {
  std::vector<float> truth = random_images(device, 16, 14, false).images.download();
  for (float& v : truth)
    if (kept.half_precision) v = from_half(to_half(v));
  const Dataset data = random_images(device, 16, 14, false, kept.placement, kept.half_precision);
  ImageWindow window(device, data, 5);
  const View<const float> table = window.table();
  check_rows(device, window, truth, {3, 1, 13, 0, 7});
  check_rows(device, window, truth, {7, 3});  // part of the group at hand
  window.fetch_ahead(std::vector<int32_t>{2, 4, 6, 8, 10});
  check_rows(device, window, truth, {0, 13});  // still at hand
  check_rows(device, window, truth, {10, 2});  // fetched ahead
  window.fetch_ahead(std::vector<int32_t>{1, 3});
  check_rows(device, window, truth, {9, 11, 5});  // others than those
  window.fetch_ahead(std::vector<int32_t>{0, 2});
  window.fetch_ahead(std::vector<int32_t>{12, 13, 5});
  check_rows(device, window, truth, {13});
  check_rows(device, window, truth, {9});
  check_rows(device, window, truth, {});
  CHECK(window.table().data == table.data);
  if (kept.placement == Placement::host || kept.half_precision)
    CHECK_THROWS_AS(window.rows(std::vector<int32_t>{0, 1, 2, 3, 4, 5}), ContractError);
}

/// A run with the images in the one memory or the other.
std::vector<float> train(Device& device, const TrainConfig& config, const Kept& kept) {
  const Dataset data = random_images(device, 16, 14, true, kept.placement, kept.half_precision);
  Trainer trainer(device, data, config);
  while (trainer.step_group()) {
  }
  std::vector<float> out = trainer.model().parameters().state().values;
  for (const auto& more : {trainer.matrices(), trainer.shifts(), trainer.latents(), trainer.weights()})
    out.insert(out.end(), more.begin(), more.end());
  out.push_back(static_cast<float>(trainer.report().loss));
  return out;
}

void check_runs(Device& device, std::span<const std::pair<PoseMode, LatentSource>> some) {
  for (const auto& [poses, source] : some) {
    TrainConfig config = config_for(poses, source);
    config.macro_batch = 5;  // several groups an epoch, the last one smaller
    if (poses == PoseMode::given) config.noise = NoiseMode::shells;
    for (const bool half : {false, true})
      CHECK(train(device, config, {Placement::host, half}) == train(device, config, {Placement::device, half}));
  }
}

}  // namespace

TEST_CASE("ImageWindow: images stand in the rows that it names, whatever was fetched ahead") {
  const auto device = Device::cpu(2);
  for (const Kept& kept : everywhere) walk(*device, kept);
}

TEST_CASE("Dataset: images are the same wherever they are kept, and in 16 bits those of 32 rounded") {
  const auto device = Device::cpu(2);
  constexpr int side = 8, count = 300;  // more than are prepared at a time
  std::vector<float> real;
  Draws draws(4);
  for (int i = 0; i < count * side * side; ++i) real.push_back(draws.normal());
  const auto kept = [&](const Kept& k) {
    const Dataset data =
        prepare(*device, side, 3, real, {}, {.half_precision = k.half_precision, .placement = k.placement});
    std::vector<float> out;
    ImageWindow window(*device, data, 100);
    for (int32_t first = 0; first < count; first += 100) {
      std::vector<int32_t> images(100);
      for (int32_t i = 0; i < 100; ++i) images[size_t(i)] = first + i;
      for (const int32_t row : window.rows(images)) {
        const float* at = window.table().row(row);
        out.insert(out.end(), at, at + window.table().cols);
      }
    }
    return out;
  };
  const std::vector<float> full = kept({Placement::device, false});
  CHECK(kept({Placement::host, false}) == full);
  std::vector<float> rounded;
  for (const float v : full) rounded.push_back(from_half(to_half(v)));
  CHECK(kept({Placement::device, true}) == rounded);
  CHECK(kept({Placement::host, true}) == rounded);
  CHECK(rounded != full);
}

TEST_CASE("ImageWindow: a set whose images are some rows of another's shares its memory") {
  const auto device = Device::cpu(2);
  const std::vector<float> truth = random_images(*device, 16, 14, false).images.download();
  Dataset half = random_images(*device, 16, 14, false, Placement::host);
  half.count = 3;
  half.stored_rows = {11, 0, 4};
  ImageWindow window(*device, half, 2);
  const auto columns = static_cast<int64_t>(half.pixel_count());
  const std::vector<int32_t> rows = window.rows(std::vector<int32_t>{2, 0});
  const float* table = window.table().data;
  CHECK(std::equal(table + rows[0] * columns, table + (rows[0] + 1) * columns, truth.begin() + 4 * columns));
  CHECK(std::equal(table + rows[1] * columns, table + (rows[1] + 1) * columns, truth.begin() + 11 * columns));
}

TEST_CASE("Trainer: with the images in the host's memory every paradigm ends with the same bits") {
  check_runs(*Device::cpu(2), paradigms);
}

TEST_SUITE("backend") {
  TEST_CASE("ImageWindow: the same rows on the CUDA backend, copied beside its work") {
    for (const Kept& kept : everywhere) walk(*test_device(), kept);
  }

  TEST_CASE("Trainer: the same bits on the CUDA backend with images that are copied as they are needed") {
    check_runs(*test_device(), std::span(paradigms).first(2));
  }
}
