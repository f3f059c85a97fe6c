#pragma once
// Matrix products by cuBLASLt: what was planned once for a shape is kept.
#include <array>
#include <map>

#include "kernels/device/libraries_cuda.h"
#include "kernels/device/queue.h"

namespace recon::cuda {

class Products {
 public:
  static constexpr size_t workspace_bytes = size_t{32} << 20;

  Products() = default;
  Products(const Products&) = delete;
  Products& operator=(const Products&) = delete;
  ~Products();
  /// `workspace` is device memory, of which products one after the other on one stream share the contents.
  void multiply(const Gemm& product, void* workspace, cudaStream_t stream);

 private:
  /// All that the choice of an algorithm depends on.
  using Key = std::array<int64_t, 19>;
  struct Plan {
    cublasLtMatmulDesc_t product = nullptr;
    cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;
    cublasLtMatmulAlgo_t algorithm{};
  };
  static void release(const Plan& plan);
  static Key key_of(const Gemm& g);
  static void describe(const Gemm& g, Plan& plan);
  static void set_pointers(const Gemm& g, const Plan& plan);
  void choose_algorithm(const Gemm& g, Plan& plan) const;
  const Plan& plan_of(const Gemm& g);

  cublasLtHandle_t handle_ = nullptr;
  std::map<Key, Plan> plans_;
};

}  // namespace recon::cuda
