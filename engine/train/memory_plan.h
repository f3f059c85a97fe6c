#pragma once
#include <vector>

#include "engine/data/dataset.h"
#include "engine/train/config.h"
#include "kernels/runtime/device.h"

namespace recon {

/// What a run will hold in device memory, bytes.
struct MemoryPlan {
  Placement placement = Placement::device;  ///< of the images
  size_t images = 0;                        ///< the data set, where it is placed
  size_t peak = 0;     ///< the most at a time: images on the device, networks, search lists, activations, workspaces
  size_t host = 0;     ///< beside that, of the host's memory: the images, where they are placed there
  size_t pinned = 0;   ///< of the host's memory, locked for copies to the device
  size_t free = 0;     ///< what the device could give before the run; 0 where the system's memory is used
  bool exact = false;  ///< found by doing the run's first groups on a device that only counts; else without activations
};

/// What is planned for.
struct PlannedImages {
  int side = 0;
  int64_t count = 0;
  bool ctf = false, half_maps = false;
  bool half_precision = false;
};

/// The plan; nothing is read or computed, and no memory is touched. Placement::automatic becomes the device's memory
/// where the run fits with it, else the host's.
MemoryPlan plan_memory(Device& device, const PlannedImages& images, const std::vector<TrainConfig>& stages,
                       Placement placement = Placement::automatic);

/// Throws DeviceError, naming both sizes, when the device cannot hold the plan.
void check_memory(const MemoryPlan& plan, const Device& device);

}  // namespace recon
