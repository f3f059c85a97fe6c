// Pointwise image operations on the GPU. All but the CTF are bound by memory; their floors are the arrays they name,
// read and written once. Threads run along pixels and stride over images, so that what belongs to a pixel is made once,
// and pairs of pixels (k, −k) are moved by 8-byte accesses where rows allow them.
#include "kernels/image/image.h"

#include "kernels/cuda.h"
#include "kernels/device/columns.h"
#include "kernels/device/pointwise.h"
#include "kernels/image/ctf_polynomial.h"

namespace recon::cuda {
namespace {

bool pairs_aligned(const float* first, int64_t stride) { return misplaced(first, 2) == 0 && stride % 2 == 0; }

RECON_DEVICE int64_t grid_column() { return grid_thread(); }

// Reads and writes the 43 % of the pixels outside `inner` only.
RECON_KERNEL(256) window_images_kernel(WindowImages a) {
  const int64_t pixel = grid_column();
  if (pixel >= a.images.cols) return;
  const auto half = static_cast<float>(a.side / 2);
  const float x = static_cast<float>(pixel % a.side) - half, y = static_cast<float>(pixel / a.side) - half;
  const float radius = std::sqrt(x * x + y * y) / half, slope = (a.outer - radius) / (a.outer - a.inner);
  if (slope >= 1) return;
  const float weight = slope > 0 ? slope : 0.0f;
  for (int64_t n = first_row(); n < a.images.rows; n += row_step()) a.images(n, pixel) *= weight;
}

// Writes are whole lines; reads follow the ring order and take a 32-byte sector a float from L2, where an image stays.
RECON_KERNEL(256) gather_pixels_kernel(GatherPixels a) {
  const int64_t p = grid_column();
  if (p >= a.out.cols) return;
  const int half = a.side / 2;
  const Pixel pixel = a.pixels[p];
  const int x = pixel.x == half ? 0 : pixel.x + half, y = pixel.y == half ? 0 : pixel.y + half;
  const int64_t at = int64_t{y} * a.side + x;
  for (int64_t n = first_row(); n < a.out.rows; n += row_step()) a.out(n, p) = a.scale * a.hartley(n, at);
}

// 8 bytes a pixel and one polynomial sine a pair: some 30 operations for 16 bytes, below the ratio of any device.
RECON_KERNEL(256) shift_images_kernel(ShiftImages a, bool aligned) {
  const int64_t pair = grid_column();
  if (2 * pair >= a.out.cols) return;
  const auto x = static_cast<float>(a.pixels[2 * pair].x), y = static_cast<float>(a.pixels[2 * pair].y);
  const auto side = static_cast<float>(a.side);
  for (int64_t row = first_row(); row < a.out.rows; row += row_step()) {
    const Lanes<2> in = load_pair(a.images.row(a.source.empty() ? row : a.source[row]) + 2 * pair, aligned);
    Lanes<2> out = in;
    if (!a.shifts.empty()) {
      float sine, cosine;
      sincos_turns(x * (a.shifts(row, 0) / side) + y * (a.shifts(row, 1) / side), sine, cosine);
      out = {{cosine * in.v[0] + sine * in.v[1], cosine * in.v[1] - sine * in.v[0]}};
    }
    store_pair(a.out.row(row) + 2 * pair, out, aligned);
  }
}

/// The polynomials of the images of a block.
constexpr int ctf_rows = 8;
struct CtfBlock {
  CtfPolynomial row[ctf_rows];
};

// 4 bytes written a pixel; a pair takes some 14 operations in doubles, which is a quarter of what an H100 can do in the
// time of its two floats (on devices with few double units this is what limits it). The polynomial of an image costs
// two microseconds of one thread, so a block makes those of 8 images at once, then its threads hold a pair each.
RECON_KERNEL(256) evaluate_ctf_kernel(EvaluateCtf a, double frequency_step, bool aligned) {
  auto& block = shared_memory<CtfBlock>();
  const int64_t first = int64_t{blockIdx.y} * ctf_rows, left = a.out.rows - first;
  const int count = static_cast<int>(left < ctf_rows ? left : ctf_rows);
  if (thread() < count) {
    const int64_t row = first + thread();
    block.row[thread()] = ctf_polynomial(a.parameters[a.source.empty() ? row : a.source[row]], frequency_step);
  }
  __syncthreads();
  const int64_t pair = grid_column();
  if (2 * pair >= a.out.cols) return;
  const auto x = static_cast<float>(a.pixels[2 * pair].x), y = static_cast<float>(a.pixels[2 * pair].y);
  for (int n = 0; n < count; ++n) {
    const CtfPolynomial& p = block.row[n];
    float value = ctf_at(p, x, y);
    if (p.decay != 0) value *= std::exp(p.decay * (x * x + y * y));
    store_pair(a.out.row(first + n) + 2 * pair, {{value, value}}, aligned);
  }
}

// 12 bytes a pixel.
RECON_KERNEL(256) phase_flip_kernel(PhaseFlip a, Cut cut) {
  for_each_cut(cut, [&](auto width, int64_t at) {
    constexpr int n = decltype(width)::value;
    const auto in = load<n>(a.in.data + at), ctf = load<n>(a.ctf.data + at);
    Lanes<n> out;
    RECON_UNROLL
    for (int j = 0; j < n; ++j) out.v[j] = ctf.v[j] > 0 ? in.v[j] : (ctf.v[j] < 0 ? -in.v[j] : 0.0f);
    store(a.out.data + at, out);
  });
}

// 8 bytes a pixel.
RECON_KERNEL(256) scale_pixels_kernel(ScalePixels a) {
  const int64_t p = grid_column();
  if (p >= a.out.cols) return;
  const float factor = a.factors[p];
  for (int64_t b = first_row(); b < a.out.rows; b += row_step())
    a.out(b, p) = a.in.empty() ? factor : a.in(b, p) * factor;
}

// 12 bytes a pixel and image; blocks enough only from some 4,000 pixels on.
RECON_KERNEL(column_threads) residual_power_kernel(ResidualPower a) {
  const auto load = [&](int64_t at) { return (a.ctf.empty() ? 1.0f : a.ctf[at]) * a.prediction[at] - a.target[at]; };
  const auto square = [](int64_t, float e) { return double(e) * e; };
  const double sum = column_sum<double>(a.target.rows, a.target.cols, load, square);
  if (warp_of(thread()) == 0 && column() < a.target.cols) a.sums[column()] += sum;
}

}  // namespace

void window_images(Device& device, const WindowImages& a) {
  launch(queue_of(device), "window_images", over_matrix(a.images.rows, a.images.cols), window_images_kernel, a);
}

void gather_pixels(Device& device, const GatherPixels& a) {
  launch(queue_of(device), "gather_pixels", over_matrix(a.out.rows, a.out.cols), gather_pixels_kernel, a);
}

void shift_images(Device& device, const ShiftImages& a) {
  const bool aligned = pairs_aligned(a.images.data, a.images.cols) && pairs_aligned(a.out.data, a.out.cols);
  launch(queue_of(device), "shift_images", over_matrix(a.out.rows, a.out.cols / 2), shift_images_kernel, a, aligned);
}

void evaluate_ctf(Device& device, const EvaluateCtf& a) {
  const double step = 1.0 / (double(a.side) * a.pixel_size_angstrom);
  Shape shape = over_matrix(1, a.out.cols / 2);
  shape.shared_bytes = sizeof(CtfBlock);
  // The rows of a launch are bounded (blockIdx.y is): one launch but for more than half a million images.
  const int64_t most = int64_t{ctf_rows} << 15;
  for (int64_t first = 0; first < a.out.rows; first += most) {
    EvaluateCtf part = a;
    part.out = a.out.slice_rows(first, std::min(most, a.out.rows - first));
    if (!a.source.empty())
      part.source = {a.source.data + first, 1, part.out.rows};
    else
      part.parameters = {a.parameters.data + first, 1, part.out.rows};
    shape.blocks_y = (part.out.rows + ctf_rows - 1) / ctf_rows;
    launch(queue_of(device), "evaluate_ctf", shape, evaluate_ctf_kernel, part, step,
           pairs_aligned(a.out.data, a.out.cols));
  }
}

void phase_flip(Device& device, const PhaseFlip& a) {
  const Cut cut = cut_of(a.out.size(), a.out.data, a.in.data, a.ctf.data);
  launch(queue_of(device), "phase_flip", cut.shape(), phase_flip_kernel, a, cut);
}

void scale_pixels(Device& device, const ScalePixels& a) {
  launch(queue_of(device), "scale_pixels", over_matrix(a.out.rows, a.out.cols), scale_pixels_kernel, a);
}

void residual_power(Device& device, const ResidualPower& a) {
  launch(queue_of(device), "residual_power", over_columns<double>(a.target.cols), residual_power_kernel, a);
}

}  // namespace recon::cuda
