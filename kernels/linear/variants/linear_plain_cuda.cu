// Encoder layers by plain fp32 kernels: one strided product serves forward, dx and dw.
//
// Floor: the weights, 4 bytes each forward; backward 8 for their gradients and 4 for dx. At 64 px, width 128 that are
// 1.6 MB, 0.5 us of an H100's memory.
// Limit of naive: two loads a multiply-add, and forward the 32 lanes of a load of weights stand in 32 rows, a sector
// each; 10 x 128 outputs are 40 warps, so what counts is the latency of K loads in a row.
// Limit of tiled: 8 loads from shared memory for 16 multiply-adds, half of the fp32 rate at best; with 10 rows a third
// of a tile is used, and forward two blocks hold all outputs of a minibatch, so that two multiprocessors read all
// weights. What both lack is a cut along K.
#include "kernels/cuda.h"
#include "kernels/device/dialect.h"
#include "kernels/linear/variants/linear_variants_cuda.h"

namespace recon::cuda {
namespace {

/// A matrix wherever its numbers stand.
struct Strided {
  const float* data;
  int64_t row, column;  ///< steps between neighbours, in floats

  RECON_DEVICE float operator()(int64_t i, int64_t j) const { return data[i * row + j * column]; }
};

/// c = [relu](a b [+ bias] [+ addend] [+ c])
struct Product {
  int64_t m, n, k;
  Strided a, b;                                    ///< [m, k], [k, n]
  float* c;                                        ///< [m, n]
  const float *bias = nullptr, *addend = nullptr;  ///< [1, n], [m, n]
  bool relu = false, add = false;

