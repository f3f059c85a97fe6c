#pragma once
#include <cstdint>
#include <type_traits>

#include "kernels/runtime/hd.h"

namespace recon {

/// A non-owning, contiguous, row-major matrix `[rows, cols]` in a device's memory; a vector has one row.
template <class T>
struct View {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;

  RECON_HD int64_t size() const { return rows * cols; }
  RECON_HD bool empty() const { return data == nullptr || size() == 0; }
  RECON_HD T* row(int64_t i) const { return data + i * cols; }
  RECON_HD T& operator()(int64_t i, int64_t j) const { return data[i * cols + j]; }
  RECON_HD T& operator[](int64_t i) const { return data[i]; }
  View slice_rows(int64_t first, int64_t count) const { return {data + first * cols, count, cols}; }
  operator View<const T>() const requires(!std::is_const_v<T>) { return {data, rows, cols}; }
};

}  // namespace recon
