#include <algorithm>
#include <cstring>

#include "kernels/cpu.h"
#include "kernels/decoder/decoder_tile.h"
#include "kernels/loss/loss_row.h"

namespace recon::cpu {
namespace {

/// How the rows of all slices are cut into tiles of whole blocks. A tile never crosses a slice, so rotation and z are
/// constant in it.
struct Tiling {
  int64_t rows, tiles_per_slice, rows_per_tile;

  Tiling(int64_t rows_in, int64_t block) : rows(rows_in) {
    tiles_per_slice = (rows + DecoderTile::max_rows - 1) / DecoderTile::max_rows;
    rows_per_tile = tiles_per_slice > 0 ? (rows + tiles_per_slice - 1) / tiles_per_slice : 0;
    rows_per_tile = (rows_per_tile + block - 1) / block * block;
  }
  int64_t first(int64_t tile) const { return std::min(rows, tile % tiles_per_slice * rows_per_tile); }
  int count(int64_t tile) const { return static_cast<int>(std::min(rows, first(tile) + rows_per_tile) - first(tile)); }
};

bool in_half_space(const float* k) { return k[2] > 0 || (k[2] == 0 && (k[1] > 0 || (k[1] == 0 && k[0] > 0))); }

/// k = Rᵀ (x, y, 0)/D of the tile's rows. With pairs, row j is pixel 2j, mirrored into the half-space.
void slice_points(const DecodeSlices& a, int64_t slice, int64_t first, int rows, float* points) {
  const float* r = a.rotations.row(slice);
  const float step = 1.0f / static_cast<float>(a.side);
  const int outputs = a.net.shape.outputs;
  for (int row = 0; row < rows; ++row) {
    const Pixel pixel = a.pixels[outputs * (first + row)];
    const float x = static_cast<float>(pixel.x) * step, y = static_cast<float>(pixel.y) * step;
    float* k = points + 3 * row;
    for (int axis = 0; axis < 3; ++axis) k[axis] = r[axis] * x + r[3 + axis] * y;
    if (outputs == 2 && !in_half_space(k))
      for (int axis = 0; axis < 3; ++axis) k[axis] = -k[axis];
  }
}

/// Whether row `row` of the tile was mirrored (its pair is stored swapped).
bool mirrored(const DecodeSlices& a, int64_t slice, int64_t pair) {
  const float* r = a.rotations.row(slice);
  const float step = 1.0f / static_cast<float>(a.side);
  const Pixel pixel = a.pixels[2 * pair];
  const float x = static_cast<float>(pixel.x) * step, y = static_cast<float>(pixel.y) * step;
  const float k[3] = {r[0] * x + r[3] * y, r[1] * x + r[4] * y, r[2] * x + r[5] * y};
  return !in_half_space(k);
}

const float* latent_of(const DecodeSlices& a, int64_t slice) {
  if (a.net.shape.latent == 0) return nullptr;
  return a.latents.row(a.latent_of.empty() ? slice : a.latent_of[slice]);
}

/// Swaps the pairs of mirrored rows, in the tile's values or in their gradient.
void unmirror(const DecodeSlices& a, int64_t slice, int64_t first, int rows, float* values) {
  if (a.net.shape.outputs != 2) return;
  for (int row = 0; row < rows; ++row)
    if (mirrored(a, slice, first + row)) std::swap(values[2 * row], values[2 * row + 1]);
}

struct BackwardPass {
  const DecodeSlicesBackward& args;
  Tiling tiling;
  int64_t parameters;
  float *slot_gradients, *tile_dlatent;
  double* tile_loss;

