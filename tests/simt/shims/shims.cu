#include "tests/simt/shims/shims.h"

#include "kernels/device/copy.h"
#include "kernels/device/dialect.h"
#include "kernels/device/grid_barrier.h"
#include "kernels/device/mma.h"
#include "kernels/device/sincos.h"
#include "kernels/device/warpgroup.h"
#include "kernels/runtime/philox.h"

namespace recon::cuda::shims {
namespace {

template <class T>
RECON_KERNEL(64)
round_kernel(View<const float> in, View<uint16_t> plain, View<uint16_t> relu, View<float> widened) {
  for (int64_t i = grid_thread(); i < in.size(); i += grid_threads()) {
    const uint32_t word = pack<T>(in[i], -in[i]);
    plain[i] = static_cast<uint16_t>(word);
    relu[i] = static_cast<uint16_t>(pack_relu<T>(in[i], 0));
    // The high half holds the negative: read it there, so that both halves are tested.
    widened[i] = i % 2 ? -high_of<T>(word) : low_of<T>(word);
  }
}

template <class T>
RECON_KERNEL(32)
multiply_kernel(View<const float> a, View<const float> b, View<const float> c, View<float> out) {
  const int g = thread() / 4, t = thread() % 4;
  const auto word_a = [&](int row, int column) { return pack<T>(a(row, column), a(row, column + 1)); };
  const auto word_b = [&](int row) { return pack<T>(b(row, g), b(row + 1, g)); };
  const uint32_t operand[4] = {word_a(g, 2 * t), word_a(g + 8, 2 * t), word_a(g, 2 * t + 8), word_a(g + 8, 2 * t + 8)};
  float sums[4] = {c(g, 2 * t), c(g, 2 * t + 1), c(g + 8, 2 * t), c(g + 8, 2 * t + 1)};
  mma<T>(sums, operand, word_b(2 * t), word_b(2 * t + 8));
  out(g, 2 * t) = sums[0], out(g, 2 * t + 1) = sums[1], out(g + 8, 2 * t) = sums[2], out(g + 8, 2 * t + 1) = sums[3];
}

constexpr int warpgroup_steps = 3;
template <class T>
struct CoreMatrices {
  alignas(16) T at[warpgroup_steps * 16 * warpgroup_columns];
};

/// The first step in a group, the others in another; the sums are looked at in between.
template <class T>
RECON_KERNEL(128)
warpgroup_kernel(View<const float> a, View<const float> b, View<float> first, View<float> all) {
  auto& shared = shared_memory<CoreMatrices<T>>();
  for (int i = thread(); i < warpgroup_steps * 16 * warpgroup_columns; i += 128) {
    const int k = i / warpgroup_columns, n = i % warpgroup_columns;
    shared.at[((k / 8 * 16 + n / 8) * 8 + n % 8) * 8 + k % 8].bits = static_cast<uint16_t>(pack<T>(b(k, n), 0));
  }
  fence_shared();
  __syncthreads();
  const int row = 16 * warp_of(thread()) + lane_of(thread()) / 4, t = thread() % 4;
  uint32_t operand[warpgroup_steps][4];
  RECON_UNROLL
  for (int step = 0; step < warpgroup_steps; ++step) {
    RECON_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int r = row + i % 2 * 8, k = 16 * step + 2 * t + i / 2 * 8;
      operand[step][i] = pack<T>(a(r, k), a(r, k + 1));
    }
  }
  float sums[16][4];
  RECON_UNROLL
  for (int j = 0; j < 16; ++j) {
    RECON_UNROLL
    for (int i = 0; i < 4; ++i) sums[j][i] = static_cast<float>(j);
  }
  const auto store = [&](View<float> to) {
    RECON_UNROLL
    for (int j = 0; j < 16; ++j) {
      RECON_UNROLL
      for (int i = 0; i < 4; ++i) to(row + i / 2 * 8, 8 * j + 2 * t + i % 2) = sums[j][i];
    }
  };
  WarpgroupProducts products;
  products.fence();
  products.template multiply<T>(sums, operand[0], shared.at);
  products.commit();
  products.template wait<0>();
  store(first);
  products.fence();
  RECON_UNROLL
  for (int step = 1; step < warpgroup_steps; ++step)
    products.template multiply<T>(sums, operand[step], shared.at + step * 16 * warpgroup_columns);
  products.commit();
  products.template wait<0>();
  store(all);
}

struct Matrices {
  alignas(16) uint16_t at[4 * 64];
};

template <bool Transposed>
RECON_KERNEL(32)
load_kernel(View<const uint16_t> matrices, View<uint32_t> out) {
  Matrices& shared = shared_memory<Matrices>();
  for (int i = thread(); i < 4 * 64; i += 32) shared.at[i] = matrices[i];
  __syncthreads();
  uint32_t registers[4];
  load_matrices<Transposed>(registers, &shared.at[8 * thread()]);
  RECON_UNROLL
  for (int i = 0; i < 4; ++i) out(thread(), i) = registers[i];
}

constexpr int stream_threads = 64, stages = 3;
struct Ring {
  alignas(16) float rows[stages][4 * stream_threads];
  float sums[stream_threads / 32];
};

RECON_KERNEL(stream_threads) stream_kernel(View<const float> rows, View<float> out) {
  Ring& ring = shared_memory<Ring>();
  const int t = thread();
  const auto fetch = [&](int64_t row) {
    if (row < rows.rows) copy_async_16(&ring.rows[row % stages][4 * t], rows.row(row) + 4 * t);
    commit_copies();
  };
  fetch(0);
  fetch(1);
  for (int64_t row = 0; row < rows.rows; ++row) {
    fetch(row + 2);
    wait_copies<2>();
    __syncthreads();
    // Four numbers that other threads fetched.
    const float* mine = &ring.rows[row % stages][(4 * t + 128) % (4 * stream_threads)];
    const float sum = block_sum<stream_threads>(mine[0] + mine[1] + mine[2] + mine[3], ring.sums);
    if (t == 0) out[row] = sum;
    __syncthreads();
  }
}

struct Sums {
  float at[4];
};

RECON_KERNEL(128) exchange_kernel(View<const float> values, View<float> out) {
  Sums& shared = shared_memory<Sums>();
  const int t = thread(), lane = lane_of(t);
  const float mine = values[t];
  out(0, t) = __shfl_sync(all_lanes, mine, (3 * lane + 1) % 32);
  out(1, t) = __shfl_xor_sync(all_lanes, mine, 5);
  out(2, t) = __shfl_down_sync(all_lanes, mine, 3);
  out(3, t) = std::bit_cast<float>(__ballot_sync(all_lanes, mine > 0));
  out(4, t) = warp_sum(mine);
  out(5, t) = block_sum<128>(mine, shared.at);
}

/// Shared memory keeps a block's own row: what the blocks tell each other goes through `told`.
RECON_KERNEL(64) pass_on_kernel(View<float> numbers, View<float> told, int rounds) {
  struct Row {
    float at[64];
  };
  Row& row = shared_memory<Row>();
  const int t = thread();
  const int64_t block = blockIdx.x, next = (block + 1) % gridDim.x;
  row.at[t] = numbers(block, t);
  for (int round = 0; round < rounds; ++round) {
    told(block, t) = row.at[t];
    sync_grid();
    row.at[t] += told(next, (t + 1) % 64);
    sync_grid();
  }
  numbers(block, t) = row.at[t];
}

RECON_KERNEL(64) sines_kernel(View<const float> turns, View<float> out) {
  for (int64_t i = grid_thread(); i < turns.size(); i += grid_threads()) {
    sincos_turns(turns[i], out(0, i), out(1, i));
    sincos_turns_fast(turns[i], out(2, i), out(3, i));
    sincos_turns_direct(turns[i], out(4, i), out(5, i));
  }
}

RECON_KERNEL(64) normals_kernel(uint64_t seed, View<float> out) {
  const Philox philox{seed, Purpose::test};
  for (int64_t i = grid_thread(); i < out.size(); i += grid_threads())
    out[i] = normal_from(philox.draw(static_cast<uint64_t>(i), 7).v[i % 4]);
}

template <class T>
Buffer<T> uploaded(Device& device, const std::vector<T>& values, int64_t rows, int64_t cols) {
  Buffer<T> buffer(device, rows, cols);
  buffer.upload(values);
  return buffer;
}

}  // namespace

