// The fused decoder forward with the asynchronous products of sm_90a (wgmma): 128 rows a block of one warpgroup,
// activations in registers.
//
// A multiprocessor holds two blocks: while the tensor cores multiply for one, the other rounds its sums into the next
// operands. That hides as long as rounding (about 500 clocks for 128 rows, the four schedulers alone) is shorter than a
// layer's products (128 × 128 × 128: 1,024 clocks). Rounding the first 64 rows under the products of the other 64 would
// need no second block, but the compiler (nvcc 13) makes all products wait when an operand in registers is written
// while any of them runs.
//
// Limit: second-level cache. Floor of a row by tensor cores: 2 · multiply_adds / 989 Tflop/s, 0.44 ns at 10 × 128,
// F = 192 (mma.sync: 0.70). But a slab of 32 KiB serves 128 rows: 32 bytes a clock at that speed, where the cache gives
// about 24, so 0.58 ns, a slice of 6,426 pairs 3.8 µs. Slabs shared by two warpgroups that do not wait for each other,
// or by a cluster, would halve it. Shared memory: a product of 64 × 128 × 16 reads 4 KiB in 64 clocks, half of what it
// gives. Registers: 64 of operands and 128 of sums a thread.
#include "kernels/decoder/decoder_fused_tile_cuda.h"
#include "kernels/decoder/variants/decoder_variants_cuda.h"
#include "kernels/device/warpgroup.h"

namespace recon::cuda::fused {
namespace {

constexpr int chains = 2, ring_slabs = 3;

template <class Half>
struct WarpgroupTile : Tile<Half, 128, 16 * chains> {
  static constexpr int resident = 2;
  struct Shared {
    typename WarpgroupTile::Slab ring[ring_slabs];
    float bias[128];
    float outputs[2][128], output_bias[2];
  };
};

/// As SlabStream, but two slabs ahead, and visible to products.
template <class T>
class WarpgroupStream {
 public:
  RECON_DEVICE WarpgroupStream(typename T::Shared& shared, const typename T::Slab* from, int count)
      : ring_(shared.ring), from_(from), count_(count) {
    copy();
    copy();
  }
  /// The next slab, for all threads of the block, whose products are done.
  RECON_DEVICE const typename T::Slab& take() {
    wait_copies<1>();
    fence_shared();
    __syncthreads();
    const typename T::Slab& slab = ring_[place_];
    place_ = (place_ + 1) % ring_slabs;
    copy();
    return slab;
  }

 private:
  RECON_DEVICE void copy() {
    constexpr int pieces = sizeof(typename T::Slab) / sizeof(Words);
    const auto* from = reinterpret_cast<const Words*>(from_ + next_);
    auto* to = reinterpret_cast<Words*>(&ring_[free_]);
    for (int i = thread(); i < pieces; i += T::threads) copy_async_16(to + i, from + i);
    commit_copies();
    free_ = (free_ + 1) % ring_slabs;
    next_ = next_ + 1 == count_ ? 0 : next_ + 1;
  }