  void tile(DecoderTile& net, int64_t index, float* gradient) {
    const DecodeSlices& f = args.forward;
    const DecoderShape& shape = f.net.shape;
    const int64_t slice = index / tiling.tiles_per_slice, first = tiling.first(index);
    const int rows = tiling.count(index);
    const int64_t at = slice * f.pixels.size() + first * shape.outputs, count = int64_t{rows} * shape.outputs;
    tile_loss[index] = 0;
    std::memset(tile_dlatent + index * shape.latent, 0, sizeof(float) * static_cast<size_t>(shape.latent));
    if (rows == 0 || (!f.active.empty() && f.active[slice] == 0)) return;
    const float* z = latent_of(f, slice);
    net.set_latent(z);
    slice_points(f, slice, first, rows, net.points());
    net.encode(net.points(), rows);
    net.forward(rows);
    unmirror(f, slice, first, rows, net.values());
    if (!f.values.empty()) std::memcpy(f.values.data + at, net.values(), sizeof(float) * static_cast<size_t>(count));
    if (args.target.empty())
      std::memcpy(net.dvalues(), args.dvalues.data + at, sizeof(float) * static_cast<size_t>(count));
    else
      tile_loss[index] =
          squared_error_row(net.values(), args.target.data + at, args.ctf.empty() ? nullptr : args.ctf.data + at,
                            args.scale.get(), count, RowGradient::write, net.dvalues());
    unmirror(f, slice, first, rows, net.dvalues());
    net.backward(rows, z, gradient);
    const float* bias_sum = net.bias_sum();
    const float* w = f.net.parameters.data;
    for (int i = 0; i < shape.latent; ++i) {
      float sum = 0;
      for (int j = 0; j < shape.width; ++j)
        sum += bias_sum[j] * w[int64_t{j} * shape.inputs() + 2 * shape.features + i];
      tile_dlatent[index * shape.latent + i] = sum;
    }
  }
};

PackedDecoder packed_in_workspace(Device& device, const DecoderNet& net, const TileProducts& products) {
  float* memory = device.workspace(static_cast<size_t>(PackedDecoder::floats(net.shape, false)));
  return {net, products, false, device.threads(), memory};
}

}  // namespace

bool decodes_in(Precision precision) { return tile_products(precision).operands == precision; }

void decode_slices(Device& device, const DecodeSlices& a) { decode_slices(device, a, tile_products(a.net.precision)); }

void decode_slices(Device& device, const DecodeSlices& a, const TileProducts& products) {
  const DecoderShape& shape = a.net.shape;
  const Tiling tiling(a.pixels.size() / shape.outputs, products.block_rows);
  const int64_t floats = DecoderTile::scratch_floats(shape, false);
  const PackedDecoder packed = packed_in_workspace(device, a.net, products);
  device.threads().run(a.rotations.rows * tiling.tiles_per_slice, [&](int64_t index, int worker) {
    const int64_t slice = index / tiling.tiles_per_slice, first = tiling.first(index);
    const int rows = tiling.count(index);
    if (rows == 0 || (!a.active.empty() && a.active[slice] == 0)) return;
    DecoderTile net(packed, device.scratch(worker, static_cast<size_t>(floats)), false);
    net.set_latent(latent_of(a, slice));
    slice_points(a, slice, first, rows, net.points());
    net.encode(net.points(), rows);
    net.forward(rows);
    unmirror(a, slice, first, rows, net.values());
    std::memcpy(a.values.row(slice) + first * shape.outputs, net.values(),
                sizeof(float) * static_cast<size_t>(rows * shape.outputs));
  });
}

void decode_points(Device& device, const DecodePoints& a) {
  const DecoderShape& shape = a.net.shape;
  const int64_t floats = DecoderTile::scratch_floats(shape, false), step = DecoderTile::max_rows;
  const PackedDecoder packed = packed_in_workspace(device, a.net, tile_products(a.net.precision));
  device.threads().run((a.points.rows + step - 1) / step, [&](int64_t index, int worker) {
    const int64_t first = index * step;
    const int rows = static_cast<int>(std::min(a.points.rows - first, step));
    DecoderTile net(packed, device.scratch(worker, static_cast<size_t>(floats)), false);
    net.set_latent(shape.latent > 0 ? a.latent.data : nullptr);
    net.encode(a.points.row(first), rows);
    net.forward(rows);
    std::memcpy(a.values.row(first), net.values(), sizeof(float) * static_cast<size_t>(rows * shape.outputs));
  });
}

namespace {

/// Partial sums of a step's gradients, each of which one core works on at a time: it sums its tiles in order, then they
/// are summed in order. As many as keep the cores of a server busy with a small minibatch, in at most 256 MB; they
/// depend on the shape and on the tiles of this processor's products alone.
int64_t slots_of(int64_t tiles, int64_t parameters) {
  constexpr int64_t most = 64, floats = int64_t{1} << 26;
  return std::clamp<int64_t>(std::min(tiles / 4, floats / parameters), 1, most);
}

}  // namespace

void decode_slices_backward(Device& device, const DecodeSlicesBackward& a) {
  decode_slices_backward(device, a, tile_products(a.forward.net.precision));
}

void decode_slices_backward(Device& device, const DecodeSlicesBackward& a, const TileProducts& products) {
  const DecodeSlices& f = a.forward;
  const DecoderShape& shape = f.net.shape;
  const int64_t slices = f.rotations.rows, parameters = shape.parameter_count();
  const Tiling tiling(f.pixels.size() / shape.outputs, products.block_rows);
  const int64_t tiles = slices * tiling.tiles_per_slice;
  const int64_t slots = slots_of(tiles, parameters);
  const int64_t packed_floats = PackedDecoder::floats(shape, true);
  float* const memory =
      device.workspace(static_cast<size_t>(packed_floats + slots * parameters + tiles * (shape.latent + 2)));
  const PackedDecoder packed(f.net, products, true, device.threads(), memory);
  float* const workspace = memory + packed_floats;
  BackwardPass pass{a,
                    tiling,
                    parameters,
                    workspace + 2 * tiles,
                    workspace + 2 * tiles + slots * parameters,
                    reinterpret_cast<double*>(workspace)};
  const int64_t floats = DecoderTile::scratch_floats(shape, true);
  device.threads().run(slots, [&](int64_t slot, int worker) {
    float* gradient = pass.slot_gradients + slot * parameters;
    std::memset(gradient, 0, sizeof(float) * static_cast<size_t>(parameters));
    DecoderTile net(packed, device.scratch(worker, static_cast<size_t>(floats)), true);
    for (int64_t tile = slot * tiles / slots; tile < (slot + 1) * tiles / slots; ++tile) pass.tile(net, tile, gradient);
  });
  device.threads().for_range(parameters, 16384, [&](int64_t first, int64_t last) {
    for (int64_t slot = 0; slot < slots; ++slot) {
      const float* from = pass.slot_gradients + slot * parameters;
#pragma omp simd
      for (int64_t i = first; i < last; ++i) a.dparameters[i] += from[i];
    }
  });
  for (int64_t slice = 0; slice < slices; ++slice) {
    double loss = 0;
    for (int64_t tile = slice * tiling.tiles_per_slice; tile < (slice + 1) * tiling.tiles_per_slice; ++tile) {
      loss += pass.tile_loss[tile];
      if (!a.dlatents.empty())
        for (int i = 0; i < shape.latent; ++i) a.dlatents(slice, i) += pass.tile_dlatent[tile * shape.latent + i];
    }
    if (!a.loss.empty()) a.loss[slice] = static_cast<float>(loss);
  }
}

}  // namespace recon::cpu