Rounded round_values(Device& device, Half half, const std::vector<float>& values) {
  const auto count = static_cast<int64_t>(values.size());
  const Buffer<float> in = uploaded(device, values, 1, count), widened(device, 1, count);
  const Buffer<uint16_t> plain(device, 1, count), relu(device, 1, count);
  launch(queue_of(device), "round", covering(count, 64), half == Half::bf16 ? round_kernel<bf16> : round_kernel<fp16>,
         in.view(), plain.view(), relu.view(), widened.view());
  return {plain.download(), relu.download(), widened.download()};
}

std::vector<float> multiply(Device& device, Half half, const std::vector<float>& a, const std::vector<float>& b,
                            const std::vector<float>& c) {
  const Buffer<float> left = uploaded(device, a, 16, 16), right = uploaded(device, b, 16, 8),
                      start = uploaded(device, c, 16, 8), out(device, 16, 8);
  launch(queue_of(device), "multiply", Shape{.blocks = 1, .threads = 32},
         half == Half::bf16 ? multiply_kernel<bf16> : multiply_kernel<fp16>, left.view(), right.view(), start.view(),
         out.view());
  return out.download();
}

WarpgroupSums multiply_warpgroup(Device& device, Half half, const std::vector<float>& a, const std::vector<float>& b) {
  const int64_t inner = 16 * warpgroup_steps;
  const Buffer<float> left = uploaded(device, a, 64, inner), right = uploaded(device, b, inner, warpgroup_columns),
                      first(device, 64, warpgroup_columns), all(device, 64, warpgroup_columns);
  if (!has_warpgroup_products(queue_of(device).generation())) return {};
  launch(queue_of(device), "warpgroup", Shape{.blocks = 1, .threads = 128, .shared_bytes = sizeof(CoreMatrices<bf16>)},
         half == Half::bf16 ? warpgroup_kernel<bf16> : warpgroup_kernel<fp16>, left.view(), right.view(), first.view(),
         all.view());
  return {first.download(), all.download()};
}

