// Row-major C = op(A) op(B) is column-major Cᵀ = op(B)ᵀ op(A)ᵀ: to the library our B is its A, our columns are its
// rows, and so a bias along our columns is one along its rows, which is what its epilogues take; their bit masks lie,
// like C, row after row.
//
// Of its epilogues the bias gradients (BGRADA, BGRADB, DRELU_BGRAD) are not used: they write where our contracts and
// chunks add, would be 16 bits beside 16-bit results, and the sums over many rows that they belong to want to be split
// along k (few outputs, thousands of rows), each part with a share of the bias gradient.
#include "kernels/device/products_cuda.h"

#include <algorithm>

namespace recon::cuda {
namespace {

void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw DeviceFailure(std::string("cuBLASLt: ") + what + ": status " + std::to_string(status));
}

cudaDataType_t type_of(Precision precision) {
  return !sixteen_bits(precision) ? CUDA_R_32F : precision == Precision::bf16 ? CUDA_R_16BF : CUDA_R_16F;
}
int64_t bytes_of(Precision precision) { return sixteen_bits(precision) ? 2 : 4; }

/// What an algorithm may count on of all matrices of a batch. No more than 16 bytes: that is what the fastest loads ask
/// for, and a finer distinction would make the choice, and with it the bits, depend on where an allocation falls.
uint32_t alignment_of(const void* pointer, const Gemm& g, int64_t stride, Precision precision) {
  auto at = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(pointer)) | 16;
  if (g.batch > 1) at |= static_cast<uint64_t>(stride * bytes_of(precision));
  return static_cast<uint32_t>(at & (~at + 1));
}
const void* addend_of(const Gemm& g) { return g.addend && g.beta != 0 ? g.addend : g.c; }
uint32_t alignment_of_a(const Gemm& g) { return alignment_of(g.a, g, g.stride_a, g.operands); }
uint32_t alignment_of_b(const Gemm& g) { return alignment_of(g.b, g, g.stride_b, g.operands); }
uint32_t alignment_of_addend(const Gemm& g) { return alignment_of(addend_of(g), g, g.stride_c, g.results); }
uint32_t alignment_of_c(const Gemm& g) { return alignment_of(g.c, g, g.stride_c, g.results); }
uint32_t alignment_of_bias(const Gemm& g) { return alignment_of(g.bias, g, 0, g.results); }

cublasLtEpilogue_t epilogue_of(const Gemm& g) {
  if (g.finish == Finish::relu_gradient) return CUBLASLT_EPILOGUE_DRELU;
  if (g.finish == Finish::none) return g.bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
  if (g.bias) return g.mask ? CUBLASLT_EPILOGUE_RELU_AUX_BIAS : CUBLASLT_EPILOGUE_RELU_BIAS;
  return g.mask ? CUBLASLT_EPILOGUE_RELU_AUX : CUBLASLT_EPILOGUE_RELU;
}

template <class T>
void set_product(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  check(CublasLt::load().set_product(product, attribute, &value, sizeof value), "describing a product");
}

cublasLtMatrixLayout_t layout_of(Precision precision, int64_t rows, int64_t cols, int64_t ld, int64_t batch,
                                 int64_t stride) {
  const CublasLt& lib = CublasLt::load();
  cublasLtMatrixLayout_t layout = nullptr;
  check(lib.create_layout(&layout, type_of(precision), static_cast<uint64_t>(rows), static_cast<uint64_t>(cols), ld),
        "describing a matrix");
  if (batch == 1) return layout;
  const auto count = static_cast<int32_t>(batch);
  check(lib.set_layout(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count), "describing a batch");
  check(lib.set_layout(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride),
        "describing a batch");
  return layout;
}

/// Bounds on the choice, released with it.
class Preference {
 public:
  Preference() { check(CublasLt::load().create_preference(&preference_), "describing a choice"); }
  Preference(const Preference&) = delete;
  Preference& operator=(const Preference&) = delete;
  ~Preference() { CublasLt::load().destroy_preference(preference_); }
  template <class T>
  void set(cublasLtMatmulPreferenceAttributes_t attribute, const T& value) {
    check(CublasLt::load().set_preference(preference_, attribute, &value, sizeof value), "describing a choice");
  }
  cublasLtMatmulPreference_t get() const { return preference_; }

 private:
  cublasLtMatmulPreference_t preference_ = nullptr;
};

}  // namespace

Products::~Products() {
  for (const auto& [key, plan] : plans_) release(plan);
  if (handle_) CublasLt::load().destroy(handle_);
}

