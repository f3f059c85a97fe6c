// Scores of candidates in the ways that a matrix product has to beat. Of R rotations, T shifts, P pixels an image:
// direct: R T P/2 sines and the rest of some 20 operations a pair;
// separable: R T P differences, squares and sums, two operations that are vectors' and not a product's;
// together: the product's 2 R T P flops in blocks of rotations, each for all images.
#include "kernels/pose/variants/pose_variants_cpu.h"

#include <cblas.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/pose/pose_rows_cpu.h"
#include "kernels/runtime/vector_math.h"

namespace recon::cpu {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// What an image is scored against.
struct ImageLists {
  int rotations, shifts;
  const ShiftNode* nodes;
  const float *slices, *image, *ctf;  ///< ctf may be null
  float* scores;

  ImageLists(const PoseScore& a, int64_t b)
      : rotations(a.nodes.rotation_count[a.nodes.shared ? 0 : b]),
        shifts(a.nodes.shift_count[a.nodes.shared ? 0 : b]),
        nodes(a.nodes.shifts.row(a.nodes.shared ? 0 : b)),
        slices(a.slices.row(a.slices_shared ? 0 : b * a.nodes.rotations.cols)),
        image(a.images.row(b)),
        ctf(a.ctf.empty() ? nullptr : a.ctf.row(b)),
        scores(a.scores.row(b)) {
    std::fill(scores, scores + a.scores.cols, infinity);
  }
};

RECON_SIMD float moved_distance(const float* seen, const float* image, const float* kx, const float* ky, int64_t pairs,
                                float tx, float ty) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < pairs; ++j) {
    float s, c;
    sincos_turns(kx[j] * tx + ky[j] * ty, s, c);
    const float a = image[2 * j], b = image[2 * j + 1];
    const float first = seen[2 * j] - (c * a + s * b), second = seen[2 * j + 1] - (c * b - s * a);
    sum += first * first + second * second;
  }
  return sum;
}

RECON_SIMD float distance(const float* a, const float* b, int64_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

RECON_SIMD void weigh(const float* slice, const float* ctf, int64_t count, float* out) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) out[i] = ctf ? ctf[i] * slice[i] : slice[i];
}

/// Sines and cosines, [cosine | sine], of the phases that a shift along one axis makes.
RECON_SIMD void axis_phases(const float* k, int64_t pairs, float shift, float* out) {
#pragma omp simd
  for (int64_t j = 0; j < pairs; ++j) sincos_turns(k[j] * shift, out[pairs + j], out[j]);
}

/// The image moved along both axes, from the phases of each.
RECON_SIMD void move_by_phases(const float* image, const float* x, const float* y, int64_t pairs, float* out) {
#pragma omp simd
  for (int64_t j = 0; j < pairs; ++j) {
    const float c = x[j] * y[j] - x[pairs + j] * y[pairs + j], s = x[pairs + j] * y[j] + x[j] * y[pairs + j];
    const float a = image[2 * j], b = image[2 * j + 1];
    out[2 * j] = c * a + s * b;
    out[2 * j + 1] = c * b - s * a;
  }
}

/// Distinct numbers in order.
std::vector<int32_t> distinct(std::vector<int32_t> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}
int64_t place(const std::vector<int32_t>& sorted, int32_t value) {
  return std::lower_bound(sorted.begin(), sorted.end(), value) - sorted.begin();
}

/// [shifts, P]: the image by all shifts of its list.
std::vector<float> moved_by_axes(const ImageLists& x, const PoseScore& a, const float* kx, const float* ky) {
  const int64_t pixels = a.pixels.size(), pairs = pixels / 2;
  std::vector<int32_t> along[2];
  for (int t = 0; t < x.shifts; ++t) along[0].push_back(x.nodes[t].x), along[1].push_back(x.nodes[t].y);
  std::vector<float> phases[2], moved(static_cast<size_t>(x.shifts * pixels));
  for (int axis = 0; axis < 2; ++axis) {
    along[axis] = distinct(along[axis]);
    phases[axis].resize(along[axis].size() * static_cast<size_t>(pixels));
    for (size_t i = 0; i < along[axis].size(); ++i)
      axis_phases(axis == 0 ? kx : ky, pairs, static_cast<float>(along[axis][i]) * a.shift_unit_px,
                  &phases[axis][i * static_cast<size_t>(pixels)]);
  }
  for (int t = 0; t < x.shifts; ++t)
    move_by_phases(x.image, phases[0].data() + place(along[0], x.nodes[t].x) * pixels,
                   phases[1].data() + place(along[1], x.nodes[t].y) * pixels, pairs, moved.data() + t * pixels);
  return moved;
}