std::vector<uint32_t> load(Device& device, bool transposed, const std::vector<uint16_t>& matrices) {
  const Buffer<uint16_t> in = uploaded(device, matrices, 1, 4 * 64);
  const Buffer<uint32_t> out(device, 32, 4);
  launch(queue_of(device), "load_matrices", Shape{.blocks = 1, .threads = 32, .shared_bytes = sizeof(Matrices)},
         transposed ? load_kernel<true> : load_kernel<false>, in.view(), out.view());
  return out.download();
}

std::vector<float> stream(Device& device, const std::vector<float>& rows) {
  const auto count = static_cast<int64_t>(rows.size()) / (4 * stream_threads);
  const Buffer<float> in = uploaded(device, rows, count, 4 * stream_threads), out(device, 1, count);
  launch(queue_of(device), "stream", Shape{.blocks = 1, .threads = stream_threads, .shared_bytes = sizeof(Ring)},
         stream_kernel, in.view(), out.view());
  return out.download();
}

std::vector<float> exchange(Device& device, const std::vector<float>& values) {
  const Buffer<float> in = uploaded(device, values, 1, 128), out(device, 6, 128);
  launch(queue_of(device), "exchange", Shape{.blocks = 1, .threads = 128, .shared_bytes = sizeof(Sums)},
         exchange_kernel, in.view(), out.view());
  return out.download();
}

std::vector<float> pass_on(Device& device, const std::vector<float>& numbers, int rounds) {
  const auto blocks = static_cast<int64_t>(numbers.size()) / 64;
  const Buffer<float> at = uploaded(device, numbers, blocks, 64), told(device, blocks, 64);
  launch_cooperative(queue_of(device), "pass_on", {.blocks = blocks, .threads = 64, .shared_bytes = 64 * sizeof(float)},
                     pass_on_kernel, at.view(), told.view(), rounds);
  return at.download();
}

std::vector<float> sines(Device& device, const std::vector<float>& turns) {
  const auto count = static_cast<int64_t>(turns.size());
  const Buffer<float> in = uploaded(device, turns, 1, count), out(device, 6, count);
  launch(queue_of(device), "sines", covering(count, 64), sines_kernel, in.view(), out.view());
  return out.download();
}

std::vector<float> normals(Device& device, uint64_t seed, int64_t count) {
  const Buffer<float> out(device, 1, count);
  launch(queue_of(device), "normals", covering(count, 64), normals_kernel, seed, out.view());
  return out.download();
}

}  // namespace recon::cuda::shims
