// Page-locked memory and a stream of copies beside the stream of operations: the two wait for each other's events on
// the device, the host only for memory that it wants to fill again.
#include "kernels/device/check_cuda.h"
#include "kernels/device/queue.h"
#include "kernels/runtime/transfer.h"

namespace recon::cuda {
namespace {

class PinnedTransfer final : public Transfer {
 public:
  PinnedTransfer(cudaStream_t operations, size_t bytes) : operations_(operations), bytes_(bytes) {
    const cudaError_t error = cudaMallocHost(&memory_, 2 * bytes);
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      throw DeviceError("cannot lock " + std::to_string(2 * bytes >> 20) +
                        " MiB of the host's memory for copies to the device; use a smaller --batch or --macro-batch");
    }
    check(error, "locking memory");
    check(cudaStreamCreateWithFlags(&copies_, cudaStreamNonBlocking), "creating the stream of copies");
    for (cudaEvent_t* event : {&sent_[0], &sent_[1], &released_})
      check(cudaEventCreateWithFlags(event, cudaEventDisableTiming), "creating an event");
  }
  ~PinnedTransfer() override {  // nothing is checked: after a failure every call fails
    cudaStreamSynchronize(copies_);
    for (const cudaEvent_t event : {sent_[0], sent_[1], released_}) cudaEventDestroy(event);
    cudaStreamDestroy(copies_);
    cudaFreeHost(memory_);
  }

  void* memory(int turn) override {
    check(cudaEventSynchronize(sent_[turn]), "waiting for a copy");
    return static_cast<std::byte*>(memory_) + static_cast<size_t>(turn) * bytes_;
  }
  void release_targets() override { check(cudaEventRecord(released_, operations_), "recording an event"); }
  void send(int turn, void* to, size_t bytes) override {
    check(cudaStreamWaitEvent(copies_, released_), "ordering a copy");
    check(cudaMemcpyAsync(to, memory(turn), bytes, cudaMemcpyHostToDevice, copies_), "copying to the device");
    check(cudaEventRecord(sent_[turn], copies_), "recording an event");
  }
  void receive(int turn) override { check(cudaStreamWaitEvent(operations_, sent_[turn]), "ordering a step"); }

 private:
  cudaStream_t operations_, copies_ = nullptr;
  cudaEvent_t sent_[2] = {}, released_ = nullptr;
  void* memory_ = nullptr;
  size_t bytes_;
};

class CountedTransfer final : public Transfer {
 public:
  void* memory(int) override { return nullptr; }
  void release_targets() override {}
  void send(int, void*, size_t) override {}
  void receive(int) override {}
};

}  // namespace

std::unique_ptr<Transfer> Queue::transfer(size_t bytes) {
  if (counts_only_) return std::make_unique<CountedTransfer>();
  return std::make_unique<PinnedTransfer>(static_cast<cudaStream_t>(stream()), bytes);
}

}  // namespace recon::cuda
