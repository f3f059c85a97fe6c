// Encoder layers on the GPU: products of the vendor's library, which forward also adds bias and residual and applies
// the relu. With a few rows (a minibatch) both directions are bound by reading the weights, 4 bytes each, once forward
// and twice backward (and reading and writing their gradients, 8 bytes each).
#include "kernels/linear/linear.h"

#include "kernels/cuda.h"
#include "kernels/device/columns.h"
#include "kernels/device/pointwise.h"

namespace recon::cuda {
namespace {

/// Layers without inputs, for which there is no product.
RECON_KERNEL(256) bias_kernel(LinearForward a) {
  const int64_t j = grid_thread();
  if (j >= a.y.cols) return;
  const float value = a.relu && a.b[j] < 0 ? 0.0f : a.b[j];
  for (int64_t i = first_row(); i < a.y.rows; i += row_step()) a.y(i, j) = value;
}

struct Gradients {
  float dy, dx;
};

// dy becomes the gradient of the pre-activation; its column sums go to the bias, itself through a residual to dx. 12
// bytes an output, 20 with a residual; 32 columns a block, so few columns leave a large device idle. The library's own
// bias gradients would write db, not add to it, so that adding them would take a pass again.
RECON_KERNEL(column_threads) start_backward_kernel(LinearBackward a) {
  const bool pass = a.residual && !a.dx.empty();
  const auto load = [&](int64_t at) {
    const bool off = a.relu && a.y[at] <= 0;
    return Gradients{off ? 0.0f : a.dy[at], pass ? a.dx[at] : 0.0f};  // a residual layer is square: dx is like dy
  };
  const auto add = [&](int64_t at, const Gradients& g) {
    if (a.relu) a.dy[at] = g.dy;
    if (pass) a.dx[at] = g.dx + g.dy;
    return g.dy;
  };
  const float sum = column_sum<float>(a.dy.rows, a.dy.cols, load, add);
  if (warp_of(thread()) == 0 && column() < a.dy.cols) a.db[column()] += sum;
}

}  // namespace

void linear_forward(Device& device, const LinearForward& a) {
  if (a.y.size() == 0) return;
  Queue& queue = queue_of(device);
  if (a.x.cols == 0) return launch(queue, "linear", over_matrix(a.y.rows, a.y.cols), bias_kernel, a);
  queue.gemm({.transpose_b = true,
              .m = a.x.rows,
              .n = a.w.rows,
              .k = a.x.cols,
              .beta = a.residual ? 1.0f : 0.0f,
              .a = a.x.data,
              .lda = a.x.cols,
              .b = a.w.data,
              .ldb = a.w.cols,
              .c = a.y.data,
              .ldc = a.y.cols,
              .addend = a.residual ? a.x.data : nullptr,  // square: x is like y
              .bias = a.b.data,
              .finish = a.relu ? Finish::relu : Finish::none});
}

void linear_backward(Device& device, const LinearBackward& a) {
  if (a.dy.size() == 0) return;
  Queue& queue = queue_of(device);
  launch(queue, "linear_backward", over_columns<float>(a.dy.cols), start_backward_kernel, a);
  if (a.x.cols == 0) return;
  if (!a.dw.empty())
    queue.gemm({.transpose_a = true,
                .m = a.w.rows,
                .n = a.w.cols,
                .k = a.x.rows,
                .beta = 1,
                .a = a.dy.data,
                .lda = a.dy.cols,
                .b = a.x.data,
                .ldb = a.x.cols,
                .c = a.dw.data,
                .ldc = a.dw.cols});
  if (a.dx.empty()) return;
  queue.gemm({.m = a.x.rows,
              .n = a.w.cols,
              .k = a.w.rows,
              .beta = 1,
              .a = a.dy.data,
              .lda = a.dy.cols,
              .b = a.w.data,
              .ldb = a.w.cols,
              .c = a.dx.data,
              .ldc = a.dx.cols});
}

}  // namespace recon::cuda
