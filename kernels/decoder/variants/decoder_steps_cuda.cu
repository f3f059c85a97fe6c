// Training steps in one kernel that stays on the device: pack, tiles, weights' gradients, sums and Adam of a step, with
// a barrier of the grid after each, by the bodies of the product's kernels: the same sums in the same order.
//
// Floor of a step of 5 images at D = 64, 10 × 128 (8,020 rows, 130 tiles of 64 rows, one a multiprocessor of an H100):
// the weights stream through every tile, 22 slabs of 32 KiB, 95 MB from the second-level cache: 17 µs. Activations and
// gradients are read for the weights' gradients, 64 MB: 12 µs. Partial sums 17 MB, Adam 8 MB, packing 3 MB: 5 µs. (The
// products alone: 9 µs at the card's peak.) Five barriers, each an atomic addition and a poll between two barriers of
// the block, so a few trips to the second-level cache: about a microsecond. Kernel by kernel the step has seven
// kernels, with about a microsecond from one to the next inside of a graph; on a stream the host's time for each shows
// where it is longer than their work.
//
// A block has the 128 threads of a tile in every phase, half of what makes a unit of the weights' gradients. So units
// come in two parts, and inputs are read twice (21 MB, 4 µs); all sums of a unit in 128 threads spill. A phase is a
// function that is not inlined: else the compiler keeps what does not change from step to step in registers through all
// phases, and spills. Considered: Adam where the sums of a weight end, which saves a barrier and takes four times the
// sectors, as neighbours in a fragment are not neighbours in the parameters.
#include <algorithm>
#include <type_traits>

#include "kernels/adam/adam_cuda.h"
#include "kernels/decoder/decoder_fused_finish_cuda.h"
#include "kernels/decoder/decoder_fused_pack_cuda.h"
#include "kernels/decoder/decoder_fused_training_cuda.h"
#include "kernels/decoder/decoder_fused_weights_cuda.h"
#include "kernels/decoder/decoder_paths_cuda.h"
#include "kernels/decoder/variants/decoder_variants_cuda.h"
#include "kernels/device/grid_barrier.h"

