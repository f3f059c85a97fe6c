#pragma once
// The rows of a decoder call as kernels see them. A row is one evaluation of the network: a pixel or, with two outputs,
// a pair of opposite pixels of a slice, or one of the points of DecodePoints, which count as one slice.
#include "kernels/decoder/decoder.h"
#include "kernels/device/dialect.h"

namespace recon::cuda {

/// Where a row is evaluated. Mirrored: outside of the half-space, so its pair of values stands swapped.
struct RowPoint {
  float x, y, z;
  bool mirrored;
};

struct DecoderRows {
  View<const Pixel> pixels;
  View<const float> rotations, points, latents;
  View<const int32_t> latent_of, active;
  int64_t slices = 0, in_slice = 0;  ///< rows of one slice
  int outputs = 1, latent = 0;
  float step = 0;

  explicit DecoderRows(const DecodeSlices& a)
      : pixels(a.pixels),
        rotations(a.rotations),
        latents(a.latents),
        latent_of(a.latent_of),
        active(a.active),
        slices(a.rotations.rows),
        in_slice(a.pixels.size() / a.net.shape.outputs),
        outputs(a.net.shape.outputs),
        latent(a.net.shape.latent),
        step(1.0f / static_cast<float>(a.side)) {}
  explicit DecoderRows(const DecodePoints& a)
      : points(a.points),
        latents(a.latent),
        slices(1),
        in_slice(a.points.rows),
        outputs(a.net.shape.outputs),
        latent(a.net.shape.latent) {}

  int64_t count() const { return slices * in_slice; }

  /// Nothing of a slice that is not active may be read: not its pose, not its z.
  RECON_DEVICE bool is_active(int64_t slice) const { return active.empty() || active[slice] != 0; }
  RECON_DEVICE const float* z(int64_t slice) const {
    return latents.data + (latent_of.empty() ? slice : int64_t{latent_of[slice]}) * latent;
  }
  /// Where the value of output `o` of a row stands in arrays [slices, in_slice · outputs].
  RECON_DEVICE int64_t value_index(int64_t slice, int64_t row, int o, bool mirrored) const {
    return (slice * in_slice + row) * outputs + (mirrored ? o ^ 1 : o);
  }
  /// k = Rᵀ (x, y, 0)/D, mirrored into the half-space when rows are pairs.
  RECON_DEVICE RowPoint point(int64_t slice, int64_t row) const {
    if (!points.empty()) return {points(row, 0), points(row, 1), points(row, 2), false};
    const float* r = rotations.row(slice);
    const Pixel pixel = pixels[outputs * row];
    const float px = static_cast<float>(pixel.x) * step, py = static_cast<float>(pixel.y) * step;
    const float x = r[0] * px + r[3] * py, y = r[1] * px + r[4] * py, z = r[2] * px + r[5] * py;
    const bool inside = z > 0 || (z == 0 && (y > 0 || (y == 0 && x > 0)));
    if (outputs == 2 && !inside) return {-x, -y, -z, true};
    return {x, y, z, false};
  }
};

/// The gradient of a value by a training call, and its squared error when the call makes the loss.
struct ValueGradient {
  float d, squared_error;
};
RECON_DEVICE ValueGradient value_gradient(const DecodeSlicesBackward& a, float scale, int64_t at, float value) {
  if (a.target.empty()) return {a.dvalues[at], 0};
  const float ctf = a.ctf.empty() ? 1.0f : a.ctf[at];
  const float error = ctf * value - a.target[at];
  return {2 * scale * ctf * error, error * error};
}

}  // namespace recon::cuda