/// Frequencies of the pairs of all pixels: kx, then ky.
std::vector<float> frequencies(const PoseScore& a) {
  std::vector<float> k(static_cast<size_t>(a.pixels.size()));
  pair_frequencies(a.pixels, a.side, k.data(), k.data() + k.size() / 2);
  return k;
}

}  // namespace

void pose_score_direct(Device& device, const PoseScore& a) {
  const std::vector<float> k = frequencies(a);
  const int64_t pixels = a.pixels.size();
  device.threads().run(a.images.rows, [&](int64_t b, int) {
    const ImageLists x(a, b);
    std::vector<float> seen(static_cast<size_t>(pixels));
    for (int r = 0; r < x.rotations; ++r) {
      weigh(x.slices + r * pixels, x.ctf, pixels, seen.data());
      for (int t = 0; t < x.shifts; ++t)
        x.scores[r * a.nodes.shifts.cols + t] = moved_distance(
            seen.data(), x.image, k.data(), k.data() + pixels / 2, pixels / 2,
            static_cast<float>(x.nodes[t].x) * a.shift_unit_px, static_cast<float>(x.nodes[t].y) * a.shift_unit_px);
    }
  });
}

void pose_score_separable(Device& device, const PoseScore& a) {
  const std::vector<float> k = frequencies(a);
  const int64_t pixels = a.pixels.size();
  device.threads().run(a.images.rows, [&](int64_t b, int) {
    const ImageLists x(a, b);
    const std::vector<float> moved = moved_by_axes(x, a, k.data(), k.data() + pixels / 2);
    std::vector<float> seen(static_cast<size_t>(pixels));
    for (int r = 0; r < x.rotations; ++r) {
      weigh(x.slices + r * pixels, x.ctf, pixels, seen.data());
      for (int t = 0; t < x.shifts; ++t)
        x.scores[r * a.nodes.shifts.cols + t] = distance(seen.data(), moved.data() + t * pixels, pixels);
    }
  });
}

void pose_score_together(Device& device, const PoseScore& a) {
  const std::vector<float> k = frequencies(a);
  const int64_t pixels = a.pixels.size(), images = a.images.rows, capacity = a.nodes.shifts.cols,
                rotations = a.nodes.rotation_count[0], shifts = a.nodes.shift_count[0], columns = images * shifts;
  // Of each image: its list moved and weighted, its g² and |X|².
  std::vector<float> moved(static_cast<size_t>(columns * pixels)), power(static_cast<size_t>(images * pixels), 1.0f),
      norms(static_cast<size_t>(images));
  device.threads().run(images, [&](int64_t b, int) {
    const ImageLists x(a, b);
    for (int t = 0; t < shifts; ++t)
      shift_weighted(x.image, x.ctf, k.data(), k.data() + pixels / 2, pixels / 2,
                     static_cast<float>(x.nodes[t].x) * a.shift_unit_px,
                     static_cast<float>(x.nodes[t].y) * a.shift_unit_px, moved.data() + (b * shifts + t) * pixels);
    if (x.ctf) weigh(x.ctf, x.ctf, pixels, power.data() + b * pixels);
    norms[static_cast<size_t>(b)] = static_cast<float>(weighted_norm(x.image, nullptr, pixels));
  });
  constexpr int64_t block = 64;
  device.threads().run((rotations + block - 1) / block, [&](int64_t n, int worker) {
    const int64_t first = n * block, rows = std::min(block, rotations - first);
    float *products = device.scratch(worker, static_cast<size_t>(block * (columns + images + pixels))),
          *seen = products + block * columns, *squares = seen + block * images;
    const auto multiply = [&](float factor, const float* left, const std::vector<float>& right, int64_t count,
                              float* out) {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<int>(rows), static_cast<int>(count),
                  static_cast<int>(pixels), factor, left, static_cast<int>(pixels), right.data(),
                  static_cast<int>(pixels), 0, out, static_cast<int>(count));
    };
    const float* slices = a.slices.row(first);
    for (int64_t r = 0; r < rows; ++r) weigh(slices + r * pixels, slices + r * pixels, pixels, squares + r * pixels);
    multiply(-2, slices, moved, columns, products);
    multiply(1, squares, power, images, seen);
    for (int64_t b = 0; b < images; ++b)
      for (int64_t r = 0; r < rows; ++r) {
        const float offset = seen[r * images + b] + norms[static_cast<size_t>(b)];
        const float* from = products + r * columns + b * shifts;
        float* to = a.scores.row(b) + (first + r) * capacity;
        for (int64_t t = 0; t < shifts; ++t) to[t] = from[t] + offset;
      }
  });
}

}  // namespace recon::cpu
