// Row moves: bound by memory, a thread a number.
#include "kernels/cuda.h"
#include "kernels/device/dialect.h"
#include "kernels/runtime/half.h"
#include "kernels/table/table.h"

namespace recon::cuda {
namespace {

RECON_KERNEL(256) gather_rows_kernel(GatherRows a) {
  for (int64_t i = grid_thread(); i < a.to.size(); i += grid_threads())
    a.to[i] = a.from(a.rows[i / a.to.cols], i % a.to.cols);
}

RECON_KERNEL(256) scatter_rows_kernel(ScatterRows a) {
  for (int64_t i = grid_thread(); i < a.from.size(); i += grid_threads())
    a.to(a.rows[i / a.from.cols], i % a.from.cols) = a.from[i];
}

// One block: the barrier keeps the cursor until every thread has read it.
RECON_KERNEL(256) take_row_kernel(TakeRow a) {
  const int64_t row = a.cursor[0];
  __syncthreads();
  for (int64_t i = thread(); i < a.to.size(); i += 256) a.to[i] = a.from(row, i);
  if (thread() == 0) a.cursor[0] = static_cast<int32_t>(row) + 1;
}

// 6 bytes a number.
RECON_KERNEL(256) narrow_kernel(Narrow a) {
  for (int64_t i = grid_thread(); i < a.from.size(); i += grid_threads()) a.to[i] = to_half(a.from[i]);
}

// 6 bytes a number.
RECON_KERNEL(256) widen_rows_kernel(WidenRows a) {
  for (int64_t i = grid_thread(); i < a.to.size(); i += grid_threads())
    a.to[i] = from_half(a.from(a.rows[i / a.to.cols], i % a.to.cols));
}

}  // namespace

void gather_rows(Device& device, const GatherRows& a) {
  launch(queue_of(device), "gather_rows", covering(a.to.size()), gather_rows_kernel, a);
}

void scatter_rows(Device& device, const ScatterRows& a) {
  launch(queue_of(device), "scatter_rows", covering(a.from.size()), scatter_rows_kernel, a);
}

void take_row(Device& device, const TakeRow& a) {
  launch(queue_of(device), "take_row", Shape{.blocks = 1, .threads = 256}, take_row_kernel, a);
}

void narrow(Device& device, const Narrow& a) {
  launch(queue_of(device), "narrow", covering(a.from.size()), narrow_kernel, a);
}

void widen_rows(Device& device, const WidenRows& a) {
  launch(queue_of(device), "widen_rows", covering(a.to.size()), widen_rows_kernel, a);
}

}  // namespace recon::cuda
