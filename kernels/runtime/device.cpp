#include "kernels/runtime/device.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "kernels/ops.h"

namespace recon {

Device::Device(const Ops& ops, std::unique_ptr<DeviceState> state, int threads)
    : ops_(ops), state_(std::move(state)), threads_(threads) {
  scratch_.resize(static_cast<size_t>(threads_.size()));
}

std::unique_ptr<Device> Device::cpu(int threads) {
  return std::unique_ptr<Device>(new Device(cpu_ops(), nullptr, threads));
}

std::unique_ptr<Device> Device::cuda(int index, int threads) {
  const Ops* ops = cuda_ops();
  if (!ops)
    throw DeviceError("this build has no CUDA backend; repair: use --device cpu, or a build with the preset 'cuda'");
  return std::unique_ptr<Device>(new Device(*ops, ops->open(index), threads));
}

std::unique_ptr<Device> Device::counting(const Device& like) {
  if (!like.state_) return nullptr;
  return std::unique_ptr<Device>(new Device(like.ops_, like.ops_.count(*like.state_), like.threads_.size()));
}

bool Device::has_cuda() { return cuda_ops() != nullptr; }

std::vector<std::string> Device::cpu_report() { return cpu_ops().report(); }

std::vector<std::string> Device::cuda_report() {
  const Ops* ops = cuda_ops();
  return ops ? ops->report() : std::vector<std::string>{"this build has no CUDA backend"};
}

Device::~Device() {
  for (auto& scratch : scratch_)
    if (scratch.data) release(scratch.data, scratch.floats * sizeof(float));
  if (workspace_.data) release(workspace_.data, workspace_.floats * sizeof(float));
}

std::string Device::name() const {
  return state_ ? state_->description() : std::string(ops_.name) + ":" + std::to_string(threads_.size());
}

void* Device::allocate(size_t bytes) {
  const size_t rounded = (std::max<size_t>(bytes, 1) + 63) / 64 * 64;
  void* pointer = ops_.allocate(*this, rounded);
  if (!pointer)
    throw DeviceError("out of memory on " + name() + ": " + std::to_string(bytes >> 20) + " MiB wanted, " +
                      std::to_string(in_use_ >> 20) + " MiB in use; use smaller batches or another device");
  in_use_ += bytes;
  peak_ = std::max(peak_, in_use_);
  ++allocations_;
  return pointer;
}

void Device::release(void* pointer, size_t bytes) noexcept {
  ops_.release(*this, pointer);
  in_use_ -= bytes;
}

// The null pointer of an empty array never reaches the backend.
void Device::upload(void* to, const void* from, size_t bytes) {
  if (bytes > 0) ops_.upload(*this, to, from, bytes);
}
void Device::download(void* to, const void* from, size_t bytes) {
  if (bytes > 0) ops_.download(*this, to, from, bytes);
}
void Device::zero(void* pointer, size_t bytes) {
  if (bytes > 0) ops_.zero(*this, pointer, bytes);
}

void Device::repeat(Recording& recording, const std::function<void()>& body) {
  if (!state_ || !records_) return body();
  // Another operation may have grown the workspace since: addresses in the recording hold no more.
  if (recording.workspace != workspace_.data) recording = {};
  state_->repeat(recording, body);
  recording.workspace = workspace_.data;
}

double Device::seconds(const std::function<void()>& work) {
  if (state_) return state_->seconds(work);
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

float* Device::grown(Scratch& scratch, size_t floats) {
  if (scratch.floats < floats) {
    if (scratch.data) release(scratch.data, scratch.floats * sizeof(float));
    scratch = {};
    scratch.data = static_cast<float*>(allocate(floats * sizeof(float)));
    scratch.floats = floats;
  }
  return scratch.data;
}

float* Device::scratch(int worker, size_t floats) {
  std::lock_guard lock(growth_);
  return grown(scratch_[static_cast<size_t>(worker)], floats);
}

float* Device::workspace(size_t floats) { return grown(workspace_, floats); }

}  // namespace recon
