// Adam on the GPU: bound by memory. Floor: 32 bytes a parameter (parameter, gradient and two moments read and written),
// 8 for the average. Sixteen bytes an access; the arithmetic is a division and a root a parameter.
//
// What the step makes of the rates is computed in doubles by one thread a block, of the step and the learning rate that
// stand on the device, so blocks are as many as the device holds at once and stride over the arena. Doing it in a
// kernel of its own would cost a launch and a round trip through memory, which is more.
#include "kernels/adam/adam_cuda.h"

#include "kernels/cuda.h"

namespace recon::cuda {
namespace {

constexpr int threads = 256;

RECON_KERNEL(threads) adam_kernel(Adam a, Decay decay, Cut cut) { adam_elements(a, decay, cut); }

// A block has 128 neighbouring columns of 16 rows, a thread 8 of a column. Floor: 24 bytes a parameter, against 48 of
// a product that adds to the gradients and an Adam that zeroes them; left and right come from the second-level cache, a
// 77th and a 10th of that for a minibatch of 10.
constexpr int product_columns = 128, product_rows = 16, product_depth = 16, rows_a_thread = 8;
struct ProductShared {
  Rates rates;
  float left[product_depth][product_rows], right[product_depth][product_columns];
};

RECON_KERNEL(threads) adam_product_kernel(AdamProduct a, Decay decay) {
  auto& shared = shared_memory<ProductShared>();
  if (thread() == 0) shared.rates = decay.rates_at(a.step.get(), a.learning_rate.get());
  const int64_t first_column = int64_t{blockIdx.x} * product_columns, first_row = int64_t{blockIdx.y} * product_rows;
  const int column = thread() % product_columns, row = thread() / product_columns * rows_a_thread;
  float sums[rows_a_thread] = {};
  for (int64_t first = 0; first < a.left.rows; first += product_depth) {
    __syncthreads();
    for (int i = thread(); i < product_depth * product_rows; i += threads) {
      const int64_t b = first + i / product_rows, n = first_row + i % product_rows;
      shared.left[i / product_rows][i % product_rows] = b < a.left.rows && n < a.left.cols ? a.left(b, n) : 0.0f;
    }
    for (int i = thread(); i < product_depth * product_columns; i += threads) {
      const int64_t b = first + i / product_columns, k = first_column + i % product_columns;
      shared.right[i / product_columns][i % product_columns] =
          b < a.right.rows && k < a.right.cols ? a.right(b, k) : 0.0f;
    }
    __syncthreads();
    RECON_UNROLL
    for (int b = 0; b < product_depth; ++b) {
      const float x = shared.right[b][column];
      RECON_UNROLL
      for (int i = 0; i < rows_a_thread; ++i) sums[i] += shared.left[b][row + i] * x;
    }
  }
  __syncthreads();  // also where there is no sum
  const int64_t k = first_column + column;
  if (k >= a.parameters.cols) return;
  RECON_UNROLL
  for (int i = 0; i < rows_a_thread; ++i) {
    const int64_t n = first_row + row + i;
    if (n < a.parameters.rows)
      decay.update(a.parameters(n, k), sums[i], a.first_moments(n, k), a.second_moments(n, k), shared.rates);
  }
}

// A warp a row: its lanes share the row's step count, which one of them raises when all have read it.
RECON_KERNEL(128) adam_rows_kernel(AdamRows a, Decay decay) {
  const int64_t b = warp_row(), width = a.parameters.cols;
  if (b >= a.rows.size()) return;
  const int64_t row = a.rows[b];
  const int32_t step = a.steps[row] + 1;
  __syncwarp();
  const int lane = lane_of(thread());
  if (lane == 0) a.steps[row] = step;
  const Rates rates = decay.rates_at(step, a.learning_rate.get());
  for (int64_t j = lane; j < width; j += 32)
    decay.update(a.parameters(row, j), a.gradients(b, j), a.first_moments(row, j), a.second_moments(row, j), rates);
}

RECON_KERNEL(256) average_weights_kernel(AverageWeights a, Cut cut) {
  const float rate = a.rate.get();
  for_each_cut(cut, [&](auto width, int64_t at) {
    constexpr int n = decltype(width)::value;
    const auto p = load<n>(a.parameters.data + at);
    auto average = load<n>(a.average.data + at);
    RECON_UNROLL
    for (int j = 0; j < n; ++j) average.v[j] += rate * (p.v[j] - average.v[j]);
    store(a.average.data + at, average);
  });
}

}  // namespace

void adam(Device& device, const Adam& a) {
  Queue& queue = queue_of(device);
  const Cut cut =
      cut_of(a.parameters.size(), a.parameters.data, a.gradients.data, a.first_moments.data, a.second_moments.data);
  Shape shape = cut.shape(int64_t{4} * queue.multiprocessors());
  shape.threads = threads;
  shape.shared_bytes = sizeof(Rates);
  launch(queue, "adam", shape, adam_kernel, a, Decay(a), cut);
}

void adam_product(Device& device, const AdamProduct& a) {
  launch(queue_of(device), "adam_product",
         {.blocks = (a.parameters.cols + product_columns - 1) / product_columns,
          .threads = threads,
          .shared_bytes = sizeof(ProductShared),
          .blocks_y = (a.parameters.rows + product_rows - 1) / product_rows},
         adam_product_kernel, a, Decay(a));
}

void adam_rows(Device& device, const AdamRows& a) {
  launch(queue_of(device), "adam_rows", warp_a_row(a.rows.size()), adam_rows_kernel, a, Decay(a));
}

void average_weights(Device& device, const AverageWeights& a) {
  const Cut cut = cut_of(a.average.size(), a.average.data, a.parameters.data);
  launch(queue_of(device), "average_weights", cut.shape(), average_weights_kernel, a, cut);
}

}  // namespace recon::cuda
