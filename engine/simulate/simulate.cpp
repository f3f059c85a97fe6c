#include "engine/simulate/simulate.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

#include "kernels/fourier/fourier.h"
#include "kernels/runtime/host_access.h"

namespace recon {
namespace {

using Complex = std::complex<double>;

/// Calls body(kx, ky) for one of each pair of pixels with |k| < D/2, the centre included.
template <class Body>
void for_pairs(int side, const Body& body) {
  const int half = side / 2;
  for (int ky = 0; ky < half; ++ky)
    for (int kx = ky == 0 ? 0 : 1 - half; kx < half; ++kx)
      if (kx * kx + ky * ky < half * half) body(kx, ky);
}

class ModelProjector final : public Projectable {
 public:
  explicit ModelProjector(const GaussianModel& model) : model_(model) {}
  int side() const override { return model_.box; }

  void project(const ImageTruth& truth, float* hartley) const override {
    const int side = model_.box, half = side / 2;
    const auto width = static_cast<size_t>(side), rows = static_cast<size_t>(half);
    std::vector<double> re(rows * width, 0), im(rows * width, 0);  // ky = 0 .. D/2 − 1
    std::vector<double> cx(width), sx(width);
    const auto positions = positions_px(model_, truth.state);
    for (size_t b = 0; b < positions.size(); ++b) {
      const Vector3 p = multiply(truth.rotation, positions[b]);
      const double x = p[0] - truth.shift_px[0], y = p[1] - truth.shift_px[1];
      const double sigma = model_.blobs[b].sigma_angstrom / model_.pixel_size_angstrom;
      for (int i = 0; i < side; ++i) factor(i - half, x, sigma, cx[size_t(i)], sx[size_t(i)]);
      for (int ky = 0; ky < half; ++ky) {
        double cy = 0, sy = 0;
        factor(ky, y, sigma, cy, sy);
        cy *= model_.blobs[b].weight;
        sy *= model_.blobs[b].weight;
        double* row_re = &re[size_t(ky) * width];
        double* row_im = &im[size_t(ky) * width];
        for (size_t i = 0; i < width; ++i) {
          row_re[i] += cy * cx[i] - sy * sx[i];
          row_im[i] += cy * sx[i] + sy * cx[i];
        }
      }
    }
    std::fill(hartley, hartley + int64_t(side) * side, 0.0f);
    for_pairs(side, [&](int kx, int ky) {
      const size_t at = size_t(ky) * width + size_t(kx + half);
      hartley[int64_t(half + ky) * side + half + kx] = static_cast<float>(re[at] - im[at]);
      hartley[int64_t(half - ky) * side + half - kx] = static_cast<float>(re[at] + im[at]);
    });
  }

 private:
  /// exp(−2πi k x/D − 2π²σ²k²/D²).
  void factor(int k, double x, double sigma, double& real, double& imaginary) const {
    const double pi = std::numbers::pi, cycles = static_cast<double>(k) / model_.box;
    const double decay = std::exp(-2 * pi * pi * sigma * sigma * cycles * cycles);
    real = decay * std::cos(2 * pi * cycles * x);
    imaginary = -decay * std::sin(2 * pi * cycles * x);
  }
  const GaussianModel& model_;
};

class MapProjector final : public Projectable {
 public:
  MapProjector(Device& device, const std::vector<std::vector<float>>& maps, int side) : side_(side) {
    expect(!maps.empty(), "simulate: at least one map is wanted");
    for (const auto& map : maps) maps_.emplace_back(device, map, side);
  }
  int side() const override { return side_; }

  void project(const ImageTruth& truth, float* hartley) const override {
    const auto last = static_cast<double>(maps_.size() - 1);
    const auto& map = maps_[static_cast<size_t>(std::clamp(std::round(truth.state * last), 0.0, last))];
    const Matrix3& r = truth.rotation;
    const int half = side_ / 2;
    std::fill(hartley, hartley + int64_t(side_) * side_, 0.0f);
    for_pairs(side_, [&](int kx, int ky) {
      const auto [here, opposite] =  // at Rᵀ(kx, ky, 0)
          map.sample(r[0] * kx + r[3] * ky, r[1] * kx + r[4] * ky, r[2] * kx + r[5] * ky);
      const double phase = -2 * std::numbers::pi * (kx * truth.shift_px[0] + ky * truth.shift_px[1]) / side_;
      const auto c = static_cast<float>(std::cos(phase)), s = static_cast<float>(std::sin(phase));
      hartley[int64_t(half + ky) * side_ + half + kx] = c * here + s * opposite;
      hartley[int64_t(half - ky) * side_ + half - kx] = c * opposite - s * here;
    });
  }