  RECON_DEVICE void finish(int64_t i, int64_t j, float sum) const {
    const int64_t at = i * n + j;
    if (bias) sum += bias[j];
    if (addend) sum += addend[at];
    if (add) sum += c[at];
    c[at] = relu && sum < 0 ? 0.0f : sum;
  }
};

RECON_KERNEL(256) naive_kernel(Product p) {
  for (int64_t at = grid_thread(); at < p.m * p.n; at += grid_threads()) {
    const int64_t i = at / p.n, j = at % p.n;
    float sum = 0;
    for (int64_t k = 0; k < p.k; ++k) sum += p.a(i, k) * p.b(k, j);
    p.finish(i, j, sum);
  }
}

constexpr int tile_rows = 32, tile_columns = 64, tile_depth = 16, each = 4;  // each thread has 4 x 4 outputs
constexpr int threads_down = tile_rows / each, threads_across = tile_columns / each;
constexpr int tile_threads = threads_down * threads_across;

struct Tiles {
  float a[tile_depth][tile_rows + 2], b[tile_depth][tile_columns + 2];  // 2: stores of either order meet all banks
};

/// tile[k][i] = from[i · line + k · step], 0 from `lines` and `depth` on; neighbours in memory by neighbouring threads.
template <int Lines>
RECON_DEVICE void fill(float (&tile)[tile_depth][Lines + 2], const float* from, int64_t line, int64_t step,
                       int64_t lines, int64_t depth) {
  for (int at = thread(); at < Lines * tile_depth; at += tile_threads) {
    const int i = step == 1 ? at / tile_depth : at % Lines, k = step == 1 ? at % tile_depth : at / Lines;
    tile[k][i] = i < lines && k < depth ? from[i * line + k * step] : 0.0f;
  }
}

RECON_KERNEL(tile_threads) tiled_kernel(Product p) {
  auto& tiles = shared_memory<Tiles>();
  const int64_t first_i = int64_t{blockIdx.y} * tile_rows, first_j = int64_t{blockIdx.x} * tile_columns;
  const int down = thread() / threads_across, across = thread() % threads_across;
  float sums[each][each] = {};
  for (int64_t first_k = 0; first_k < p.k; first_k += tile_depth) {
    fill<tile_rows>(tiles.a, p.a.data + first_i * p.a.row + first_k * p.a.column, p.a.row, p.a.column, p.m - first_i,
                    p.k - first_k);
    fill<tile_columns>(tiles.b, p.b.data + first_j * p.b.column + first_k * p.b.row, p.b.column, p.b.row, p.n - first_j,
                       p.k - first_k);
    __syncthreads();
    RECON_UNROLL
    for (int k = 0; k < tile_depth; ++k) {
      float a[each], b[each];
      RECON_UNROLL
      for (int u = 0; u < each; ++u)
        a[u] = tiles.a[k][down + u * threads_down], b[u] = tiles.b[k][across + u * threads_across];
      RECON_UNROLL
      for (int u = 0; u < each; ++u) RECON_UNROLL
      for (int v = 0; v < each; ++v) sums[u][v] += a[u] * b[v];
    }
    __syncthreads();
  }
  RECON_UNROLL
  for (int u = 0; u < each; ++u) RECON_UNROLL
  for (int v = 0; v < each; ++v) {
    const int64_t i = first_i + down + u * threads_down, j = first_j + across + v * threads_across;
    if (i < p.m && j < p.n) p.finish(i, j, sums[u][v]);
  }
}

/// dy becomes the gradient of the pre-activation; its sums go to the bias, a thread a column.
RECON_KERNEL(128) relu_backward_kernel(LinearBackward a) {
  const int64_t j = grid_thread();
  if (j >= a.dy.cols) return;
  float sum = 0;
  for (int64_t i = 0; i < a.dy.rows; ++i) {
    if (a.relu && a.y(i, j) <= 0) a.dy(i, j) = 0;
    sum += a.dy(i, j);
  }
  a.db[j] += sum;
}

void naive(Queue& queue, const Product& p) { launch(queue, "linear_naive", covering(p.m * p.n), naive_kernel, p); }
void tiled(Queue& queue, const Product& p) {
  launch(queue, "linear_tiled",
         {.blocks = (p.n + tile_columns - 1) / tile_columns,
          .threads = tile_threads,
          .shared_bytes = sizeof(Tiles),
          .blocks_y = (p.m + tile_rows - 1) / tile_rows},
         tiled_kernel, p);
}

void forward(Device& device, const LinearForward& a, void (*multiply)(Queue&, const Product&)) {
  multiply(queue_of(device), {.m = a.x.rows,
                              .n = a.w.rows,
                              .k = a.x.cols,
                              .a = {a.x.data, a.x.cols, 1},
                              .b = {a.w.data, 1, a.w.cols},
                              .c = a.y.data,
                              .bias = a.b.data,
                              .addend = a.residual ? a.x.data : nullptr,  // square: x is like y
                              .relu = a.relu});
}

void backward(Device& device, const LinearBackward& a, void (*multiply)(Queue&, const Product&)) {
  Queue& queue = queue_of(device);
  launch(queue, "linear_relu_backward", {.blocks = (a.dy.cols + 127) / 128, .threads = 128}, relu_backward_kernel, a);
  if (!a.dw.empty())
    multiply(queue, {.m = a.w.rows,
                     .n = a.w.cols,
                     .k = a.x.rows,
                     .a = {a.dy.data, 1, a.dy.cols},
                     .b = {a.x.data, a.x.cols, 1},
                     .c = a.dw.data,
                     .add = true});
  if (!a.dx.empty())
    multiply(queue, {.m = a.x.rows,
                     .n = a.w.cols,
                     .k = a.w.rows,
                     .a = {a.dy.data, a.dy.cols, 1},
                     .b = {a.w.data, a.w.cols, 1},
                     .c = a.dx.data,
                     .addend = a.residual ? a.dy.data : nullptr,  // square: dy is like dx
                     .add = true});
}

}  // namespace

void linear_naive(Device& device, const LinearForward& a) { forward(device, a, naive); }
void linear_backward_naive(Device& device, const LinearBackward& a) { backward(device, a, naive); }
void linear_tiled(Device& device, const LinearForward& a) { forward(device, a, tiled); }
void linear_backward_tiled(Device& device, const LinearBackward& a) { backward(device, a, tiled); }

}  // namespace recon::cuda
