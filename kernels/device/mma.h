#pragma once
// Tensor cores: products of 16-bit operands with fp32 sums (PTX ISA, mma.m16n8k16), the loads that fill their operands
// from shared memory (ldmatrix), and the roundings between. Fragments of a lane with g = lane / 4 and t = lane % 4:
//
//   A [16, 16]  a[0] (g, 2t), a[1] (g + 8, 2t), a[2] (g, 2t + 8), a[3] (g + 8, 2t + 8)   each with its right neighbour
//   B [16, 8]   b[0] (2t, g), b[1] (2t + 8, g)                                           each with the one below
//   C [16, 8]   c[0] (g, 2t), c[1] (g, 2t + 1), c[2] (g + 8, 2t), c[3] (g + 8, 2t + 1)
//
// So two neighbouring C are, rounded, an A of the next product: a chain of products needs no exchange.
#include <bit>
#include <cstdint>

#include "kernels/device/dialect.h"
#include "kernels/runtime/half.h"

namespace recon::cuda {

/// 16-bit numbers as operands of products; two of them stand in a word, the first in its low half.
struct bf16 {
  uint16_t bits;
};
struct fp16 {
  uint16_t bits;
};

#if !defined(__CUDACC__)
namespace emulated {

inline uint32_t round_to(bf16, float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fffu;
  return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

inline uint32_t round_to(fp16, float value) { return to_half(value); }

inline float widen(bf16 value) { return std::bit_cast<float>(uint32_t{value.bits} << 16); }

inline float widen(fp16 value) { return from_half(value.bits); }

}  // namespace emulated
#endif

/// Two numbers in a word, to nearest even.
template <class Half>
RECON_DEVICE uint32_t pack(float low, float high);
/// The same of max(·, 0).
template <class Half>
RECON_DEVICE uint32_t pack_relu(float low, float high);
template <class Half>
RECON_DEVICE float low_of(uint32_t word);
template <class Half>
RECON_DEVICE float high_of(uint32_t word);
/// c += a b.
template <class Half>
RECON_DEVICE void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);

#if defined(__CUDACC__)

template <>
RECON_DEVICE uint32_t pack<bf16>(float low, float high) {
  uint32_t word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}
template <>
RECON_DEVICE uint32_t pack<fp16>(float low, float high) {
  uint32_t word;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}
template <>
RECON_DEVICE uint32_t pack_relu<bf16>(float low, float high) {
  uint32_t word;
  asm("cvt.rn.relu.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}
template <>
RECON_DEVICE uint32_t pack_relu<fp16>(float low, float high) {
  uint32_t word;
  asm("cvt.rn.relu.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}
template <>
RECON_DEVICE float low_of<bf16>(uint32_t word) {
  return __uint_as_float(word << 16);
}
template <>
RECON_DEVICE float high_of<bf16>(uint32_t word) {
  return __uint_as_float(word & 0xffff0000u);
}
template <>
RECON_DEVICE float low_of<fp16>(uint32_t word) {
  float value;
  asm("{.reg .b16 l, h; mov.b32 {l, h}, %1; cvt.f32.f16 %0, l;}" : "=f"(value) : "r"(word));
  return value;
}
template <>
RECON_DEVICE float high_of<fp16>(uint32_t word) {
  float value;
  asm("{.reg .b16 l, h; mov.b32 {l, h}, %1; cvt.f32.f16 %0, h;}" : "=f"(value) : "r"(word));
  return value;
}
template <>
RECON_DEVICE void mma<bf16>(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <>
RECON_DEVICE void mma<fp16>(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Four matrices of 8 × 8 numbers; lane 8i + r names row r (16 bytes) of matrix i. Register i of lane (g, t) becomes
/// elements (g, 2t) and (g, 2t + 1) of matrix i; transposed: (2t, g) and (2t + 1, g).
template <bool Transposed>
RECON_DEVICE void load_matrices(uint32_t (&to)[4], const void* row) {
  const auto at = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(at)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(at)
                 : "memory");
}

#else

template <class Half>
uint32_t pack(float low, float high) {
  return emulated::round_to(Half{}, low) | emulated::round_to(Half{}, high) << 16;
}
template <class Half>
uint32_t pack_relu(float low, float high) {
  return pack<Half>(low < 0 ? 0 : low, high < 0 ? 0 : high);
}
template <class Half>
float low_of(uint32_t word) {
  return emulated::widen(Half{static_cast<uint16_t>(word)});
}
template <class Half>
float high_of(uint32_t word) {
  return emulated::widen(Half{static_cast<uint16_t>(word >> 16)});
}

template <class Half>
void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  struct Operands {
    uint32_t a[4], b[2];
  };
  const Operands mine = {{a[0], a[1], a[2], a[3]}, {b0, b1}};
  simt::put(&mine, sizeof mine);
  __syncwarp();
  const unsigned group = simt::lane() >> 2, quad = simt::lane() & 3;
  const auto numbers = [](const uint32_t* words, unsigned at, float* to) {
    for (unsigned half = 0; half < 2; ++half) {
      to[at + 8 * half] = low_of<Half>(words[half]);
      to[at + 8 * half + 1] = high_of<Half>(words[half]);
    }
  };
  float rows[2][16], columns[2][16];
  for (unsigned t = 0; t < 4; ++t) {
    Operands theirs;
    simt::get(4 * group + t, &theirs, sizeof theirs);
    for (unsigned h = 0; h < 2; ++h) {
      const uint32_t words[2] = {theirs.a[h], theirs.a[h + 2]};
      numbers(words, 2 * t, rows[h]);
    }
    for (unsigned n = 0; n < 2; ++n) {
      simt::get(4 * (2 * quad + n) + t, &theirs, sizeof theirs);
      numbers(theirs.b, 2 * t, columns[n]);
    }
  }
  for (unsigned at = 0; at < 4; ++at)
    for (unsigned k = 0; k < 16; ++k) c[at] += rows[at >> 1][k] * columns[at & 1][k];
}

template <bool Transposed>
void load_matrices(uint32_t (&to)[4], const void* row) {
  struct Row {
    uint16_t at[8];
  } mine;
  std::memcpy(&mine, row, sizeof mine);
  simt::put(&mine, sizeof mine);
  __syncwarp();
  const unsigned group = simt::lane() >> 2, quad = simt::lane() & 3;
  for (unsigned i = 0; i < 4; ++i) {
    uint32_t pair[2];
    for (unsigned n = 0; n < 2; ++n) {
      Row theirs;
      simt::get(8 * i + (Transposed ? 2 * quad + n : group), &theirs, sizeof theirs);
      pair[n] = theirs.at[Transposed ? group : 2 * quad + n];
    }
    to[i] = pair[0] | pair[1] << 16;
  }
}

#endif

}  // namespace recon::cuda
