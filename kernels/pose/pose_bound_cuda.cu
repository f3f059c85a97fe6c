// The upper bound of Algorithm 1, a block an image: one slice over all pixels. Floor: slice, image and CTF read once,
// 12 bytes a pixel, which one block reads at what a multiprocessor can draw: some 2 µs at 12,852 pixels, however many
// images there are up to the number of multiprocessors. Sums are doubles, one addition a pair.
#include "kernels/cuda.h"
#include "kernels/device/pointwise.h"
#include "kernels/pose/pose.h"
#include "kernels/runtime/vector_math.h"

namespace recon::cuda {
namespace {

template <int Threads>
RECON_KERNEL(Threads)
pose_bound_kernel(PoseBound a) {
  auto& scratch = shared_memory<double[Threads / 32]>();
  const int64_t b = blockIdx.x, pixels = a.pixels.size();
  const float *slice = a.slices.row(b), *image = a.images.row(b), *ctf = a.ctf.empty() ? nullptr : a.ctf.row(b);
  const float step = 1.0f / static_cast<float>(a.side), tx = a.shifts(b, 0), ty = a.shifts(b, 1);
  double sum = 0;
  for (int64_t p = 2 * thread(); p < pixels; p += 2 * Threads) {
    float sine, cosine;
    sincos_turns(static_cast<float>(a.pixels[p].x) * step * tx + static_cast<float>(a.pixels[p].y) * step * ty, sine,
                 cosine);
    const float first = cosine * image[p] + sine * image[p + 1], second = cosine * image[p + 1] - sine * image[p];
    const float e = (ctf ? ctf[p] : 1.0f) * slice[p] - first, f = (ctf ? ctf[p + 1] : 1.0f) * slice[p + 1] - second;
    sum += double(e * e + f * f);
  }
  sum = block_sum<Threads>(sum, scratch);
  if (thread() == 0) a.bound[b] = static_cast<float>(sum);
}

template <int Threads>
void bound(Device& device, const PoseBound& a) {
  launch(queue_of(device), "pose_bound",
         {.blocks = a.images.rows, .threads = Threads, .shared_bytes = sizeof(double[Threads / 32])},
         pose_bound_kernel<Threads>, a);
}

}  // namespace

void pose_bound(Device& device, const PoseBound& a) {
  if (a.pixels.size() <= 1024)
    bound<128>(device, a);
  else
    bound<512>(device, a);
}

}  // namespace recon::cuda
