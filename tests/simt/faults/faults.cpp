// Is the emulator worth believing? Kernels with one planted fault of each kind, beside the same kernel without it:
//   simt_faults KIND right|wrong
// `right` must end with "passed"; `wrong` must be caught: by the emulator (a Fault), by its poisoned memory (a NaN in
// the result) or by the sanitizer this program is built with (its report). tests/CMakeLists.txt holds what each kind
// must say.
#include <cmath>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/device/copy.h"
#include "kernels/device/dialect.h"
#include "kernels/device/grid_barrier.h"

using namespace recon;
using namespace recon::cuda;

namespace {

constexpr int threads = 64;

struct Tile {
  float values[threads];
};

/// Each thread reads what its neighbour wrote: right with a barrier in between.
RECON_KERNEL(threads) neighbour_kernel(const float* in, float* out, bool barrier) {
  Tile& tile = shared_memory<Tile>();
  const int t = thread();
  tile.values[t] = in[t];
  if (barrier) __syncthreads();
  out[t] = tile.values[(t + 1) % threads];
}

/// Reads one element too many of shared or of device memory.
RECON_KERNEL(threads) bounds_kernel(const float* in, float* out, int excess_shared, int excess_device) {
  Tile& tile = shared_memory<Tile>();
  const int t = thread();
  tile.values[t] = in[t + excess_device];
  __syncthreads();
  out[t] = (&tile.values[0])[threads - 1 - t + excess_shared];
}

/// Sums the whole tile although only `written` of it were filled.
RECON_KERNEL(threads) unwritten_kernel(const float* in, float* out, int written) {
  Tile& tile = shared_memory<Tile>();
  const int t = thread();
  if (t < written) tile.values[t] = in[t];
  __syncthreads();
  float sum = 0;
  for (const float v : tile.values) sum += v;
  out[t] = sum;
}

struct Ring {
  float values[2][4 * threads];
};

/// Streams rows through two stages with asynchronous copies, leaving `in_flight` groups unfinished.
template <int InFlight>
RECON_KERNEL(threads)
stream_kernel(const float* in, float* out, int rows) {
  Ring& ring = shared_memory<Ring>();
  const int t = thread();
  copy_async_16(&ring.values[0][4 * t], in + 4 * t);
  commit_copies();
  float sum = 0;
  for (int row = 0; row < rows; ++row) {
    if (row + 1 < rows) copy_async_16(&ring.values[(row + 1) & 1][4 * t], in + (row + 1) * 4 * threads + 4 * t);
    commit_copies();
    wait_copies<InFlight>();
    __syncthreads();
    sum += ring.values[row & 1][(4 * t + 7) % (4 * threads)];
    __syncthreads();
  }
  out[t] = sum;
}

/// A barrier that half of the block does not reach, or that it reaches at another place.
RECON_KERNEL(threads) divergent_kernel(float* out, int kind) {
  const int t = thread();
  if (kind == 1 && t < threads / 2) return;
  if (kind == 2 && t < threads / 2) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[t] = 1;
}

enum class GridFault { none, forgotten, missed };

/// The first block reads what the second wrote: right with a barrier of the grid in between, that both reach.
RECON_KERNEL(threads) grid_kernel(const float* in, float* between, float* out, GridFault fault) {
  const int t = thread(), block = static_cast<int>(blockIdx.x);
  between[threads * block + t] = in[t];
  if (fault == GridFault::missed && block == 1) return;
  if (fault != GridFault::forgotten) sync_grid();
  if (block == 0) out[t] = between[threads + t];
}

bool finite(const std::vector<float>& values) {
  for (const float v : values)
    if (!std::isfinite(v)) return false;
  return true;
}

int run(const std::string& kind, bool wrong) {
  const auto device = Device::cuda(0);
  Queue& queue = queue_of(*device);
  std::vector<float> host(8 * 4 * threads);
  std::iota(host.begin(), host.end(), 1.0f);
  const bool whole = kind == "unwritten-device";  // device memory that was never written
  Buffer<float> out(*device, 1, threads);
  Buffer<float> in(*device, 1, kind == "bounds-device" ? threads : static_cast<int64_t>(host.size()));
  if (!(whole && wrong)) in.upload({host.data(), static_cast<size_t>(in.size())});
  const float* from = in.view().data;
  float* to = out.view().data;
  const Shape shape{.blocks = 1, .threads = threads, .shared_bytes = sizeof(Tile)};
  if (kind == "race" || whole) {
    launch(queue, "neighbour", shape, neighbour_kernel, from, to, whole || !wrong);
  } else if (kind == "bounds-shared" || kind == "bounds-device") {
    launch(queue, "bounds", shape, bounds_kernel, from, to, wrong && kind == "bounds-shared" ? 1 : 0,
           wrong && kind == "bounds-device" ? 1 : 0);
  } else if (kind == "unwritten-shared") {
    launch(queue, "unwritten", shape, unwritten_kernel, from, to, wrong ? threads - 1 : threads);
  } else if (kind == "weak-wait") {
    launch(queue, "stream", Shape{.blocks = 1, .threads = threads, .shared_bytes = sizeof(Ring)},
           wrong ? stream_kernel<2> : stream_kernel<1>, from, to, 8);
  } else if (kind == "barrier-missed" || kind == "barrier-apart") {
    launch(queue, "divergent", shape, divergent_kernel, to, !wrong ? 0 : kind == "barrier-missed" ? 1 : 2);
  } else if (kind == "grid-race" || kind == "grid-missed" || kind == "grid-alone") {
    const Buffer<float> between(*device, 2, threads);
    const Shape two{.blocks = 2, .threads = threads};
    const GridFault fault = !wrong || kind == "grid-alone" ? GridFault::none
                            : kind == "grid-race"          ? GridFault::forgotten
                                                           : GridFault::missed;
    if (wrong && kind == "grid-alone")
      launch(queue, "grid", two, grid_kernel, from, between.view().data, to, fault);
    else
      launch_cooperative(queue, "grid", two, grid_kernel, from, between.view().data, to, fault);
  } else if (kind == "host-access") {
    if (wrong) std::printf("%g\n", double(from[0]));
    launch(queue, "neighbour", shape, neighbour_kernel, from, to, true);
  } else {
    std::printf("unknown kind %s\n", kind.c_str());
    return 2;
  }
  if (!finite(out.download())) {
    std::printf("caught: the result is not a number\n");
    return 1;
  }
  std::printf("passed\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    return run(argv[1], std::string(argv[2]) == "wrong");
  } catch (const simt::Fault& fault) {
    std::printf("caught: %s\n", fault.what());
    return 1;
  }
}
