// The positional encoding by itself, a row a thread, frequencies from shared memory.
//
// Limit of the fast way: the special function unit, 16 results a clock and multiprocessor, so 4 clocks for the sines
// and cosines of a warp; of the other way its 25 operations on the four schedulers, 6 clocks. A tensor core needs 16
// for what the first layer makes of them at width 128, so either can run beside it. From tables of x and y, the
// separable way, a warp would load 512 bytes, 4 clocks of shared memory, beside what products load there: nothing is
// won.
#include "kernels/decoder/variants/encoding_variants.h"
#include "kernels/device/sincos.h"

namespace recon::cuda {
namespace {

constexpr int threads = 128, chunk = 64;

struct Chunk {
  float x[chunk], y[chunk], z[chunk], sine[chunk], cosine[chunk];
};

template <bool Fast>
RECON_KERNEL(threads)
encoding_sum_kernel(EncodingSum a) {
  auto& shared = shared_memory<Chunk>();
  const int64_t count = a.frequencies.cols, slice = blockIdx.x, at = int64_t{blockIdx.y} * threads + thread();
  const float *r = a.rotations.row(slice), step = 1.0f / static_cast<float>(a.side);
  const Pixel pixel = a.pixels[at < a.pixels.size() ? at : 0];
  const float x = static_cast<float>(pixel.x) * step, y = static_cast<float>(pixel.y) * step;
  const float kx = r[0] * x + r[3] * y, ky = r[1] * x + r[4] * y, kz = r[2] * x + r[5] * y;
  float sum = 0;
  for (int64_t first = 0; first < count; first += chunk) {
    const int here = static_cast<int>(count - first < chunk ? count - first : chunk);
    __syncthreads();
    for (int i = thread(); i < here; i += threads) {
      shared.x[i] = a.frequencies(0, first + i), shared.y[i] = a.frequencies(1, first + i);
      shared.z[i] = a.frequencies(2, first + i);
      shared.sine[i] = a.weights[first + i], shared.cosine[i] = a.weights[count + first + i];
    }
    __syncthreads();
    for (int i = 0; i < here; ++i) {
      const float turns = shared.x[i] * kx + shared.y[i] * ky + shared.z[i] * kz;
      float sine, cosine;
      if constexpr (Fast)
        sincos_turns_fast(turns, sine, cosine);
      else
        sincos_turns(turns, sine, cosine);
      sum += shared.sine[i] * sine + shared.cosine[i] * cosine;
    }
  }
  if (at < a.pixels.size()) a.values(slice, at) = sum;
}

template <bool Fast>
void encoding_sum(Device& device, const EncodingSum& a) {
  launch(queue_of(device), "encoding_sum",
         {.blocks = a.rotations.rows,
          .threads = threads,
          .shared_bytes = sizeof(Chunk),
          .blocks_y = (a.pixels.size() + threads - 1) / threads},
         encoding_sum_kernel<Fast>, a);
}

}  // namespace

void encoding_sum_turns(Device& device, const EncodingSum& a) { encoding_sum<false>(device, a); }
void encoding_sum_fast(Device& device, const EncodingSum& a) { encoding_sum<true>(device, a); }

}  // namespace recon::cuda
