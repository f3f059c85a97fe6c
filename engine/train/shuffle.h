#pragma once
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "kernels/runtime/philox.h"

namespace recon {

/// A permutation of 0 … count−1 keyed by (seed, epoch): images sorted by a random word each, ties by number.
inline std::vector<int32_t> shuffled(int64_t count, uint64_t seed, uint32_t epoch) {
  const Philox random{seed, Purpose::shuffle};
  std::vector<uint64_t> keys(static_cast<size_t>(count));
  for (size_t i = 0; i < keys.size(); ++i) {
    const u32x4 words = random.draw(i, epoch);
    keys[i] = uint64_t{words.v[0]} << 32 | words.v[1];
  }
  std::vector<int32_t> order(keys.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return keys[static_cast<size_t>(a)] < keys[static_cast<size_t>(b)] ||
           (keys[static_cast<size_t>(a)] == keys[static_cast<size_t>(b)] && a < b);
  });
  return order;
}

}  // namespace recon