void Products::release(const Plan& plan) {
  const CublasLt& lib = CublasLt::load();
  if (plan.product) lib.destroy_product(plan.product);
  for (cublasLtMatrixLayout_t layout : {plan.a, plan.b, plan.c})
    if (layout) lib.destroy_layout(layout);
}

Products::Key Products::key_of(const Gemm& g) {
  const int flags = (g.transpose_a ? 1 : 0) | (g.transpose_b ? 2 : 0) | (addend_of(g) == g.c ? 4 : 0);
  return {flags,
          g.m,
          g.n,
          g.k,
          g.lda,
          g.ldb,
          g.ldc,
          static_cast<int64_t>(g.operands),
          static_cast<int64_t>(g.results),
          epilogue_of(g),
          g.batch,
          g.stride_a,
          g.stride_b,
          g.stride_c,
          alignment_of_a(g),
          alignment_of_b(g),
          alignment_of_addend(g),
          alignment_of_c(g),
          alignment_of_bias(g)};
}

void Products::describe(const Gemm& g, Plan& plan) {
  const auto sums = g.operands == Precision::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  check(CublasLt::load().create_product(&plan.product, sums, CUDA_R_32F), "describing a product");
  const cublasOperation_t a = g.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N, b = g.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  set_product(plan.product, CUBLASLT_MATMUL_DESC_TRANSA, a);
  set_product(plan.product, CUBLASLT_MATMUL_DESC_TRANSB, b);
  set_product(plan.product, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(g));
  if (g.mask) set_product(plan.product, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, 32 * mask_words(g.n));
  const auto stored = [&](bool transposed, int64_t rows, int64_t cols, int64_t ld, int64_t stride) {
    return layout_of(g.operands, transposed ? rows : cols, transposed ? cols : rows, ld, g.batch, stride);
  };
  plan.a = stored(g.transpose_b, g.k, g.n, g.ldb, g.stride_b);
  plan.b = stored(g.transpose_a, g.m, g.k, g.lda, g.stride_a);
  plan.c = layout_of(g.results, g.n, g.m, g.ldc, g.batch, g.stride_c);
}

/// The choice of an algorithm looks at their alignment too.
void Products::set_pointers(const Gemm& g, const Plan& plan) {
  if (g.bias) set_product(plan.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, g.bias);
  if (g.mask) set_product(plan.product, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, static_cast<void*>(g.mask));
}

void Products::choose_algorithm(const Gemm& g, Plan& plan) const {
  Preference preference;
  preference.set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(workspace_bytes));
  // Parts of a sum over k that is split meet in fp32 in the workspace, and are added in order.
  preference.set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  preference.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of_b(g));
  preference.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of_a(g));
  preference.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of_addend(g));
  preference.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of_c(g));
  cublasLtMatmulHeuristicResult_t found[8] = {};
  int count = 0;
  const cublasStatus_t status = CublasLt::load().find_algorithms(handle_, plan.product, plan.a, plan.b, plan.c, plan.c,
                                                                 preference.get(), 8, found, &count);
  const auto* best = std::find_if(found, found + (status == CUBLAS_STATUS_SUCCESS ? count : 0),
                                  [](const auto& one) { return one.state == CUBLAS_STATUS_SUCCESS; });
  if (status != CUBLAS_STATUS_SUCCESS || best == found + count)
    throw DeviceFailure("cuBLASLt: no algorithm for a product of " + std::to_string(g.m) + " x " + std::to_string(g.n) +
                        " sums over " + std::to_string(g.k) + ", operands of " +
                        std::to_string(8 * bytes_of(g.operands)) + " bits, epilogue " + std::to_string(epilogue_of(g)) +
                        " (status " + std::to_string(status) + ")");
  plan.algorithm = best->algo;
}

const Products::Plan& Products::plan_of(const Gemm& g) {
  if (!handle_) check(CublasLt::load().create(&handle_), "creating the handle");
  const Key key = key_of(g);
  const auto known = plans_.find(key);
  if (known != plans_.end()) {
    set_pointers(g, known->second);
    return known->second;
  }
  Plan plan;
  try {
    describe(g, plan);
    set_pointers(g, plan);
    choose_algorithm(g, plan);
  } catch (...) {
    release(plan);
    throw;
  }
  return plans_.emplace(key, plan).first->second;
}

void Products::multiply(const Gemm& g, void* workspace, cudaStream_t stream) {
  const Plan& plan = plan_of(g);
  check(CublasLt::load().multiply(handle_, plan.product, &g.alpha, g.b, plan.a, g.a, plan.b, &g.beta, addend_of(g),
                                  plan.c, g.c, plan.c, &plan.algorithm, workspace, workspace_bytes, stream),
        "a matrix product");
}

}  // namespace recon::cuda
