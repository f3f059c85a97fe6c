#pragma once
// What the kernel dialect (kernels/device/dialect.h) means on the host: every CUDA thread of a block is a fiber that
// switches only at collectives, blocks run one after the other (those of a cooperative launch in turns), and each
// source of undefined behaviour that can be seen from here ends in a Fault instead of a number. The fibers' runtime is
// simt.cpp, which is never built with a sanitizer, so that what ThreadSanitizer and AddressSanitizer report is the
// kernel's own line.
//
//   missing barrier            ThreadSanitizer: fibers are announced without an order but at collectives
//   out of bounds              AddressSanitizer: shared memory and device memory are heap blocks of the exact size
//   unwritten shared memory    filled with 0xFF before each block: floats are NaN, indices −1
//   too weak a wait            asynchronous copies happen at the wait that covers them, the latest moment allowed
//   divergent barrier          Fault: a barrier is not reached by all threads, or from two places
//   order of threads           a seeded permutation a block (RECON_SIMT_SEED)
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace simt {

struct Dim {
  unsigned x = 1, y = 1, z = 1;
};

/// Undefined behaviour of a kernel, in a sentence.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

using Site = std::source_location;

/// Runs `body` as every thread of every block; all blocks at once when `cooperative`. Throws Fault.
void run(const char* name, Dim grid, Dim block, size_t shared_bytes, const std::function<void()>& body,
         bool cooperative = false);

const Dim& thread_index();
const Dim& block_index();
const Dim& block_dimensions();
const Dim& grid_dimensions();
unsigned lane();
void* shared();
size_t shared_bytes();

void sync_block(Site site);
void sync_grid(Site site);
void sync_warp(unsigned mask, Site site);
/// One slot a lane, 64 bytes: put, meet the lanes of the mask, then read those of others.
constexpr size_t slot_bytes = 64;
void put(const void* value, size_t bytes);
void get(unsigned lane, void* value, size_t bytes);
unsigned live_lanes();

/// Asynchronous copies of the calling thread, by commit groups.
void copy_async(void* to, const void* from, size_t bytes);
void commit_copies();
struct Copy {
  void* to;
  const void* from;
  size_t bytes;
};
/// Takes the next copy out of the groups that a wait for all but `groups_in_flight` covers; false when there is none.
bool next_copy(int groups_in_flight, Copy& copy);
/// The copies happen here, in the kernel's own (instrumented) code.
inline void wait_copies(int groups_in_flight) {
  for (Copy copy; next_copy(groups_in_flight, copy);) std::memcpy(copy.to, copy.from, copy.bytes);
}

template <class T>
T exchange(unsigned mask, T value, unsigned source, Site site) {
  static_assert(sizeof(T) <= slot_bytes && std::is_trivially_copyable_v<T>);
  put(&value, sizeof value);
  sync_warp(mask, site);
  T result;
  get(source & 31, &result, sizeof result);
  return result;
}

}  // namespace simt

#define threadIdx (::simt::thread_index())
#define blockIdx (::simt::block_index())
#define blockDim (::simt::block_dimensions())
#define gridDim (::simt::grid_dimensions())

inline void __syncthreads(simt::Site site = simt::Site::current()) { simt::sync_block(site); }
inline void __syncwarp(unsigned mask = ~0u, simt::Site site = simt::Site::current()) { simt::sync_warp(mask, site); }

template <class T>
T __shfl_sync(unsigned mask, T value, int source, simt::Site site = simt::Site::current()) {
  return simt::exchange(mask, value, static_cast<unsigned>(source), site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int other, simt::Site site = simt::Site::current()) {
  return simt::exchange(mask, value, simt::lane() ^ static_cast<unsigned>(other), site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, simt::Site site = simt::Site::current()) {
  const unsigned lane = simt::lane();
  return simt::exchange(mask, value, lane + delta < 32 ? lane + delta : lane, site);
}
inline unsigned __ballot_sync(unsigned mask, bool vote, simt::Site site = simt::Site::current()) {
  const int mine = vote ? 1 : 0;
  simt::put(&mine, sizeof mine);
  simt::sync_warp(mask, site);
  unsigned votes = 0;
  for (unsigned other = 0; other < 32; ++other)
    if (mask & simt::live_lanes() & (1u << other)) {
      int theirs = 0;
      simt::get(other, &theirs, sizeof theirs);
      if (theirs) votes |= 1u << other;
    }
  return votes;
}
inline int atomicAdd(int* at, int value) { return __atomic_fetch_add(at, value, __ATOMIC_RELAXED); }
