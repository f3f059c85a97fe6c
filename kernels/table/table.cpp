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

void narrow(Device& device, const Narrow& a) {
  expect(a.from.rows == a.to.rows && a.from.cols == a.to.cols, "narrow: to must be like from");
  device.ops().narrow(device, a);
}

void widen_rows(Device& device, const WidenRows& a) {
  expect(a.from.cols == a.to.cols && a.rows.size() == a.to.rows, "widen_rows: to must be [rows, columns of from]");
  device.ops().widen_rows(device, a);
}

}  // namespace recon
