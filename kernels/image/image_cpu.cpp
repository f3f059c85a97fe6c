// Pointwise image operations on the CPU. Inner loops run over pairs of pixels (k, −k), which share a phase or a CTF
// value, and hold one polynomial sine a pair: no table, no gather, so they vectorise.
#include "kernels/image/image.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu.h"
#include "kernels/image/ctf_polynomial.h"
#include "kernels/runtime/vector_math.h"

namespace recon::cpu {
namespace {

constexpr int64_t images_per_task = 4;

/// Frequencies of the first pixel of each pair, as floats [pairs] x and [pairs] y.
RECON_SIMD void unpack_pairs(const Pixel* pixels, int64_t pairs, float* x, float* y) {
  for (int64_t j = 0; j < pairs; ++j) {
    x[j] = pixels[2 * j].x;
    y[j] = pixels[2 * j].y;
  }
}

/// out(k) = cos H(k) + sin H(−k) for a pair; k → −k turns the sign of the sine. Steps are in turns a frequency unit.
RECON_SIMD void shift_pairs(const float* __restrict in, const float* __restrict x, const float* __restrict y,
                            float step_x, float step_y, int64_t pairs, float* __restrict out) {
#pragma omp simd
  for (int64_t j = 0; j < pairs; ++j) {
    float sine, cosine;
    sincos_turns(x[j] * step_x + y[j] * step_y, sine, cosine);
    const float here = in[2 * j], opposite = in[2 * j + 1];
    out[2 * j] = cosine * here + sine * opposite;
    out[2 * j + 1] = cosine * opposite - sine * here;
  }
}

RECON_SIMD void ctf_pairs(const CtfPolynomial& p, const float* __restrict x, const float* __restrict y, int64_t pairs,
                          float* __restrict out) {
#pragma omp simd
  for (int64_t j = 0; j < pairs; ++j) out[2 * j] = out[2 * j + 1] = ctf_at(p, x[j], y[j]);
}

void decay_pairs(float decay, const float* x, const float* y, int64_t pairs, float* out) {
  for (int64_t j = 0; j < pairs; ++j) {
    const float envelope = std::exp(decay * (x[j] * x[j] + y[j] * y[j]));
    out[2 * j] *= envelope;
    out[2 * j + 1] *= envelope;
  }
}

RECON_SIMD void flip_range(const float* in, const float* ctf, float* out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = ctf[i] > 0 ? in[i] : (ctf[i] < 0 ? -in[i] : 0.0f);
}

/// Runs body(row, x, y) over all rows, with the pairs' frequencies unpacked once a task.
template <class Body>
void for_rows_with_pairs(Device& device, int64_t rows, View<const Pixel> pixels, const Body& body) {
  const int64_t pairs = pixels.size() / 2, tasks = (rows + images_per_task - 1) / images_per_task;
  device.threads().run(tasks, [&](int64_t task, int worker) {
    float* x = device.scratch(worker, static_cast<size_t>(2 * pairs));
    float* y = x + pairs;
    unpack_pairs(pixels.data, pairs, x, y);
    const int64_t last = std::min(rows, (task + 1) * images_per_task);
    for (int64_t row = task * images_per_task; row < last; ++row) body(row, x, y);
  });
}

}  // namespace

void window_images(Device& device, const WindowImages& a) {
  const int half = a.side / 2;
  std::vector<float> weights;
  weights.reserve(static_cast<size_t>(a.images.cols));
  for (int y = 0; y < a.side; ++y)
    for (int x = 0; x < a.side; ++x) {
      const float radius = std::hypot(static_cast<float>(x - half), static_cast<float>(y - half)) / float(half);
      weights.push_back(std::clamp((a.outer - radius) / (a.outer - a.inner), 0.0f, 1.0f));
    }
  device.threads().for_range(a.images.rows, images_per_task, [&](int64_t first, int64_t last) {
    for (int64_t n = first; n < last; ++n) {
      float* image = a.images.row(n);
      for (size_t i = 0; i < weights.size(); ++i) image[i] *= weights[i];
    }
  });
}

void gather_pixels(Device& device, const GatherPixels& a) {
  const int half = a.side / 2;
  const auto index = [half](int frequency) { return frequency == half ? 0 : frequency + half; };
  std::vector<int32_t> places;
  places.reserve(static_cast<size_t>(a.pixels.size()));
  for (int64_t i = 0; i < a.pixels.size(); ++i) places.push_back(index(a.pixels[i].y) * a.side + index(a.pixels[i].x));
  device.threads().for_range(a.hartley.rows, images_per_task, [&](int64_t first, int64_t last) {
    for (int64_t n = first; n < last; ++n) {
      const float* image = a.hartley.row(n);
      float* out = a.out.row(n);
      for (size_t i = 0; i < places.size(); ++i) out[i] = a.scale * image[places[i]];
    }
  });
}

void shift_images(Device& device, const ShiftImages& a) {
  const int64_t pairs = a.pixels.size() / 2;
  const auto in = [&](int64_t row) { return a.images.row(a.source.empty() ? row : a.source[row]); };
  if (a.shifts.empty()) {
    device.threads().for_range(a.out.rows, images_per_task, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; ++row) std::copy_n(in(row), 2 * pairs, a.out.row(row));
    });
    return;
  }
  for_rows_with_pairs(device, a.out.rows, a.pixels, [&](int64_t row, const float* x, const float* y) {
    const float step_x = a.shifts(row, 0) / float(a.side), step_y = a.shifts(row, 1) / float(a.side);
    shift_pairs(in(row), x, y, step_x, step_y, pairs, a.out.row(row));
  });
}

void evaluate_ctf(Device& device, const EvaluateCtf& a) {
  const int64_t pairs = a.pixels.size() / 2;
  const double step = 1.0 / (double(a.side) * a.pixel_size_angstrom);
  for_rows_with_pairs(device, a.out.rows, a.pixels, [&](int64_t row, const float* x, const float* y) {
    const CtfPolynomial polynomial = ctf_polynomial(a.parameters[a.source.empty() ? row : a.source[row]], step);
    ctf_pairs(polynomial, x, y, pairs, a.out.row(row));
    if (polynomial.decay != 0) decay_pairs(polynomial.decay, x, y, pairs, a.out.row(row));
  });
}

void phase_flip(Device& device, const PhaseFlip& a) {
  device.threads().for_range(a.in.size(), 1 << 14, [&](int64_t first, int64_t last) {
    flip_range(a.in.data + first, a.ctf.data + first, a.out.data + first, last - first);
  });
}

void scale_pixels(Device&, const ScalePixels& a) {
  const int64_t pixels = a.out.cols;
  for (int64_t b = 0; b < a.out.rows; ++b) {
    float* out = a.out.row(b);
    const float* in = a.in.empty() ? nullptr : a.in.row(b);
    for (int64_t p = 0; p < pixels; ++p) out[p] = (in ? in[p] : 1.0f) * a.factors[p];
  }
}

void residual_power(Device&, const ResidualPower& a) {
  for (int64_t b = 0; b < a.target.rows; ++b)
    for (int64_t p = 0; p < a.target.cols; ++p) {
      const float e = (a.ctf.empty() ? 1.0f : a.ctf(b, p)) * a.prediction(b, p) - a.target(b, p);
      a.sums[p] += double(e) * e;
    }
}

}  // namespace recon::cpu