 private:
  int side_;
  std::vector<BandLimitedVolume> maps_;
};

void apply_ctf(const CtfParameters& ctf, int side, float pixel_size_angstrom, float* hartley) {
  const int half = side / 2;
  const double step = 1.0 / (double(side) * pixel_size_angstrom);
  for_pairs(side, [&](int kx, int ky) {
    const float value = ctf_value(ctf, kx * step, ky * step);
    hartley[int64_t(half + ky) * side + half + kx] *= value;
    if (kx != 0 || ky != 0) hartley[int64_t(half - ky) * side + half - kx] *= value;
  });
}

}  // namespace

double state_of(int k, int states) { return states <= 1 ? 0.5 : static_cast<double>(k) / (states - 1); }

std::vector<ImageTruth> draw_truths(const TruthOptions& o) {
  expect(o.images >= 0 && o.states >= 0 && o.shift_extent_px >= 0, "simulate: images, states or shift out of range");
  expect(o.defocus_min_angstrom <= o.defocus_max_angstrom, "simulate: the defocus range is the wrong way round");
  const Philox pose{o.seed, Purpose::simulate_pose}, shift{o.seed, Purpose::simulate_shift};
  const Philox state{o.seed, Purpose::simulate_state}, ctf{o.seed, Purpose::simulate_ctf};
  std::vector<ImageTruth> truths(static_cast<size_t>(o.images));
  for (uint64_t n = 0; n < truths.size(); ++n) {
    ImageTruth& truth = truths[n];
    truth.rotation = random_rotation(pose, n);
    const u32x4 s = shift.draw(n), z = state.draw(n), c = ctf.draw(n);
    truth.shift_px = {o.shift_extent_px * (2 * uniform01_double(s.v[0], s.v[1]) - 1),
                      o.shift_extent_px * (2 * uniform01_double(s.v[2], s.v[3]) - 1)};
    const double u = uniform01_double(z.v[0], z.v[1]);
    truth.state = o.states == 0 ? u : state_of(static_cast<int>(u * o.states), o.states);
    truth.ctf = o.microscope;
    const double mean =
        o.defocus_min_angstrom + (o.defocus_max_angstrom - o.defocus_min_angstrom) * uniform01_double(c.v[0], c.v[1]);
    const double astigmatism = 1000.0 * uniform01(c.v[2]);
    truth.ctf.defocus_u_angstrom = static_cast<float>(mean + astigmatism / 2);
    truth.ctf.defocus_v_angstrom = static_cast<float>(mean - astigmatism / 2);
    truth.ctf.defocus_angle_rad = static_cast<float>(std::numbers::pi * uniform01(c.v[3]));
  }
  return truths;
}

std::unique_ptr<Projectable> projectable(const GaussianModel& model) {
  expect(model.box > 0 && model.box % 2 == 0, "simulate: the model's box must be even");
  return std::make_unique<ModelProjector>(model);
}

std::unique_ptr<Projectable> projectable(Device& device, const std::vector<std::vector<float>>& maps, int side) {
  return std::make_unique<MapProjector>(device, maps, side);
}

void render(Device& device, const Projectable& particle, std::span<const ImageTruth> truths, float pixel_size_angstrom,
            View<float> images) {
  const int side = particle.side();
  expect(images.rows == static_cast<int64_t>(truths.size()) && images.cols == int64_t(side) * side,
         "simulate: images must be [truths, side*side]");
  const float scale = 1.0f / (float(side) * float(side));
  {
    const auto values = host_write(device, images);
    device.threads().run(images.rows, [&](int64_t n, int) {
      const ImageTruth& truth = truths[static_cast<size_t>(n)];
      float* image = values.view().row(n);
      particle.project(truth, image);
      if (pixel_size_angstrom > 0) apply_ctf(truth.ctf, side, pixel_size_angstrom, image);
      for (int64_t i = 0; i < images.cols; ++i) image[i] *= scale;
    });
  }
  hartley(device, Hartley2d{.images = images, .hartley = images, .side = side});
}

double variance(std::span<const float> images) {
  if (images.empty()) return 0;
  double sum = 0, squares = 0;
  for (const float value : images) {
    sum += value;
    squares += double(value) * value;
  }
  const auto count = static_cast<double>(images.size());
  return squares / count - (sum / count) * (sum / count);
}

void add_noise(Device& device, View<float> images, int64_t first, double sigma, uint64_t seed) {
  const Philox philox{seed, Purpose::simulate_noise};
  const auto values = host_update(device, images);
  device.threads().run(images.rows, [&](int64_t n, int) {
    float* image = values.view().row(n);
    for (int64_t i = 0; i < images.cols; i += 4) {
      const u32x4 words = philox.draw(static_cast<uint64_t>(first + n), static_cast<uint32_t>(i / 4));
      for (int64_t j = 0; j < std::min<int64_t>(4, images.cols - i); ++j)
        image[i + j] += static_cast<float>(sigma) * normal_from(words.v[j]);
    }
  });
}

}  // namespace recon
