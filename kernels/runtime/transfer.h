#pragma once
#include <cstddef>
#include <memory>

#include "kernels/runtime/device.h"

namespace recon {

/// Copies from the host that go on beside the device's operations. Two turns of host memory, page-locked where that
/// matters, are filled and sent alternately; each turn has its own target in device memory. The order, for turn t:
///
///   operations that read t's old target; release_targets(); memory(t) filled; send(t); ...; receive(t); operations
///   that read the new one.
class Transfer {
 public:
  virtual ~Transfer() = default;
  /// The turn's host memory. Waits until what was sent from it last has left it. Null on a device that only counts.
  virtual void* memory(int turn) = 0;
  /// Operations issued from now on do not read the target of the next send; those issued before may.
  virtual void release_targets() = 0;
  /// Starts to copy the first `bytes` of the turn's memory.
  virtual void send(int turn, void* to_device, size_t bytes) = 0;
  /// Operations issued from now on see what the turn has sent last.
  virtual void receive(int turn) = 0;

  /// With `bytes` of host memory a turn. Throws DeviceError when there is no memory to lock.
  static std::unique_ptr<Transfer> open(Device& device, size_t bytes);
};

}  // namespace recon