namespace recon::cuda::fused {
namespace {

/// What the phases of a step need; in shared memory with the rotations, targets and losses of the step.
struct Steps {
  int64_t count = 0;
  Training<128> call;
  WeightPlan weights;
  int slabs = 0, features = 0;
  Adam adam;
  Decay decay;
  Cut cut;
};

template <class T>
struct StepShared {
  union {
    typename T::Shared tile;
    WeightBlock<128>::Shared weights;
  } phase;
  Steps steps;
};

RECON_DEVICE void advance(Steps& steps) {
  const int64_t slices = steps.call.rows.slices;
  DecodeSlicesBackward& a = steps.call.args;
  steps.call.rows.rotations.data += slices * 9;
  a.target.data += slices * a.target.cols;
  a.loss.data += slices;
  ++steps.adam.step.value;
}

/// Calls body(number) for this block's share of `count` pieces of work, with a barrier before each.
template <class Body>
RECON_DEVICE void for_each_piece(int64_t count, const Body& body) {
  RECON_NO_UNROLL
  for (int64_t number = blockIdx.x; number < count; number += gridDim.x) {
    __syncthreads();
    body(static_cast<int>(number));
  }
}

template <class T>
RECON_PHASE void pack_phase() {
  const Steps& steps = shared_memory<StepShared<T>>().steps;
  pack_pieces<typename T::Half, 128>(steps.call.args.forward.net, steps.call.net, steps.slabs, steps.features,
                                     SlabOrder::lanes);
}

template <class T>
RECON_PHASE void tiles_phase(int first, int count) {
  const Training<128>& call = shared_memory<StepShared<T>>().steps.call;
  for_each_piece(count, [&](int place) { train_tile<T>(call, first + place, place); });
}

template <class T>
RECON_PHASE void weights_phase(int first, int count) {
  constexpr int parts = weight_threads / T::threads;
  const Steps& steps = shared_memory<StepShared<T>>().steps;
  const WeightPlan& plan = steps.weights;
  for_each_piece(int64_t{parts} * plan.units * plan.slots, [&](int piece) {
    const int unit = piece / parts;
    add_unit<typename T::Half, 128, T::threads>(steps.call, plan, unit % plan.units, piece % parts, unit / plan.units,
                                                plan.slots, first, count);
  });
}

template <class T>
RECON_PHASE void sums_phase() {
  const Steps& steps = shared_memory<StepShared<T>>().steps;
  const Training<128>& call = steps.call;
  const int64_t outputs = (call.rows.outputs * 129 + sum_columns - 1) / sum_columns;
  for_each_piece(outputs + call.rows.slices, [&](int piece) {
    piece < outputs ? add_outputs<128, T::threads>(call, int64_t{piece} * sum_columns)
                    : add_loss<128, T::threads>(call, piece - outputs);
  });
  add_weights<128>(call, steps.weights);
}

template <class T>
RECON_PHASE void adam_phase() {
  const Steps& steps = shared_memory<StepShared<T>>().steps;
  adam_elements(steps.adam, steps.decay, steps.cut);
}

template <class T>
RECON_KERNEL(T::threads)
decoder_steps_kernel(Steps all) {
  Steps& steps = shared_memory<StepShared<T>>().steps;
  if (thread() == 0) steps = all;
  __syncthreads();
  const int tiles = static_cast<int>(all.call.tiling.count), in_chunk = static_cast<int>(all.call.store.tiles);
  RECON_NO_UNROLL
  for (int64_t s = 0; s < all.count; ++s) {
    pack_phase<T>();
    sync_grid();
    RECON_NO_UNROLL
    for (int first = 0; first < tiles; first += in_chunk) {
      const int now = std::min(in_chunk, tiles - first);
      tiles_phase<T>(first, now);
      sync_grid();
      weights_phase<T>(first, now);
      sync_grid();
    }
    sums_phase<T>();
    sync_grid();
    adam_phase<T>();
    sync_grid();
    if (thread() == 0) advance(steps);
    __syncthreads();
  }
}

template <class T>
void steps_with(Device& device, const DecoderSteps& a) {
  Queue& queue = queue_of(device);
  const DecodeSlicesBackward gradients = gradients_of_step(a, 0);
  Carver count(nullptr);
  plan_training<T>(count, queue, gradients);
  Carver carver(device.workspace(count.floats()));
  const TrainingPlan<T> plan = plan_training<T>(carver, queue, gradients);
  const Adam& m = a.adam;
  const Steps steps{.count = a.steps,
                    .call = plan.call,
                    .weights = plan.weights,
                    .slabs = slab_count(plan.call.net, true),
                    .features = padded_features(a.net.shape),
                    .adam = m,
                    .decay = Decay(m),
                    .cut = cut_of(m.parameters.size(), m.parameters.data, m.gradients.data, m.first_moments.data,
                                  m.second_moments.data)};
  launch_cooperative(queue, "decoder_steps",
                     {.blocks = queue.multiprocessors(), .threads = T::threads, .shared_bytes = sizeof(StepShared<T>)},
                     decoder_steps_kernel<T>, steps);
}

}  // namespace

bool supports_steps(const DecoderSteps& a) {
  return supports(a.net) && a.net.shape.width == 128 && a.net.precision == Precision::bf16 && a.net.shape.latent == 0;
}

void decoder_steps_one_kernel(Device& device, const DecoderSteps& a) {
  expect(supports_steps(a), "decoder: steps in one kernel are of width 128, in bf16 and without z");
  with_tile(a.net, DecoderRows(gradients_of_step(a, 0).forward), queue_of(device).multiprocessors(), [&]<class T>(T) {
    if constexpr (T::width == 128 && std::is_same_v<typename T::Half, bf16>) steps_with<T>(device, a);
  });
}

}  // namespace recon::cuda::fused
