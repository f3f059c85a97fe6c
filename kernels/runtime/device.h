#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "kernels/runtime/check.h"
#include "kernels/runtime/thread_pool.h"
#include "kernels/runtime/view.h"

namespace recon {

struct Ops;  // the table of a backend's functions: kernels/ops.h

/// Where arrays live and operations run. One object a process and device; not copied; not used from two threads at
/// once. Work on one device is ordered: an operation sees the results of those issued before it.
class Device {
 public:
  /// The CPU backend with `threads` threads (0: one per core).
  static std::unique_ptr<Device> cpu(int threads = 0);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const Ops& ops() const { return ops_; }
  ThreadPool& threads() { return threads_; }
  std::string name() const;

  /// Device memory, aligned to 64 bytes, contents undefined. Throws DeviceError naming the size when there is none.
  void* allocate(size_t bytes);
  void release(void* pointer, size_t bytes) noexcept;
  void upload(void* to_device, const void* from_host, size_t bytes);
  void download(void* to_host, const void* from_device, size_t bytes);
  void zero(void* pointer, size_t bytes);

  /// Scratch of an operation for one worker: grown once, then reused; contents undefined between operations.
  float* scratch(int worker, size_t floats);
  /// Scratch of a whole operation, likewise: valid until the operation returns.
  float* workspace(size_t floats);

  size_t bytes_in_use() const { return in_use_; }
  size_t bytes_peak() const { return peak_; }
  uint64_t allocations() const { return allocations_; }

 private:
  Device(const Ops& ops, int threads);

  const Ops& ops_;
  ThreadPool threads_;
  struct Scratch {
    float* data = nullptr;
    size_t floats = 0;
  };
  float* grown(Scratch& scratch, size_t floats);
  std::vector<Scratch> scratch_;
  Scratch workspace_;
  std::mutex growth_;
  size_t in_use_ = 0, peak_ = 0;
  uint64_t allocations_ = 0;
};

/// Owns device memory `[rows, cols]`; move-only; copies to and from the host are explicit calls.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device& device, int64_t rows, int64_t cols = 1)
      : device_(&device), view_{static_cast<T*>(device.allocate(bytes_of(rows, cols))), rows, cols} {}
  Buffer(Device& device, std::span<const T> host) : Buffer(device, 1, static_cast<int64_t>(host.size())) {
    upload(host);
  }
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(view_, other.view_);
    return *this;
  }
  ~Buffer() {
    if (device_) device_->release(view_.data, bytes_of(view_.rows, view_.cols));
  }

  View<T> view() const { return view_; }
  /// The first `rows` rows, or the same memory under another shape.
  View<T> rows(int64_t first, int64_t count) const { return view_.slice_rows(first, count); }
  View<T> shaped(int64_t rows, int64_t cols) const {
    expect(rows * cols <= view_.size(), "buffer: the shape asked for is larger than the buffer");
    return {view_.data, rows, cols};
  }
  int64_t size() const { return view_.size(); }
  bool empty() const { return view_.data == nullptr; }

  void upload(std::span<const T> host) {
    expect(static_cast<int64_t>(host.size()) <= size(), "buffer: upload is larger than the buffer");
    device_->upload(view_.data, host.data(), host.size_bytes());
  }
  std::vector<T> download() const {
    std::vector<T> host(static_cast<size_t>(size()));
    device_->download(host.data(), view_.data, host.size() * sizeof(T));
    return host;
  }
  void zero() const { device_->zero(view_.data, static_cast<size_t>(size()) * sizeof(T)); }

 private:
  static size_t bytes_of(int64_t rows, int64_t cols) {
    int64_t bytes = 0;
    expect(rows >= 0 && cols >= 0 && !__builtin_mul_overflow(rows, cols, &bytes) &&
               !__builtin_mul_overflow(bytes, static_cast<int64_t>(sizeof(T)), &bytes),
           "buffer: its size overflows");
    return static_cast<size_t>(bytes);
  }
  Device* device_ = nullptr;
  View<T> view_;
};

}  // namespace recon
