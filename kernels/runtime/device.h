#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
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

class Transfer;  // kernels/runtime/transfer.h

/// What a backend keeps with a device: streams, handles of libraries.
class DeviceState {
 public:
  virtual ~DeviceState() = default;
  virtual std::string description() const = 0;
  /// How often the host waited for the device, how many kernels were started, and how often the driver was asked for
  /// memory.
  virtual uint64_t synchronizations() const = 0;
  virtual uint64_t launches() const = 0;
  virtual uint64_t device_allocations() const = 0;
  /// The most memory that was held at a time, kept blocks included, and what a new block could get.
  virtual size_t bytes_reserved_peak() const = 0;
  virtual size_t free_bytes() const = 0;
  virtual bool counts_only() const = 0;
  virtual void repeat(struct Recording& recording, const std::function<void()>& body) = 0;
  virtual std::unique_ptr<Transfer> transfer(size_t bytes) = 0;
  virtual double seconds(const std::function<void()>& work) = 0;
};

/// Of Device::repeat: what is known of a sequence of operations that is issued again and again.
struct Recording {
  int64_t runs = 0;
  int64_t number = -1;               ///< of the backend's own
  const float* workspace = nullptr;  ///< where the device's workspace stood
};

/// Where arrays live and operations run. One object a process and device; not copied; not used from two threads at
/// once. Work on one device is ordered: an operation sees the results of those issued before it.
class Device {
 public:
  /// The CPU backend with `threads` threads (0: one per core).
  static std::unique_ptr<Device> cpu(int threads = 0);
  /// CUDA device `index`, with `threads` threads for what the host does beside it. Throws DeviceError when this build
  /// has no CUDA backend or the machine no such device.
  static std::unique_ptr<Device> cuda(int index = 0, int threads = 0);
  /// A device like `like` that does nothing but count memory: a run's first groups on it tell what the run will hold.
  /// Null where `like` has no such twin (the CPU, whose memory is the system's).
  static std::unique_ptr<Device> counting(const Device& like);
  /// This is such a device: what it computes is not there.
  bool counts_only() const { return state_ && state_->counts_only(); }
  /// Whether this build has a CUDA backend, and what it finds on this machine: devices, driver, libraries.
  static bool has_cuda();
  static std::vector<std::string> cuda_report();
  /// The instruction sets that the decoder's products can use here, the fastest in fp32 first.
  static std::vector<std::string> cpu_report();
  /// The BLAS of the CPU backend: name, version and how it was built.
  static std::string blas_report();
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const Ops& ops() const { return ops_; }
  ThreadPool& threads() { return threads_; }
  /// Of a backend that has one: the CPU has none.
  DeviceState& state() { return *state_; }
  const DeviceState* state_or_null() const { return state_.get(); }
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

  /// Issues the operations of `body`, which are the same each time, with the same arguments: what differs between runs
  /// stands in device memory (Scalar). A backend that can records them the second time and replays them from then on
  /// without calling `body`; so `body` neither uploads nor downloads.
  void repeat(Recording& recording, const std::function<void()>& body);
  /// Whether repeat() records: yes, until told otherwise. For measuring what that gains.
  void set_recording(bool on) { records_ = on; }

  /// How long the device works on what `work` issues, in seconds, by its own clock. Waits for it.
  double seconds(const std::function<void()>& work);

  size_t bytes_in_use() const { return in_use_; }
  size_t bytes_peak() const { return state_ ? state_->bytes_reserved_peak() : peak_; }
  uint64_t allocations() const { return allocations_; }

 private:
  Device(const Ops& ops, std::unique_ptr<DeviceState> state, int threads);

  const Ops& ops_;
  std::unique_ptr<DeviceState> state_;
  ThreadPool threads_;
  struct Scratch {
    float* data = nullptr;
    size_t floats = 0;
  };
  float* grown(Scratch& scratch, size_t floats);
  std::vector<Scratch> scratch_;
  Scratch workspace_;
  std::mutex growth_;
  bool records_ = true;
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
