#include "kernels/linear/linear.h"

#include "kernels/ops.h"

namespace recon {

void linear(Device& device, const LinearForward& a) {
  expect(a.x.cols == a.w.cols, "linear: x and w differ in columns");
  expect(a.b.size() == a.w.rows && a.y.cols == a.w.rows, "linear: b and y must have a column a row of w");
  expect(a.x.rows == a.y.rows, "linear: x and y differ in rows");
  expect(!a.residual || a.w.rows == a.w.cols, "linear: a residual layer must be square");
  device.ops().linear_forward(device, a);
}

void linear_backward(Device& device, const LinearBackward& a) {
  expect(a.x.cols == a.w.cols && (a.dw.empty() || (a.dw.rows == a.w.rows && a.dw.cols == a.w.cols)),
         "linear: dw must be shaped like w");
  expect(a.db.size() == a.w.rows && a.dy.cols == a.w.rows, "linear: db and dy must have a column a row of w");
  expect(a.x.rows == a.dy.rows, "linear: x and dy differ in rows");
  expect(a.dx.empty() || (a.dx.rows == a.x.rows && a.dx.cols == a.x.cols), "linear: dx must be shaped like x");
  expect(!a.relu || (a.y.rows == a.dy.rows && a.y.cols == a.dy.cols), "linear: relu needs y");
  expect(!a.residual || a.w.rows == a.w.cols, "linear: a residual layer must be square");
  device.ops().linear_backward(device, a);
}

}  // namespace recon
