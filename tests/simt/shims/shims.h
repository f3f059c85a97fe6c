#pragma once
// Small kernels around every shim and warp operation of the dialect, for the conformance test: the same claims are
// held against the emulator and, in a build with CUDA, against the hardware.
#include <cstdint>
#include <vector>

#include "kernels/runtime/device.h"

namespace recon::cuda::shims {

enum class Half { bf16, fp16 };

/// Each value rounded to 16 bits: the bits, with and without the relu.
struct Rounded {
  std::vector<uint16_t> plain, relu;
  std::vector<float> widened;  ///< the plain ones as floats again
};
Rounded round_values(Device& device, Half half, const std::vector<float>& values);

/// C + A B for A [16, 16], B [16, 8], C [16, 8], row-major.
std::vector<float> multiply(Device& device, Half half, const std::vector<float>& a, const std::vector<float>& b,
                            const std::vector<float>& c);

/// n / 8 + A B of the first 16 inner numbers and of all 48, for A [64, 48] and B [48, 128], by a warpgroup's products;
/// nothing where the device has none.
struct WarpgroupSums {
  std::vector<float> first, all;
};
WarpgroupSums multiply_warpgroup(Device& device, Half half, const std::vector<float>& a, const std::vector<float>& b);

/// Registers [lane][4] that load_matrices gives for four 8 × 8 matrices of 16-bit numbers.
std::vector<uint32_t> load(Device& device, bool transposed, const std::vector<uint16_t>& matrices);

/// Row sums of `rows` rows of 256 floats that stream through shared memory by asynchronous copies, three stages.
std::vector<float> stream(Device& device, const std::vector<float>& rows);

/// Of 128 values: shuffled from lane (3 l + 1) mod 32, from lane xor 5, from lane + 3 (own past the end), the ballot of
/// "positive" as a float's bits, the warp's sum, the block's sum: [6][128].
std::vector<float> exchange(Device& device, const std::vector<float>& values);

/// Numbers [blocks, 64], a row a block, after `rounds` rounds in one cooperative launch: each becomes the sum of itself
/// and the one to its right in the next row (the last row's next is the first). No more blocks than multiprocessors.
std::vector<float> pass_on(Device& device, const std::vector<float>& numbers, int rounds);

/// Sine and cosine of turns by the three functions: [6][n].
std::vector<float> sines(Device& device, const std::vector<float>& turns);

/// Words of Philox and the normal numbers from them: [n] bits of floats.
std::vector<float> normals(Device& device, uint64_t seed, int64_t count);

}  // namespace recon::cuda::shims
