// Interpolations of the lattice wider than trilinear, each with its correction. With ŵ the weight's transform, a
// lattice of M points an axis turns a density at x (from −D/2 to D/2) into itself and images of size ŵ(x/M + j)/ŵ(x/M),
// j ≠ 0: what they are at the edge of the box is the error. Trilinear at M = 2D: 1/9 and 1/25 there, 1/49 halfway;
// cubic B-spline: the squares of these; Kaiser-Bessel of 4 points below 1e-3.
//
// Cost a sample: 16 rows of 4 neighbours, a vector load and a multiply-add each, and 3 · 4 weights as polynomials of
// the place between lattice points. Trilinear: 8 gathered loads and 7 multiply-adds, 8 or 16 samples at once.
#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <vector>

#include "kernels/fourier/fourier.h"
#include "kernels/slice/variants/slice_variants_cpu.h"

namespace recon::cpu {
namespace gridding {

constexpr int points = 4, most_degree = 10;
constexpr int margin = 4;  // periodic neighbours that the lattice is continued by

typedef float Four __attribute__((vector_size(16)));
typedef uint16_t FourShorts __attribute__((vector_size(8)));
typedef uint32_t FourWords __attribute__((vector_size(16)));

double bessel_i0(double x) {
  double term = 1, sum = 1;
  for (int k = 1; k < 60; ++k) sum += term *= x * x / (4.0 * k * k);
  return sum;
}

/// Distance of a sample, at t in [0, 1) between two points of the lattice, from point i of those that it is made of.
double distance(int width, int i, double t) { return t - i + (width / 2 - 1); }

/// Coefficients, constant last, of the polynomial through f at the points of Chebyshev of [0, 1]: Newton's form,
/// expanded.
std::vector<double> fitted(const std::function<double(double)>& f, int degree) {
  const int n = degree + 1;
  std::vector<double> at(static_cast<size_t>(n)), difference(at), out(at);
  for (int i = 0; i < n; ++i) {
    at[i] = 0.5 - 0.5 * std::cos(std::numbers::pi * (2 * i + 1) / (2 * n));
    difference[i] = f(at[i]);
  }
  for (int order = 1; order < n; ++order)
    for (int i = n - 1; i >= order; --i) difference[i] = (difference[i] - difference[i - 1]) / (at[i] - at[i - order]);
  std::fill(out.begin(), out.end(), 0.0);
  for (int i = n - 1; i >= 0; --i) {  // out = out · (t − at[i]) + difference[i]
    for (int k = 0; k + 1 < n; ++k) out[k] = out[k + 1] - at[i] * out[k];
    out[n - 1] = difference[i] - at[i] * out[n - 1];
  }
  return out;
}

double value_at(const std::vector<double>& polynomial, double t) {
  double sum = 0;
  for (const double power : polynomial) sum = sum * t + power;
  return sum;
}

/// ∫ w(u) cos 2π f u du, by Simpson's rule over each unit of its width.
double transform(const Interpolation& w, double f) {
  constexpr int steps = 128;
  double sum = 0;
  for (int i = 0; i < w.width; ++i)
    for (int s = 0; s <= steps; ++s) {
      const double u = distance(w.width, i, double(s) / steps);
      sum += (s == 0 || s == steps ? 1 : s % 2 ? 4 : 2) * w.weight(u) * std::cos(2 * std::numbers::pi * f * u);
    }
  return sum / (3 * steps);
}

Four row_of(const float* at) {
  Four row;
  __builtin_memcpy(&row, at, sizeof row);
  return row;
}
Four row_of(const uint16_t* at) {
  FourShorts row;
  __builtin_memcpy(&row, at, sizeof row);
  return std::bit_cast<Four>(__builtin_convertvector(row, FourWords) << 16);
}

/// Of all points as polynomials of the place between them, to 1e-6 of the largest.
struct Weights {
  Four powers[most_degree + 1] = {};  ///< the constant last
  int degree = 0;
  int64_t before = 0;  ///< points below the sample's own

