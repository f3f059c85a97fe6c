#include "kernels/device/libraries_cuda.h"

#include <dlfcn.h>

#include "kernels/runtime/check.h"

#define RECON_TEXT_OF(x) #x
#define RECON_TEXT(x) RECON_TEXT_OF(x)

namespace recon::cuda {
namespace {

// The versions whose headers this was built with: their interfaces are the ones that are called.
constexpr const char* cublaslt_name = "libcublasLt.so." RECON_TEXT(CUBLAS_VER_MAJOR);
constexpr const char* cufft_name = "libcufft.so." RECON_TEXT(CUFFT_VER_MAJOR);

/// Where the linker's own search fails, the toolkit's usual folder is tried.
void* open_library(const std::string& name, std::string& problem) {
  for (const std::string& file : {name, "/usr/local/cuda/lib64/" + name}) {
    if (void* handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL)) return handle;
    if (problem.empty()) problem = ::dlerror();
  }
  return nullptr;
}

class Library {
 public:
  explicit Library(const char* name) : name_(name) {
    std::string problem;
    handle_ = open_library(name, problem);
    if (!handle_)
      throw DeviceError("the CUDA library " + name_ + " cannot be loaded (" + problem +
                        "); repair: install the CUDA runtime libraries or add their folder to LD_LIBRARY_PATH, or use "
                        "--device cpu");
  }
  template <class F>
  void find(F& function, const char* symbol) const {
    function = reinterpret_cast<F>(::dlsym(handle_, symbol));
    if (!function) throw DeviceError("the CUDA library " + name_ + " has no function " + symbol);
  }

 private:
  std::string name_;
  void* handle_ = nullptr;
};

std::string file_of(const char* name) {
  std::string problem;
  return open_library(name, problem) ? name : "not found: " + problem;
}

}  // namespace

const CublasLt& CublasLt::load() {
  static const CublasLt functions = [] {
    const Library library(cublaslt_name);
    CublasLt f{};
    library.find(f.create, "cublasLtCreate");
    library.find(f.destroy, "cublasLtDestroy");
    library.find(f.create_product, "cublasLtMatmulDescCreate");
    library.find(f.destroy_product, "cublasLtMatmulDescDestroy");
    library.find(f.set_product, "cublasLtMatmulDescSetAttribute");
    library.find(f.create_layout, "cublasLtMatrixLayoutCreate");
    library.find(f.destroy_layout, "cublasLtMatrixLayoutDestroy");
    library.find(f.set_layout, "cublasLtMatrixLayoutSetAttribute");
    library.find(f.create_preference, "cublasLtMatmulPreferenceCreate");
    library.find(f.destroy_preference, "cublasLtMatmulPreferenceDestroy");
    library.find(f.set_preference, "cublasLtMatmulPreferenceSetAttribute");
    library.find(f.find_algorithms, "cublasLtMatmulAlgoGetHeuristic");
    library.find(f.multiply, "cublasLtMatmul");
    return f;
  }();
  return functions;
}

const Cufft& Cufft::load() {
  static const Cufft functions = [] {
    const Library library(cufft_name);
    Cufft f{};
    library.find(f.create, "cufftCreate");
    library.find(f.set_auto_allocation, "cufftSetAutoAllocation");
    library.find(f.make_plan, "cufftMakePlanMany");
    library.find(f.set_work_area, "cufftSetWorkArea");
    library.find(f.destroy, "cufftDestroy");
    library.find(f.set_stream, "cufftSetStream");
    library.find(f.execute, "cufftExecC2C");
    return f;
  }();
  return functions;
}

std::string cublaslt_file() { return file_of(cublaslt_name); }
std::string cufft_file() { return file_of(cufft_name); }

}  // namespace recon::cuda
