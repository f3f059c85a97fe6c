#pragma once
// Asynchronous tensor-core products of a warpgroup (sm_90a: wgmma.mma_async.m64n128k16): 4 warps, 16 rows each, times
// 128 columns, A and the sums in registers, B in shared memory. Fragments of a warp's rows are those of mma.h: A word
// for word, and sums[j] is its C of columns 8j … 8j + 7.
//
// B [inner, 128] stands in *core matrices* of 8 columns × 8 inner numbers, 128 bytes each: [inner / 8][column /
// 8][column % 8][inner % 8], without swizzle; the 16 rows of a product are two runs of 16 core matrices, `b` the first
// of them.
//
// The order of a pass: fence(), products, commit(); between the first product and the wait that covers its group
// neither the sums nor A may be touched, nor B written. What threads wrote to shared memory (also by copies they waited
// for) is visible to products after fence_shared() of the writer and a barrier.
#include <vector>

#include "kernels/device/mma.h"

namespace recon::cuda {

constexpr int warpgroup_columns = 128;

/// Whether a device of this compute capability has them: these instructions are of one generation.
constexpr bool has_warpgroup_products(int major) { return major == 9; }

#if defined(__CUDACC__)

/// Nothing here: the hardware counts the groups. (The emulator has no such place.)
class WarpgroupProducts {
 public:
  RECON_DEVICE void fence() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
  }
  RECON_DEVICE void commit() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
  }
  /// All but the last `InFlight` groups are done.
  template <int InFlight>
  RECON_DEVICE void wait() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(InFlight) : "memory");
#endif
  }
  /// sums += a · B.
  template <class Half>
  RECON_DEVICE void multiply(float (&sums)[16][4], const uint32_t (&a)[4], const void* b);
};

RECON_DEVICE void fence_shared() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
// Byte offsets of the descriptor in units of 16: between core matrices along the inner dimension (leading), and along
// the columns (stride).
RECON_DEVICE uint64_t core_matrices(const void* b) {
  constexpr uint64_t leading = 16 * 128 / 16, stride = 128 / 16;
  return (static_cast<uint64_t>(__cvta_generic_to_shared(b)) & 0x3ffff) >> 4 | leading << 16 | stride << 32;
}
#define RECON_FOUR(j) "+f"(s[j][0]), "+f"(s[j][1]), "+f"(s[j][2]), "+f"(s[j][3])
#define RECON_WARPGROUP_PRODUCT(type)                                                                             \
  asm volatile("{.reg .pred p; setp.ne.b32 p, 1, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type   \
               " {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25," \
               "%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49," \
               "%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}, {%64,%65,%66,%67}, %68, p, 1, 1, 0;}"   \
               : RECON_FOUR(0), RECON_FOUR(1), RECON_FOUR(2), RECON_FOUR(3), RECON_FOUR(4), RECON_FOUR(5),        \
                 RECON_FOUR(6), RECON_FOUR(7), RECON_FOUR(8), RECON_FOUR(9), RECON_FOUR(10), RECON_FOUR(11),      \
                 RECON_FOUR(12), RECON_FOUR(13), RECON_FOUR(14), RECON_FOUR(15)                                   \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(core_matrices(b)))
#else
#define RECON_WARPGROUP_PRODUCT(type) static_cast<void>(s), static_cast<void>(a), static_cast<void>(b), __trap()
#endif

template <>
RECON_DEVICE void WarpgroupProducts::multiply<bf16>(float (&s)[16][4], const uint32_t (&a)[4], const void* b) {
  RECON_WARPGROUP_PRODUCT("bf16");
}
template <>
RECON_DEVICE void WarpgroupProducts::multiply<fp16>(float (&s)[16][4], const uint32_t (&a)[4], const void* b) {
  RECON_WARPGROUP_PRODUCT("f16");
}
#undef RECON_WARPGROUP_PRODUCT
#undef RECON_FOUR

#else

/// Products happen at the wait that covers them, with what then stands in A, B and the sums.
class WarpgroupProducts {
 public:
  void fence() { fenced_ = true; }
  template <class Half>
  void multiply(float (&sums)[16][4], const uint32_t (&a)[4], const void* b) {
    if (!fenced_) throw simt::Fault("a warpgroup's products without a fence before them");
    pending_.push_back({&run<Half>, &sums, &a, static_cast<const Half*>(b)});
  }
  void commit() {
    groups_.push_back(pending_.size());
    fenced_ = false;
  }
  template <size_t InFlight>
  void wait() {
    const size_t covered = groups_.size() > InFlight ? groups_[groups_.size() - InFlight - 1] : 0;
    for (; done_ < covered; ++done_) pending_[done_].run(pending_[done_]);
    if (InFlight == 0) pending_.clear(), groups_.clear(), done_ = 0;
  }

 private:
  struct Product {
    void (*run)(const Product&);
    float (*sums)[16][4];
    const uint32_t (*a)[4];
    const void* b;
  };
  template <class Half>
  static void run(const Product& p) {
    const auto* core = static_cast<const Half*>(p.b);
    const unsigned group = simt::lane() >> 2, quad = simt::lane() & 3;
    for (unsigned j = 0; j < 16; ++j) {
      uint32_t words[2];
      for (unsigned half = 0; half < 2; ++half) {
        const Half* pair = core + (16 * half + j) * 64 + 8 * group + 2 * quad;
        words[half] = pair[0].bits | static_cast<uint32_t>(pair[1].bits) << 16;
      }
      mma<Half>((*p.sums)[j], *p.a, words[0], words[1]);
    }
  }

  std::vector<Product> pending_;
  std::vector<size_t> groups_;  // how many products stood before each commit
  size_t done_ = 0;
  bool fenced_ = false;
};

inline void fence_shared() {}

#endif

}  // namespace recon::cuda
