// Hartley transforms on the GPU, through complex transforms of the vendor's library. The side D is even, so the origin
// moves to the centre in both domains by signs alone: with coordinates counted from the corner and σ = (−1)^(x + y (+
// z)),
//   F(k) = σ(k) Σ_n σ(n) f(n) exp(−2πi k·n / D)   in two dimensions, and (−1)^(D/2) times that in three.
// No index moves, so every access is a whole line, and input and output may be the same memory.
//
// Floor: 8 bytes a number to and from device memory. Images are done in batches of 16 MiB of complex numbers, which the
// 40 to 50 MB of a second-level cache keep between the passes (4 + 8, then twice or more 16, then 8 + 4 bytes a
// number); a volume above 128³ goes through device memory in each pass. Real transforms would halve the complex part,
// but leave half a spectrum, which the last pass would have to mirror.
#include "kernels/fourier/fourier.h"

#include "kernels/cuda.h"
#include "kernels/device/pointwise.h"

namespace recon::cuda {
namespace {

constexpr int64_t batch_numbers = int64_t{16 << 20} / (2 * sizeof(float));

/// Images, or a volume, one number after the other.
struct Centred {
  int64_t numbers = 0;
  int side = 0, dimensions = 2;
  bool aligned = false;  ///< pairs of the real array

  /// σ of a number with even x; its neighbour has the opposite one.
  RECON_HD float sign(int64_t number) const {
    const int64_t line = number / side, plane = dimensions == 3 ? line / side : 0;
    return (line + plane) & 1 ? -1.0f : 1.0f;
  }
};

RECON_KERNEL(256) spread_kernel(const float* real, float* complex, Centred shape) {
  for (int64_t i = 2 * grid_thread(); i < shape.numbers; i += 2 * grid_threads()) {
    const float sign = shape.sign(i);
    const Lanes<2> in = load_pair(real + i, shape.aligned);
    store(complex + 2 * i, Lanes<4>{{sign * in.v[0], 0, -sign * in.v[1], 0}});
  }
}

/// H = Re F − Im F.
RECON_KERNEL(256) collect_kernel(const float* complex, float* real, Centred shape) {
  const float corner = shape.dimensions == 3 && shape.side / 2 % 2 == 1 ? -1.0f : 1.0f;
  for (int64_t i = 2 * grid_thread(); i < shape.numbers; i += 2 * grid_threads()) {
    const float sign = corner * shape.sign(i);
    const auto f = load<4>(complex + 2 * i);
    store_pair(real + i, {{sign * (f.v[0] - f.v[1]), sign * (f.v[3] - f.v[2])}}, shape.aligned);
  }
}

/// Transforms `batch` images, of which the first `shape.numbers` are given and wanted.
void transform(Queue& queue, const float* in, float* out, float* complex, Centred shape, int64_t batch) {
  shape.aligned = misplaced(in, 2) == 0 && misplaced(out, 2) == 0;
  const Shape threads = covering(shape.numbers / 2);
  launch(queue, "hartley: spread", threads, spread_kernel, in, complex, shape);
  queue.fft(complex, shape.side, shape.dimensions, batch);
  launch(queue, "hartley: collect", threads, collect_kernel, complex, out, shape);
}

}  // namespace

// All batches have one size, so that the library makes one plan: the last one may transform again what another left.
void hartley2d(Device& device, const Hartley2d& a) {
  const int64_t count = a.images.rows, pixels = a.images.cols;
  if (count == 0) return;
  const int64_t most = std::max<int64_t>(1, batch_numbers / pixels), batches = (count + most - 1) / most;
  const int64_t batch = (count + batches - 1) / batches;
  float* complex = device.workspace(static_cast<size_t>(2 * batch * pixels));
  for (int64_t first = 0; first < count; first += batch)
    transform(queue_of(device), a.images.row(first), a.hartley.row(first), complex,
              {.numbers = std::min(batch, count - first) * pixels, .side = a.side, .dimensions = 2}, batch);
}

void hartley3d(Device& device, const Hartley3d& a) {
  float* complex = device.workspace(static_cast<size_t>(2 * a.volume.size()));
  transform(queue_of(device), a.volume.data, a.hartley.data, complex,
            {.numbers = a.volume.size(), .side = a.side, .dimensions = 3}, 1);
}

}  // namespace recon::cuda
