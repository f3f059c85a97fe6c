#pragma once
#include <vector>

#include "engine/train/config.h"
#include "kernels/runtime/device.h"

namespace recon {

/// What a run will hold in device memory, bytes.
struct MemoryPlan {
  size_t images = 0;   ///< the data set
  size_t peak = 0;     ///< the most at a time: images, networks, search lists, activations, workspaces
  size_t free = 0;     ///< what the device could give before the run; 0 where the system's memory is used
  bool exact = false;  ///< found by doing the run's first groups on a device that only counts; else without activations
};

/// The plan for `count` images of `side` pixels; nothing is read or computed, and no memory is touched.
MemoryPlan plan_memory(Device& device, int side, int64_t count, bool ctf, bool half_maps,
                       const std::vector<TrainConfig>& stages);

/// Throws DeviceError, naming both sizes, when the device cannot hold the plan.
void check_memory(const MemoryPlan& plan, const Device& device);

}  // namespace recon
