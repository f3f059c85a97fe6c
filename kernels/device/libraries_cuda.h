#pragma once
// The vendor's libraries, found when they are first needed: a program that is linked with none of them starts on any
// machine.
#include <cublas_v2.h>
#include <cufft.h>

#include <string>

namespace recon::cuda {

/// cuBLAS, its functions by name. Throws DeviceError naming the file when it cannot be loaded.
struct Cublas {
  decltype(&cublasCreate_v2) create;
  decltype(&cublasDestroy_v2) destroy;
  decltype(&cublasSetStream_v2) set_stream;
  decltype(&cublasSetWorkspace_v2) set_workspace;
  decltype(&cublasSetMathMode) set_math_mode;
  decltype(&cublasSgemmStridedBatched) sgemm;
  static const Cublas& load();
};

struct Cufft {
  decltype(&cufftCreate) create;
  decltype(&cufftSetAutoAllocation) set_auto_allocation;
  decltype(&cufftMakePlanMany) make_plan;
  decltype(&cufftSetWorkArea) set_work_area;
  decltype(&cufftDestroy) destroy;
  decltype(&cufftSetStream) set_stream;
  decltype(&cufftExecC2C) execute;
  static const Cufft& load();
};

/// The file that was loaded for each library, or why there is none: for doctor.
std::string cublas_file();
std::string cufft_file();

}  // namespace recon::cuda
