#include "kernels/table/table.h"

#include "kernels/ops.h"

namespace recon {

void gather_rows(Device& device, const GatherRows& a) {
  expect(a.from.cols == a.to.cols && a.rows.size() == a.to.rows, "gather_rows: to must be [rows, columns of from]");
  device.ops().gather_rows(device, a);
}

void scatter_rows(Device& device, const ScatterRows& a) {
  expect(a.from.cols == a.to.cols && a.rows.size() == a.from.rows, "scatter_rows: from must be [rows, columns of to]");
  device.ops().scatter_rows(device, a);
}

void take_row(Device& device, const TakeRow& a) {
  expect(a.from.cols == a.to.size() && a.cursor.size() == 1, "take_row: to must be one row of from");
  device.ops().take_row(device, a);
}

}  // namespace recon
