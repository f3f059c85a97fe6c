#pragma once
// The vendor's libraries, found when they are first needed: a program that is linked with none of them starts on any
// machine.
#include <cublasLt.h>
#include <cufft.h>

#include <string>

namespace recon::cuda {

/// cuBLASLt, its functions by name. Throws DeviceError naming the file when it cannot be loaded.
struct CublasLt {
  decltype(&cublasLtCreate) create;
  decltype(&cublasLtDestroy) destroy;
  decltype(&cublasLtMatmulDescCreate) create_product;
  decltype(&cublasLtMatmulDescDestroy) destroy_product;
  decltype(&cublasLtMatmulDescSetAttribute) set_product;
  decltype(&cublasLtMatrixLayoutCreate) create_layout;
  decltype(&cublasLtMatrixLayoutDestroy) destroy_layout;
  decltype(&cublasLtMatrixLayoutSetAttribute) set_layout;
  decltype(&cublasLtMatmulPreferenceCreate) create_preference;
  decltype(&cublasLtMatmulPreferenceDestroy) destroy_preference;
  decltype(&cublasLtMatmulPreferenceSetAttribute) set_preference;
  decltype(&cublasLtMatmulAlgoGetHeuristic) find_algorithms;
  decltype(&cublasLtMatmul) multiply;
  static const CublasLt& load();
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
std::string cublaslt_file();
std::string cufft_file();

}  // namespace recon::cuda
