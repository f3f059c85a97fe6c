#pragma once
// The fused decoder: how the network lies packed in device memory, how rows are cut into tiles, and what a training
// call leaves in the workspace between its kernels.
//
// A *tile* is a run of rows of one slice that one block takes through all layers; a warp owns some of its rows and all
// columns, so that the rounded sums of a layer are, in the same registers, the operand of the next one (mma.h), and
// activations never leave a warp. What streams by are the weights, in *slabs* of at most 32 KiB of one layer.
#include <cstdint>

#include "kernels/decoder/decoder_rows_cuda.h"
#include "kernels/decoder/decoder_units_cuda.h"
#include "kernels/device/carver.h"
#include "kernels/device/mma.h"

namespace recon::cuda::fused {

/// 16 bytes: what a thread loads, stores or copies at once.
struct alignas(16) Words {
  uint32_t at[4];
};
struct alignas(16) Floats {
  float at[4];
};

/// Part of a layer's weights, in the order in which lanes hold them as operand B: a lane's load is 16 bytes, what mma
/// takes for 16 inputs and two blocks of 8 outputs, and a warp's 512 in a row, without bank conflicts or address
/// arithmetic. Of layer 0: all outputs for `depth` inputs, [step of 16 inputs][pair of blocks][lane]. Of a hidden
/// layer: all inputs for `outputs` outputs, [group of 64 outputs][step][pair][lane].
template <int Width>
struct Slab {
  static constexpr int depth = Width == 128 ? 128 : 64, depth_steps = depth / 16;
  static constexpr int outputs = Width == 128 ? 128 : 64, groups = outputs / 64;
  static constexpr int in_layer = Width / outputs;
  static constexpr int fragments = Width * depth / 8;
  static_assert(outputs == depth);
  Words weights[fragments];
  float bias[outputs];  ///< what the sums of these outputs start with: 0 in layer 0, whose bias has z, and backward
};

/// The network in the workspace. Inputs of layer 0 are ordered sin, cos of one feature after the other, with zeros up
/// to a multiple of a slab; the columns of z stand apart, as they enter a tile once, through its bias.
template <int Width>
struct PackedNet {
  Slab<Width>* slabs = nullptr;     ///< of layers 0 … L, then, transposed, of L … 1
  Floats* frequencies = nullptr;    ///< x, y, z, 0 of each feature
  float* latent_weights = nullptr;  ///< [Z, Width]
  const float* bias = nullptr;      ///< of layer 0, then
  const float* outputs = nullptr;   ///< W_out [outputs, Width], b_out: both in the parameters
  int layers = 0, first_slabs = 0, first_steps = 0;
  bool residual = false;

  RECON_HD int forward_slabs() const { return first_slabs + layers * Slab<Width>::in_layer; }
};

/// Features padded so that every consumer's tables end in whole blocks.
inline int padded_features(const DecoderShape& s) { return (s.features + 63) / 64 * 64; }

/// How the rows of all slices are cut. A tile never crosses a slice, so rotation and z are constant in it.
struct Tiling {
  int64_t in_slice = 0, rows = 0, count = 0;  ///< tiles of a slice, rows of a tile, all tiles
  int64_t slice_rows = 0;

  Tiling() = default;
  Tiling(const DecoderRows& all, int64_t most_rows)
      : in_slice((all.in_slice + most_rows - 1) / most_rows),
        rows((all.in_slice + in_slice - 1) / in_slice),
        count(all.slices * in_slice),
        slice_rows(all.in_slice) {}
  RECON_HD int64_t slice(int64_t tile) const { return tile / in_slice; }
  RECON_HD int64_t first(int64_t tile) const { return tile % in_slice * rows; }
  RECON_HD int size(int64_t tile) const {
    const int64_t left = slice_rows - first(tile);
    return static_cast<int>(left < rows ? left : rows);
  }
};

/// Activations and gradients of the tiles of a chunk, 16 bits each, written by the training kernel and read by the
/// kernel of the weights' gradients: [layer][tile][row][column], the columns of a row in the order of stored_column.
struct ChunkStore {
  Words* hidden = nullptr;     ///< hₗ, l = 0 … L − 1
  Words* gradients = nullptr;  ///< of the pre-activations, l = 0 … L, times the inverse of the gradients' unit
  uint32_t* masks = nullptr;   ///< where hₗ > 0: [layer][tile][word of a thread]
  int64_t tiles = 0;           ///< of a full chunk
  int tile_rows = 0;           ///< of a full tile
};

/// Which column of a layer stands at place `p` of a stored row. A thread holds columns 2t, 2t + 1 of every 8 and stores
/// four such pairs as one piece of 16 bytes.
RECON_HD inline int stored_column(int p) { return p / 32 * 32 + p % 8 / 2 * 8 + p / 8 % 4 * 2 + p % 2; }

/// Sums over the rows of each tile of a call, for all tiles: what is not a product of two stored matrices.
struct TileSums {
  double* loss = nullptr;  ///< [tile]
  float* sums = nullptr;   ///< [tile][3][pitch]
  int pitch = 0;

