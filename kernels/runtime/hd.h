#pragma once
// Decorations of scalar functions shared by both backends and by the tests.
#if defined(__CUDACC__)
#define RECON_HD __host__ __device__
#else
#define RECON_HD
#endif

// Hot pointwise loops are compiled for several vector widths and picked at run time. Off under sanitizers, whose
// instrumentation of the resolver runs before they are initialised.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__) && \
    !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define RECON_SIMD __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define RECON_SIMD
#endif
