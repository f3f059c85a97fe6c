#pragma once
// The stream layer: the little of the CUDA runtime and of its libraries that the backend needs, with two answers: the
// hardware (queue_cuda.cu, libraries_cuda.cu) and the emulator (tests/simt/queue_simt.cpp).
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/runtime/device.h"
#include "kernels/runtime/precision.h"

namespace simt {
struct Dim;
}

namespace recon::cuda {

/// What becomes of the sums of a product before they are rounded and stored.
enum class Finish {
  none,
  relu,          ///< max(·, 0), and where it was positive into `mask` when there is one
  relu_gradient  ///< 0 where `mask` says that the relu was off
};

/// C[m, n] = finish(alpha · op(A) op(B) + beta · addend + bias), row-major, leading dimensions in elements. Sums are
/// fp32, and products of fp32 operands are true fp32; tf32 operands lie in memory as fp32. Sixteen-bit matrices should
/// have leading dimensions of whole 16 bytes, which tensor cores ask for.
struct Gemm {
  bool transpose_a = false, transpose_b = false;
  int64_t m = 0, n = 0, k = 0;  ///< k > 0
  float alpha = 1, beta = 0;
  Precision operands = Precision::fp32;  ///< A and B
  Precision results = Precision::fp32;   ///< C, addend and bias: fp32, or 16 bits as the operands
  const void* a = nullptr;
  int64_t lda = 0;
  const void* b = nullptr;
  int64_t ldb = 0;
  void* c = nullptr;
  int64_t ldc = 0;
  const void* addend = nullptr;  ///< [m, n] with the leading dimension of C; without one it is C
  const void* bias = nullptr;    ///< [n]
  Finish finish = Finish::none;
  /// A bit an element of C, mask_words(n) words a row, 16-byte aligned. Only the library knows which bit.
  uint32_t* mask = nullptr;
  /// A batch of products with these distances between their matrices (in elements); one bias, and no mask.
  int64_t batch = 1, stride_a = 0, stride_b = 0, stride_c = 0;
};
inline int64_t mask_words(int64_t columns) { return (columns + 127) / 128 * 4; }

/// One device and one stream on it: everything is in order, and nothing waits for the device but `download`.
class Queue : public DeviceState {
 public:
  /// Throws DeviceError when there is no driver or no device `index`.
  explicit Queue(int index);
  /// A queue for a device like that of `like` which only counts memory: nothing is started, copied or allocated.
  explicit Queue(const Queue& like);
  ~Queue() override;
  /// Driver, devices and libraries found on this machine, a line each; never throws.
  static std::vector<std::string> report();

  void* allocate(size_t bytes);
  void release(void* pointer);
  /// The source may be changed at once: small arrays are staged in pinned memory.
  void upload(void* to_device, const void* from_host, size_t bytes);
  /// Waits for the device.
  void download(void* to_host, const void* from_device, size_t bytes);
  void zero(void* pointer, size_t bytes);
  void copy(void* to_device, const void* from_device, size_t bytes);
  void synchronize();

  /// Matrix products of the vendor's library: the same algorithm, so the same bits, for the same shape and alignment.
  void gemm(const Gemm& product);
  /// Complex transforms of the vendor's library in place, unnormalised, forward sign: `batch` cubes or squares of
  /// interleaved complex floats [batch][side]..[side], `dimensions` 2 or 3.
  void fft(float* complex, int side, int dimensions, int64_t batch);

  /// Of the device: what launches are sized by.
  int multiprocessors() const;
  int generation() const;  ///< the major number of its compute capability
  size_t shared_bytes_per_block() const;
  size_t free_bytes() const override;
  size_t bytes_reserved_peak() const override;
  std::string description() const override;
  uint64_t synchronizations() const override { return synchronizations_; }
  uint64_t launches() const override { return launches_; }
  uint64_t device_allocations() const override { return allocations_; }
  void repeat(Recording& recording, const std::function<void()>& body) override;
  std::unique_ptr<Transfer> transfer(size_t bytes) override;
  double seconds(const std::function<void()>& work) override;

  bool counts_only() const override { return counts_only_; }

  // For launch() and launch_cooperative() only.
  void count_launch() { ++launches_; }
  void* stream() const;
  void allow_shared(const void* kernel, const char* name, size_t bytes);
  void check_launch(const char* name);
  void run_emulated(const char* name, simt::Dim grid, simt::Dim block, size_t shared_bytes,
                    const std::function<void()>& body, bool cooperative = false);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  bool counts_only_ = false;
  uint64_t synchronizations_ = 0, launches_ = 0, allocations_ = 0;
};

/// The queue of a CUDA device.
inline Queue& queue_of(Device& device) { return static_cast<Queue&>(device.state()); }

}  // namespace recon::cuda
