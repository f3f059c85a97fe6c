#include "kernels/runtime/transfer.h"

#include <cstring>

namespace recon {
namespace {

/// Where the device's memory is the host's there is nothing to overlap.
class HostTransfer final : public Transfer {
 public:
  explicit HostTransfer(size_t bytes)
      : bytes_(bytes), memory_(std::make_unique_for_overwrite<std::byte[]>(2 * bytes)) {}
  void* memory(int turn) override { return memory_.get() + static_cast<size_t>(turn) * bytes_; }
  void release_targets() override {}
  void send(int turn, void* to, size_t bytes) override { std::memcpy(to, memory(turn), bytes); }
  void receive(int) override {}

 private:
  size_t bytes_;
  std::unique_ptr<std::byte[]> memory_;
};

}  // namespace

std::unique_ptr<Transfer> Transfer::open(Device& device, size_t bytes) {
  return device.state_or_null() ? device.state().transfer(bytes) : std::make_unique<HostTransfer>(bytes);
}

}  // namespace recon
