#pragma once
#include <cstdint>

namespace recon::cpu {

/// What becomes of the gradient of a row.
enum class RowGradient { none, write, add };

/// Σ (ctf v − x)² over `count` values, in double (ctf null: 1); its gradient times `scale`, 2 · scale · ctf · (ctf v −
/// x), is written or added to `d`. For SquaredError and for the decoder, which makes the loss while its values are in
/// the cache.
double squared_error_row(const float* v, const float* x, const float* ctf, float scale, int64_t count,
                         RowGradient gradient, float* d);

}  // namespace recon::cpu