  explicit Weights(const Interpolation& w) : before(w.width / 2 - 1) {
    double worst = 1;
    while (worst > 1e-6 * w.weight(0) && degree < most_degree) {
      ++degree, worst = 0;
      for (int i = 0; i < w.width; ++i) {
        const auto exact = [&](double t) { return w.weight(distance(w.width, i, t)); };
        const std::vector<double> power = fitted(exact, degree);
        for (int k = 0; k <= degree; ++k) powers[k][i] = static_cast<float>(power[k]);
        for (int k = 0; k <= 40; ++k) worst = std::max(worst, std::abs(value_at(power, k / 40.0) - exact(k / 40.0)));
      }
    }
  }
};

/// A sample's first point on an axis, and its weights.
struct AxisWeights {
  int64_t first;
  Four weights;
};
__attribute__((always_inline)) inline AxisWeights axis_weights(const Weights& w, float at) {
  const float floor = std::floor(at), t = at - floor;
  Four sum = w.powers[0];
  for (int k = 1; k <= w.degree; ++k) sum = sum * t + w.powers[k];
  return {static_cast<int64_t>(floor) - w.before, sum};
}

/// Samples of one slice out of the continued lattice [N·N, N], whose first point is M's last but `margin`/2.
template <class Stored>
__attribute__((always_inline)) inline void sample_row(const Stored* lattice, int64_t stored_side, float scale,
                                                      float centre, const Weights& w, const float* r,
                                                      View<const Pixel> pixels, float* out) {
  const float ux = scale * r[0], uy = scale * r[1], uz = scale * r[2], vx = scale * r[3], vy = scale * r[4],
              vz = scale * r[5];
  for (int64_t p = 0; p < pixels.size(); ++p) {
    const float x = static_cast<float>(pixels[p].x), y = static_cast<float>(pixels[p].y);
    const AxisWeights ax = axis_weights(w, centre + (ux * x + vx * y)),
                      ay = axis_weights(w, centre + (uy * x + vy * y)),
                      az = axis_weights(w, centre + (uz * x + vz * y));
    const Stored* corner = lattice + (az.first * stored_side + ay.first) * stored_side + ax.first;
    Four sum = {};
    for (int k = 0; k < points; ++k) {
      Four plane = {};
      for (int j = 0; j < points; ++j) plane += ay.weights[j] * row_of(corner + (k * stored_side + j) * stored_side);
      sum += az.weights[k] * plane;
    }
    sum *= ax.weights;
    out[p] = sum[0] + sum[1] + sum[2] + sum[3];
  }
}

RECON_SIMD void sample_floats(const float* lattice, int64_t side, float scale, float centre, const Weights& w,
                              const float* r, View<const Pixel> pixels, float* out) {
  sample_row(lattice, side, scale, centre, w, r, pixels, out);
}
RECON_SIMD void sample_bf16(const uint16_t* lattice, int64_t side, float scale, float centre, const Weights& w,
                            const float* r, View<const Pixel> pixels, float* out) {
  sample_row(lattice, side, scale, centre, w, r, pixels, out);
}

uint16_t to_bf16(float value) {  // to nearest even; finite
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/// density/(ŵ ŵ ŵ) within a cube of M³ zeros.
std::vector<float> corrected(const VolumeSlices& a, const Interpolation& w, int padded) {
  const int side = a.side, offset = (padded - side) / 2;
  std::vector<double> factor;
  for (int i = 0; i < side; ++i) factor.push_back(1 / transform(w, double(i - side / 2) / padded));
  std::vector<float> out(static_cast<size_t>(padded) * padded * padded);
  for (int z = 0; z < side; ++z)
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x)
        out[(static_cast<size_t>(z + offset) * padded + static_cast<size_t>(y + offset)) * padded +
            static_cast<size_t>(x + offset)] =
            static_cast<float>(factor[z] * factor[y] * factor[x] * double(a.density[(z * side + y) * side + x]));
  return out;
}

}  // namespace gridding
using namespace gridding;

struct GriddedVolume::State {
  explicit State(const Interpolation& interpolation) : weights(interpolation) {}
  Weights weights;
  int padded = 0, side = 0;  ///< M, and that of what is stored
  float scale = 0;
  std::vector<float> floats;
  std::vector<uint16_t> shorts;
};

GriddedVolume::GriddedVolume(Device& device, const VolumeSlices& a, const Interpolation& interpolation,
                             double oversampling, bool sixteen_bits)
    : state_(std::make_unique<State>(interpolation)) {
  State& s = *state_;
  s.padded = 2 * static_cast<int>(std::lround(oversampling * a.side / 2)), s.side = s.padded + margin;
  s.scale = static_cast<float>(s.padded) / static_cast<float>(a.side);
  const std::vector<float> host = corrected(a, interpolation, s.padded);
  Buffer<float> cube(device, int64_t{s.padded} * s.padded, s.padded);
  cube.upload(host);
  hartley(device, Hartley3d{.volume = cube.view(), .hartley = cube.view(), .side = s.padded});
  const std::vector<float> lattice = cube.download();
  const auto at = [&](int i) { return static_cast<size_t>((i - margin / 2 + s.padded) % s.padded); };
  const auto padded = static_cast<size_t>(s.padded);
  for (int z = 0; z < s.side; ++z)
    for (int y = 0; y < s.side; ++y)
      for (int x = 0; x < s.side; ++x) {
        const float value = lattice[(at(z) * padded + at(y)) * padded + at(x)];
        sixteen_bits ? s.shorts.push_back(to_bf16(value)) : s.floats.push_back(value);
      }
}

GriddedVolume::~GriddedVolume() = default;

void GriddedVolume::sample(Device& device, const VolumeSlices& a) const {
  const State& s = *state_;
  const float centre = static_cast<float>(s.padded / 2 + margin / 2);
  device.threads().run(a.rotations.rows, [&](int64_t slice, int) {
    const float* r = a.rotations.row(slice);
    if (s.shorts.empty())
      sample_floats(s.floats.data(), s.side, s.scale, centre, s.weights, r, a.pixels, a.values.row(slice));
    else
      sample_bf16(s.shorts.data(), s.side, s.scale, centre, s.weights, r, a.pixels, a.values.row(slice));
  });
}

double aliasing(const Interpolation& w, double oversampling) {
  constexpr int side = 16, images = 3;
  std::vector<double> axis;  // Σ (ŵ(x/M + j)/ŵ(x/M))² over all j
  for (int i = 0; i < side; ++i) {
    const double f = (i - side / 2) / (oversampling * side);
    double sum = 0;
    for (int j = -images; j <= images; ++j) sum += std::pow(transform(w, f + j) / transform(w, f), 2);
    axis.push_back(sum);
  }
  double sum = 0, count = 0;
  for (int z = 1; z < side; ++z)
    for (int y = 1; y < side; ++y)
      for (int x = 1; x < side; ++x) {
        const int dx = x - side / 2, dy = y - side / 2, dz = z - side / 2;
        if (4 * (dx * dx + dy * dy + dz * dz) >= side * side) continue;
        sum += axis[z] * axis[y] * axis[x] - 1, ++count;
      }
  return std::sqrt(sum / count);
}

Interpolation linear_interpolation() {
  return {2, [](double u) { return 1 - std::abs(u); }};
}

Interpolation cubic_spline() {
  return {4, [](double u) {
            const double v = std::abs(u);
            return v < 1 ? 2.0 / 3 - v * v + v * v * v / 2 : (2 - v) * (2 - v) * (2 - v) / 6;
          }};
}

Interpolation kaiser_bessel(double oversampling) {
  constexpr int width = 4;
  const double stretch = width / oversampling * (oversampling - 0.5),
               shape = std::numbers::pi * std::sqrt(std::max(stretch * stretch - 0.8, 0.1));
  return {width, [=](double u) {
            const double part = 2 * u / width;
            return bessel_i0(shape * std::sqrt(std::max(0.0, 1 - part * part))) / bessel_i0(shape);
          }};
}

}  // namespace recon::cpu