  typename T::Slab* ring_;
  const typename T::Slab* from_;
  int count_, next_ = 0, place_ = 0, free_ = 0;
};

/// Half of a slab of layer 0, 32 features: step s of its operand, as in first_layer.
template <class T>
RECON_DEVICE void encode(const Floats* frequencies, const typename T::template PerRow<RowPoint>& points,
                         typename T::Operand& operand) {
  RECON_UNROLL
  for (int step = 0; step < T::steps / 2; ++step) {
    RECON_UNROLL
    for (int part = 0; part < 2; ++part) {
      const Floats f = frequencies[8 * step + 4 * part + quad()];
      RECON_UNROLL
      for (int chain = 0; chain < chains; ++chain) {
        RECON_UNROLL
        for (int half = 0; half < 2; ++half) {
          const RowPoint& k = points.at[chain][half];
          float sine, cosine;
          sincos_turns_fast(f.at[0] * k.x + f.at[1] * k.y + f.at[2] * k.z, sine, cosine);
          operand.at[chain][step][2 * part + half] = pack<typename T::Half>(sine, cosine);
        }
      }
    }
  }
}

/// Bias under all rows, with the operand above it when residual.
template <class T>
RECON_DEVICE void start_sums(const float* bias, bool residual, typename T::Operand& operand, typename T::Sums& sums) {
  using Half = typename T::Half;
  start<T, T::columns>(sums, bias);
  if (residual)
    for_each_word<T, T::columns>(operand, 0, [&](int i, int j, int half, uint32_t word) {
      sums.at[i][j][2 * half] += low_of<Half>(word);
      sums.at[i][j][2 * half + 1] += high_of<Half>(word);
    });
}

/// sums += operand's first steps · the slab's rows from `weights` on, done.
template <class T, int Steps>
RECON_DEVICE void multiply_steps(WarpgroupProducts& products, const Words* weights, const typename T::Operand& operand,
                                 typename T::Sums& sums) {
  products.fence();
  RECON_UNROLL
  for (int step = 0; step < Steps; ++step) {
    RECON_UNROLL
    for (int chain = 0; chain < chains; ++chain)
      products.template multiply<typename T::Half>(sums.at[chain], operand.at[chain][step], weights + 256 * step);
  }
  products.commit();
  products.template wait<0>();
}

template <class T>
RECON_KERNEL(T::threads)
decoder_warpgroup_kernel(PackedNet<128> net, DecoderRows rows, Tiling tiling, View<float> values) {
  auto& shared = shared_memory<typename T::Shared>();
  int64_t tile = next_tile(rows, tiling, blockIdx.x);
  if (tile >= tiling.count) return;
  WarpgroupStream<T> stream(shared, net.slabs, net.forward_slabs());
  WarpgroupProducts products;
  load_outputs<T>(shared, net, rows.outputs);
  for (; tile < tiling.count; tile = next_tile(rows, tiling, tile + gridDim.x)) {
    load_bias<T>(shared, net, rows, tiling.slice(tile));
    typename T::Operand h;
    typename T::Sums sums;
    typename T::template PerRow<RowPoint> points;
    load_points<T>(rows, tiling, tile, points);
    start_sums<T>(shared.bias, false, h, sums);
    RECON_NO_UNROLL
    for (int part = 0; part < net.first_slabs; ++part) {
      const typename T::Slab& slab = stream.take();
      RECON_NO_UNROLL
      for (int half = 0; half < 2; ++half) {
        encode<T>(net.frequencies + 64 * part + 32 * half, points, h);
        multiply_steps<T, T::steps / 2>(products, slab.weights + 1024 * half, h, sums);
      }
    }
    RECON_NO_UNROLL
    for (int layer = 0; layer < net.layers; ++layer) {
      round_sums<T, true, T::columns>(sums, 0, h);
      const typename T::Slab& slab = stream.take();
      start_sums<T>(slab.bias, net.residual, h, sums);
      multiply_steps<T, T::steps>(products, slab.weights, h, sums);
    }
    round_sums<T, true, T::columns>(sums, 0, h);
    typename T::template PerRow<typename T::Pair> out;
    output_layer<T>(shared, h, rows.outputs, out);
    store_outputs<T>(rows, tiling, tile, out, values);
  }
  wait_copies<0>();
}

template <class Half>
void decode_with(Device& device, const DecoderNet& net, const DecoderRows& rows, View<float> values) {
  using T = WarpgroupTile<Half>;
  Queue& queue = queue_of(device);
  Carver count(nullptr);
  plan_net<128>(count, net, false);
  Carver carver(device.workspace(count.floats()));
  const PackedNet<128> packed = plan_net<128>(carver, net, false);
  pack_net<Half, 128>(queue, net, packed, false, SlabOrder::core_matrices);
  const Tiling tiling(rows, T::rows);
  launch(queue, "decoder_warpgroup",
         {.blocks = std::min<int64_t>(tiling.count, T::resident * queue.multiprocessors()),
          .threads = T::threads,
          .shared_bytes = sizeof(typename T::Shared)},
         decoder_warpgroup_kernel<T>, packed, rows, tiling, values);
}

}  // namespace

bool supports_warpgroups(Device& device, const DecoderNet& net) {
  return has_warpgroup_products(queue_of(device).generation()) && sixteen_bits(net.precision) && net.shape.width == 128;
}

void decode_warpgroups(Device& device, const DecoderNet& net, const DecoderRows& rows, View<float> values) {
  expect(supports_warpgroups(device, net), "decoder: this network or device has no products of warpgroups");
  (net.precision == Precision::fp16 ? decode_with<fp16> : decode_with<bf16>)(device, net, rows, values);
}

}  // namespace recon::cuda::fused
