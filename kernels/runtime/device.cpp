#include "kernels/runtime/device.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "kernels/ops.h"

namespace recon {

Device::Device(const Ops& ops, int threads) : ops_(ops), threads_(threads) {
  scratch_.resize(static_cast<size_t>(threads_.size()));
}

std::unique_ptr<Device> Device::cpu(int threads) { return std::unique_ptr<Device>(new Device(cpu_ops(), threads)); }

Device::~Device() {
  for (auto& scratch : scratch_)
    if (scratch.data) release(scratch.data, scratch.floats * sizeof(float));
  if (workspace_.data) release(workspace_.data, workspace_.floats * sizeof(float));
}

std::string Device::name() const { return std::string(ops_.name) + ":" + std::to_string(threads_.size()); }

void* Device::allocate(size_t bytes) {
  const size_t rounded = (std::max<size_t>(bytes, 1) + 63) / 64 * 64;
  void* pointer = ops_.allocate(rounded);
  if (!pointer)
    throw DeviceError("out of memory on " + name() + ": " + std::to_string(bytes >> 20) + " MiB wanted, " +
                      std::to_string(in_use_ >> 20) + " MiB in use; use smaller batches or another device");
  in_use_ += bytes;
  peak_ = std::max(peak_, in_use_);
  ++allocations_;
  return pointer;
}

void Device::release(void* pointer, size_t bytes) noexcept {
  ops_.release(pointer);
  in_use_ -= bytes;
}

// The null pointer of an empty array never reaches the backend.
void Device::upload(void* to, const void* from, size_t bytes) {
  if (bytes > 0) ops_.upload(to, from, bytes);
}
void Device::download(void* to, const void* from, size_t bytes) {
  if (bytes > 0) ops_.download(to, from, bytes);
}
void Device::zero(void* pointer, size_t bytes) {
  if (bytes > 0) ops_.zero(pointer, bytes);
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
