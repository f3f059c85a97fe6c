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

void gather_rows(Device& device, const GatherRows& args);
void scatter_rows(Device& device, const ScatterRows& args);

}  // namespace recon
