// Copies beside the operations, as late as they may come: a turn's target is no number from its sending on and has the
// values when they are received. A kernel that still reads the old ones, or does not wait for the new, computes NaN.
#include <cstring>
#include <vector>

#include "kernels/device/queue.h"
#include "kernels/runtime/transfer.h"

namespace recon::cuda {
namespace {

class LateTransfer final : public Transfer {
 public:
  LateTransfer(Queue& queue, size_t bytes, bool counts) : queue_(queue), counts_(counts) {
    for (Turn& turn : turns_) turn.memory.resize(counts ? 0 : bytes);
  }
  void* memory(int turn) override { return counts_ ? nullptr : turns_[turn].memory.data(); }
  void release_targets() override { released_ = true; }
  void send(int turn, void* to, size_t bytes) override {
    expect(released_, "transfer: sent before its target was released");
    released_ = false;
    if (counts_) return;
    Turn& t = turns_[turn];
    const std::vector<unsigned char> poison(bytes, 0xFF);
    queue_.upload(to, poison.data(), bytes);
    t.flying.assign(t.memory.begin(), t.memory.begin() + static_cast<int64_t>(bytes));
    std::memset(t.memory.data(), 0xFF, bytes);
    t.to = to;
  }
  void receive(int turn) override {
    Turn& t = turns_[turn];
    if (t.to) queue_.upload(t.to, t.flying.data(), t.flying.size());
    t.to = nullptr;
  }

 private:
  struct Turn {
    std::vector<unsigned char> memory, flying;
    void* to = nullptr;
  } turns_[2];
  Queue& queue_;
  bool counts_, released_ = false;
};

}  // namespace

std::unique_ptr<Transfer> Queue::transfer(size_t bytes) {
  return std::make_unique<LateTransfer>(*this, bytes, counts_only_);
}

}  // namespace recon::cuda