  /// Kind 0 and 1: the gradients of an output's weights with its bias's behind; 2: of layer 0's pre-activation.
  RECON_HD float* of(int64_t tile, int64_t kind) const { return sums + (3 * tile + kind) * pitch; }
};

/// Everything the kernels of a training call share.
template <int Width>
struct Training {
  DecodeSlicesBackward args;
  DecoderRows rows;
  PackedNet<Width> net;
  Tiling tiling;
  ChunkStore store;
  TileSums tiles;
  const GradientUnits* units;
};

/// In which order a slab holds its weights: as lanes hold them, see Slab, or, at width 128, in the core matrices of a
/// warpgroup's products (warpgroup.h).
enum class SlabOrder { lanes, core_matrices };

/// Plans the packed network and starts the kernel that fills it (decoder_fused_pack_cuda.cu). `training`: with the
/// transposed half.
template <int Width>
PackedNet<Width> plan_net(Carver& carver, const DecoderNet& net, bool training);
template <class Half, int Width>
void pack_net(Queue& queue, const DecoderNet& net, const PackedNet<Width>& packed, bool training,
              SlabOrder order = SlabOrder::lanes);

/// The gradients of the weights, cut into *units*: pieces of `block` outputs × `block` inputs of a layer, those of
/// layer 0 first. A block of 8 warps, 4 along the outputs and 2 along the inputs, makes one.
constexpr int weight_threads = 256;
struct WeightUnit {
  int layer, row_block, column_block;
};
struct WeightPlace {
  int row, column;  ///< of a unit
};
template <int Width>
struct WeightUnits {
  static constexpr int block = Width < 128 ? Width : 128, side = Width / block;
  static constexpr int blocks = block / 64, columns = block / 16;  ///< of a warp, 16 outputs and 8 inputs each

  static RECON_HD WeightUnit unit(int number, int first_units) {
    if (number < first_units) return {0, number % side, number / side};
    number -= first_units;
    return {1 + number / (side * side), number / side % side, number % side};
  }
  /// Where element `c` of a thread's fragment stands.
  static RECON_HD WeightPlace place(int tall, int wide, int c, int thread) {
    const int warp = thread / 32, lane = thread % 32;
    return {(warp / 2 * blocks + tall) * 16 + lane / 4 + c / 2 * 8,
            (warp % 2 * columns + wide) * 8 + lane % 4 * 2 + c % 2};
  }
};

/// Partial sums of one call: a *slot* is a share of the tiles, summed in the tiles' order; slots are summed in order at
/// the end.
struct WeightPlan {
  float* weights = nullptr;  ///< [slot][unit][fragment][thread][4]
  float* bias = nullptr;     ///< [slot][layer][Width], in the order of stored_column
  int slots = 0, units = 0, first_units = 0;
};
/// decoder_fused_weights_cuda.cu.
template <int Width>
WeightPlan plan_weights(Carver& carver, const DecoderShape& shape, int64_t chunk_tiles, int multiprocessors);
/// Adds the products of tiles [first, first + count) to the partial sums; a call's first chunk starts them.
template <class Half, int Width>
void add_chunk(Queue& queue, const Training<Width>& call, const WeightPlan& plan, int64_t first, int64_t count);

/// All sums into dparameters, dlatents and losses (decoder_fused_finish_cuda.cu).
template <int Width>
void finish(Queue& queue, const Training<Width>& call, const WeightPlan& plan, float* slice_sums);

}  // namespace recon::cuda::fused
