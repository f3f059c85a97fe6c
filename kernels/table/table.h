#pragma once
#include "kernels/runtime/device.h"

namespace recon {

/// Row moves between a table of all images and a minibatch: to[b] = from[rows[b]] and to[rows[b]] = from[b].
struct GatherRows {
  View<const float> from;    ///< [N, C]
  View<const int32_t> rows;  ///< [1, B]
  View<float> to;            ///< [B, C]
};
struct ScatterRows {
  View<const float> from;    ///< [B, C]
  View<const int32_t> rows;  ///< [1, B], distinct
  View<float> to;            ///< [N, C]
};

/// What a recorded step reads first: to = the next row of from, row cursor[0], and cursor[0] += 1. The schedule of many
/// steps is uploaded at once, and a replay needs nothing of the host.
struct TakeRow {
  View<const int32_t> from;  ///< [N, C]
  View<int32_t> cursor;      ///< [1, 1], in [0, N)
  View<int32_t> to;          ///< [1, C]
};

/// Numbers kept in 16 bits, IEEE half: to = from, rounded to nearest even; and to[b] = from[rows[b]], exactly.
struct Narrow {
  View<const float> from;  ///< [B, C]
  View<uint16_t> to;       ///< [B, C]
};
struct WidenRows {
  View<const uint16_t> from;  ///< [N, C]
  View<const int32_t> rows;   ///< [1, B]
  View<float> to;             ///< [B, C]
};

void gather_rows(Device& device, const GatherRows& args);
void scatter_rows(Device& device, const ScatterRows& args);
void take_row(Device& device, const TakeRow& args);
void narrow(Device& device, const Narrow& args);
void widen_rows(Device& device, const WidenRows& args);

}  // namespace recon
