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

void walk(Device& device, Placement placement) {
  const std::vector<float> truth = random_images(device, 16, 14, false).images.download();
  const Dataset data = random_images(device, 16, 14, false, placement);
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
  if (placement == Placement::host) CHECK_THROWS_AS(window.rows(std::vector<int32_t>{0, 1, 2, 3, 4, 5}), ContractError);
}

/// A run with the images in the one memory or the other.
std::vector<float> train(Device& device, const TrainConfig& config, Placement placement) {
  const Dataset data = random_images(device, 16, 14, true, placement);
  Trainer trainer(device, data, config);
  while (trainer.step_group()) {
  }
  std::vector<float> out = trainer.model().parameters().state().values;
  for (const auto& more : {trainer.matrices(), trainer.shifts(), trainer.latents(), trainer.weights()})
    out.insert(out.end(), more.begin(), more.end());
  out.push_back(static_cast<float>(trainer.report().loss));
  return out;
}

void check_runs(Device& device) {
  for (const auto& [poses, source] : paradigms) {
    TrainConfig config = config_for(poses, source);
    config.macro_batch = 5;  // several groups an epoch, the last one smaller
    if (poses == PoseMode::given) config.noise = NoiseMode::shells;
    CHECK(train(device, config, Placement::host) == train(device, config, Placement::device));
  }
}

}  // namespace

TEST_CASE("ImageWindow: images stand in the rows that it names, whatever was fetched ahead") {
  const auto device = Device::cpu(2);
  for (const Placement placement : {Placement::device, Placement::host}) walk(*device, placement);
}

TEST_CASE("ImageWindow: a set whose images are some rows of another's shares its memory") {
  const auto device = Device::cpu(2);
  const std::vector<float> truth = random_images(*device, 16, 14, false).images.download();
  Dataset half = random_images(*device, 16, 14, false, Placement::host);
  half.count = 3;
  half.host_rows = {11, 0, 4};
  ImageWindow window(*device, half, 2);
  const auto columns = static_cast<int64_t>(half.pixel_count());
  const std::vector<int32_t> rows = window.rows(std::vector<int32_t>{2, 0});
  const float* table = window.table().data;
  CHECK(std::equal(table + rows[0] * columns, table + (rows[0] + 1) * columns, truth.begin() + 4 * columns));
  CHECK(std::equal(table + rows[1] * columns, table + (rows[1] + 1) * columns, truth.begin() + 11 * columns));
}

TEST_CASE("Trainer: with the images in the host's memory every paradigm ends with the same bits") {
  check_runs(*Device::cpu(2));
}

TEST_SUITE("backend") {
  TEST_CASE("ImageWindow: the same rows on the CUDA backend, copied beside its work") {
    for (const Placement placement : {Placement::device, Placement::host}) walk(*test_device(), placement);
  }

  TEST_CASE("Trainer: the same bits on the CUDA backend with images that are copied as they are needed") {
    check_runs(*test_device());
  }
}
