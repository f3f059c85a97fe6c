#include "engine/train/memory_plan.h"

#include <algorithm>
#include <set>

#include "engine/geometry/lattice.h"
#include "engine/train/trainer.h"

namespace recon {
namespace {

Dataset untouched_dataset(Device& device, const PlannedImages& images, Placement placement) {
  Dataset data;
  data.side = images.side;
  data.count = images.count;
  data.pixel_size_angstrom = 1;
  data.host_pixels = circular_pixels(images.side, images.side / 2.0);
  data.pixels = Buffer<Pixel>(device, data.host_pixels);
  if (placement == Placement::device && images.half_precision)
    data.halves = std::make_shared<Buffer<uint16_t>>(device, images.count, data.pixel_count());
  else if (placement == Placement::device)
    data.images = Buffer<float>(device, images.count, data.pixel_count());
  if (images.ctf) data.ctf = Buffer<CtfParameters>(device, 1, images.count);
  return data;
}

/// The first group of every kind of epoch, the last group of the last one, and a volume.
void rehearse(Trainer& trainer) {
  const TrainConfig& c = trainer.config();
  const int last = c.epochs - 1, searched = c.random_pose_epochs + std::max(c.search_epochs, 1) - 1;
  std::set<int> epochs = {last};
  if (c.poses == PoseMode::search)
    for (const int epoch : {0, c.random_pose_epochs, searched, c.latent_start_epoch, trainer.first_joint_epoch()})
      epochs.insert(std::clamp(epoch, 0, last));
  for (const int epoch : epochs) {
    trainer.restore({.epoch = epoch});
    trainer.step_group();
  }
  const int64_t group = trainer.group_images(), count = trainer.data().count, rest = count % group;
  if (count > group && rest > 0) {
    trainer.restore({.epoch = last, .cursor = count - rest});
    trainer.step_group();
  }
  trainer.model().volume(std::vector<float>(static_cast<size_t>(c.model.latent), 0.0f), trainer.data().side / 2.0);
}

MemoryPlan plan_placed(Device& device, PlannedImages images, const std::vector<TrainConfig>& stages,
                       Placement placement) {
  MemoryPlan plan{.placement = placement};
  const auto counting = Device::counting(device);
  Device& d = counting ? *counting : device;
  const size_t before = d.bytes_in_use();
  const Dataset data = untouched_dataset(d, images, placement);
  plan.images = static_cast<size_t>(images.count * data.pixel_count()) * (data.halves ? 2 : 4);
  const auto take = [&](const Dataset& some, const TrainConfig& stage) {
    Trainer trainer(d, some, stage);
    if (counting) rehearse(trainer);
    plan.peak = std::max(plan.peak, counting ? d.bytes_peak() : d.bytes_in_use() - before);
  };
  const auto take_part = [&](int64_t count, const TrainConfig& stage) {
    images.count = count;
    Dataset part = untouched_dataset(d, images, data.images.empty() ? Placement::host : placement);
    part.halves = data.halves;
    take(part, stage);
  };
  const int64_t all = images.count;
  for (const TrainConfig& stage : stages) take(data, stage);
  const TrainConfig& first = stages.front();
  if (first.poses == PoseMode::search && first.starts > 1 && first.race_images > 0 && first.race_images < all)
    take_part(first.race_images, first);
  if (images.half_maps) take_part((all + 1) / 2, stages.back());
  images.count = all;
  if (placement == Placement::host) plan.host = plan.images;
  if (counting && placement == Placement::host)  // ImageWindow's two turns
    for (const TrainConfig& stage : stages) {
      const int64_t group = stage.poses == PoseMode::given ? 50 * stage.batch : stage.macro_batch;
      plan.pinned = std::max(plan.pinned, static_cast<size_t>(8 * std::min(group, images.count) * data.pixel_count()));
    }
  plan.exact = counting != nullptr;
  if (counting) plan.free = device.state().free_bytes();
  return plan;
}

}  // namespace

MemoryPlan plan_memory(Device& device, const PlannedImages& images, const std::vector<TrainConfig>& stages,
                       Placement placement) {
  const MemoryPlan plan =
      plan_placed(device, images, stages, placement == Placement::automatic ? Placement::device : placement);
  const bool fits = plan.free == 0 || plan.peak <= plan.free;
  return placement == Placement::automatic && !fits ? plan_placed(device, images, stages, Placement::host) : plan;
}

void check_memory(const MemoryPlan& plan, const Device& device) {
  if (plan.free == 0 || plan.peak <= plan.free) return;
  throw DeviceError(
      "out of memory on " + device.name() + ": the run wants " + std::to_string(plan.peak >> 20) + " MiB" +
      (plan.placement == Placement::host ? " with the images in the host's memory"
                                         : " (" + std::to_string(plan.images >> 20) + " MiB of them images)") +
      ", " + std::to_string(plan.free >> 20) + " MiB are free; use a smaller box, --batch or --macro-batch" +
      (plan.placement == Placement::host ? "" : ", --images-in host") + " or another device");
}

}  // namespace recon
