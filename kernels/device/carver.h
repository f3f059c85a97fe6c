#pragma once
#include <cstddef>
#include <cstdint>

namespace recon::cuda {

/// Takes arrays out of one block of memory, each aligned to 128 bytes; with a null block it only counts.
class Carver {
 public:
  explicit Carver(float* block) : base_(reinterpret_cast<uintptr_t>(block)) {}
  template <class T>
  T* take(int64_t count) {
    const size_t at = used_;
    used_ += (static_cast<size_t>(count) * sizeof(T) + 127) / 128 * 128;
    return reinterpret_cast<T*>(base_ + at);
  }
  size_t floats() const { return used_ / sizeof(float); }

 private:
  uintptr_t base_;
  size_t used_ = 0;
};

}  // namespace recon::cuda
