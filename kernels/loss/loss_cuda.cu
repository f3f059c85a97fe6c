// The reconstruction loss and sums on the GPU: bound by memory, in a training step by their launches. Floor: 8 bytes a
// pixel, 12 with a CTF, and 8 more for the gradient. Sums are in doubles, in an order that depends on shapes alone.
#include "kernels/loss/loss.h"

#include "kernels/cuda.h"
#include "kernels/device/dialect.h"

namespace recon::cuda {
namespace {

constexpr int row_threads = 512, depth = 4;  // 2,048 numbers of a row in flight
constexpr int sum_threads = 512;
constexpr int64_t sum_parts = 256, whole_in_one = 1 << 16;

template <int Threads>
struct Partial {
  double warp[Threads / 32];
};

// A block a row. All loads of a round come before its stores, which the compiler must else take for the same memory.
RECON_KERNEL(row_threads) squared_error_kernel(SquaredError a) {
  auto& partial = shared_memory<Partial<row_threads>>();
  const int64_t pixels = a.prediction.cols, row = int64_t{blockIdx.x} * pixels;
  const bool weighted = !a.ctf.empty(), gradient = !a.dprediction.empty();
  const float scale = 2 * a.scale.get();
  double sum = 0;
  for (int64_t first = thread(); first < pixels; first += depth * row_threads) {
    float e[depth], c[depth], d[depth];
    RECON_UNROLL
    for (int u = 0; u < depth; ++u) {
      const int64_t p = first + u * row_threads, i = row + p;
      const bool live = p < pixels;
      c[u] = live && weighted ? a.ctf[i] : 1.0f;
      e[u] = live ? c[u] * a.prediction[i] - a.target[i] : 0.0f;
      d[u] = live && gradient ? a.dprediction[i] : 0.0f;
    }
    RECON_UNROLL
    for (int u = 0; u < depth; ++u) {
      const int64_t p = first + u * row_threads;
      sum += double(e[u]) * e[u];
      if (p < pixels && gradient) a.dprediction[row + p] = d[u] + scale * c[u] * e[u];
    }
  }
  sum = block_sum<row_threads>(sum, partial.warp);
  if (thread() == 0) a.loss[blockIdx.x] = static_cast<float>(sum);
}

/// out[block] = (out[block] +) scale · the block's share of the values.
template <class T>
RECON_KERNEL(sum_threads)
sum_kernel(const T* values, int64_t count, double* out, double scale, bool accumulate) {
  auto& partial = shared_memory<Partial<sum_threads>>();
  double sum = 0;
  for (int64_t i = grid_thread(); i < count; i += grid_threads()) sum += double(values[i]);
  sum = block_sum<sum_threads>(sum, partial.warp) * scale;
  if (thread() == 0) out[blockIdx.x] = accumulate ? out[blockIdx.x] + sum : sum;
}

}  // namespace

void squared_error(Device& device, const SquaredError& a) {
  launch(queue_of(device), "squared_error",
         {.blocks = a.prediction.rows, .threads = row_threads, .shared_bytes = sizeof(Partial<row_threads>)},
         squared_error_kernel, a);
}

// A minibatch is one block's work; larger arrays are summed to 256 parts first.
void sum_values(Device& device, const SumValues& a) {
  Queue& queue = queue_of(device);
  Shape shape{.blocks = 1, .threads = sum_threads, .shared_bytes = sizeof(Partial<sum_threads>)};
  const int64_t count = a.values.size();
  if (count <= whole_in_one) {
    launch(queue, "sum_values", shape, sum_kernel<float>, a.values.data, count, a.out.data, a.scale, a.accumulate);
    return;
  }
  auto* parts = reinterpret_cast<double*>(device.workspace(sum_parts * sizeof(double) / sizeof(float)));
  shape.blocks = sum_parts;
  launch(queue, "sum_values: parts", shape, sum_kernel<float>, a.values.data, count, parts, 1.0, false);
  shape.blocks = 1;
  launch(queue, "sum_values", shape, sum_kernel<double>, parts, sum_parts, a.out.data, a.scale, a.accumulate);
}

}  // namespace recon::cuda
