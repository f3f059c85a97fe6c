#include "kernels/table/table.h"

#include <algorithm>

#include "kernels/cpu.h"
#include "kernels/runtime/half.h"

namespace recon::cpu {

void gather_rows(Device&, const GatherRows& a) {
  for (int64_t b = 0; b < a.to.rows; ++b) std::copy_n(a.from.row(a.rows[b]), a.to.cols, a.to.row(b));
}

void scatter_rows(Device&, const ScatterRows& a) {
  for (int64_t b = 0; b < a.from.rows; ++b) std::copy_n(a.from.row(b), a.from.cols, a.to.row(a.rows[b]));
}

void take_row(Device&, const TakeRow& a) { std::copy_n(a.from.row(a.cursor[0]++), a.to.size(), a.to.data); }

void narrow(Device&, const Narrow& a) { std::transform(a.from.data, a.from.data + a.from.size(), a.to.data, to_half); }

void widen_rows(Device&, const WidenRows& a) {
  for (int64_t b = 0; b < a.to.rows; ++b)
    std::transform(a.from.row(a.rows[b]), a.from.row(a.rows[b]) + a.from.cols, a.to.row(b), from_half);
}

}  // namespace recon::cpu
