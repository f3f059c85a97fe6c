#include "engine/analyze/transform.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/geometry/band_limited.h"
#include "engine/geometry/so3_grid.h"
#include "kernels/fourier/fourier.h"

namespace recon {
namespace {

struct Frequency {
  int16_t x, y, z;
  int16_t shell;  ///< from 1
};

/// {H'(k), H'(−k)} of the transformed map: sampled at M Q k, then moved by −o.
std::array<float, 2> transformed_pair(const BandLimitedVolume& volume, const Alignment& a, const Vector3& k) {
  Vector3 q = multiply(a.rotation, k);
  if (a.flipped) q[2] = -q[2];
  const auto [here, opposite] = volume.sample(q[0], q[1], q[2]);
  const double phase =
      2 * std::numbers::pi * (k[0] * a.offset_px[0] + k[1] * a.offset_px[1] + k[2] * a.offset_px[2]) / volume.side();
  const auto c = static_cast<float>(std::cos(phase)), s = static_cast<float>(std::sin(phase));
  return {c * here - s * opposite, c * opposite + s * here};
}

/// One of each pair of voxels with 1/2 <= |k| < limit + 1/2, |k| < D/2, shell by shell; where a shell has more than
/// `most` it is thinned evenly.
std::vector<Frequency> shell_sample(int side, int limit, size_t most) {
  std::vector<std::vector<Frequency>> shells(static_cast<size_t>(limit + 1));
  const int half = side / 2;
  for (int z = 0; z <= limit; ++z)
    for (int y = z == 0 ? 0 : -limit; y <= limit; ++y)
      for (int x = z == 0 && y == 0 ? 1 : -limit; x <= limit; ++x) {
        const int squared = x * x + y * y + z * z;
        const int shell = static_cast<int>(std::sqrt(double(squared)) + 0.5);
        if (squared == 0 || shell > limit || squared >= half * half) continue;
        shells[static_cast<size_t>(shell)].push_back(
            {static_cast<int16_t>(x), static_cast<int16_t>(y), static_cast<int16_t>(z), static_cast<int16_t>(shell)});
      }
  std::vector<Frequency> sample;
  for (const auto& shell : shells) {
    const size_t count = std::min(most, shell.size());
    for (size_t i = 0; i < count; ++i) sample.push_back(shell[i * shell.size() / count]);
  }
  return sample;
}

/// The figure of merit of an alignment: mean over shells of the correlation at sampled voxels.
class Merit {
 public:
  Merit(Device& device, const BandLimitedVolume& moving, const BandLimitedVolume& fixed, int limit, size_t most)
      : device_(device), moving_(moving), limit_(limit), sample_(shell_sample(moving.side(), limit, most)) {
    target_.resize(sample_.size());
    value_.resize(sample_.size());
    device_.threads().for_range(int64_t(sample_.size()), 256, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const Frequency& k = sample_[size_t(i)];
        target_[size_t(i)] = fixed.sample(k.x, k.y, k.z);
      }
    });
  }

  double operator()(const Alignment& alignment) {
    device_.threads().for_range(int64_t(sample_.size()), 256, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const Frequency& k = sample_[size_t(i)];
        value_[size_t(i)] = transformed_pair(moving_, alignment, {double(k.x), double(k.y), double(k.z)});
      }
    });
    double total = 0, cross = 0, a = 0, b = 0;
    for (size_t i = 0; i < sample_.size(); ++i) {
      for (size_t j = 0; j < 2; ++j) {
        cross += double(value_[i][j]) * target_[i][j];
        a += double(value_[i][j]) * value_[i][j];
        b += double(target_[i][j]) * target_[i][j];
      }
      if (i + 1 < sample_.size() && sample_[i + 1].shell == sample_[i].shell) continue;
      total += a * b > 0 ? cross / std::sqrt(a * b) : 0;
      cross = a = b = 0;
    }
    return total / limit_;
  }

 private:
  Device& device_;
  const BandLimitedVolume& moving_;
  int limit_;
  std::vector<Frequency> sample_;
  std::vector<std::array<float, 2>> target_, value_;
};

/// A step of the search: rotation vector (rad) applied before Q, and offset (px).
using Step = std::array<double, 6>;

Alignment moved(const Alignment& start, const Step& step) {
  const double angle = std::hypot(step[0], step[1], step[2]);
  Alignment out = start;
  if (angle > 1e-12) out.rotation = multiply(start.rotation, axis_angle_to_matrix({step[0], step[1], step[2]}, angle));
  for (size_t i = 0; i < 3; ++i) out.offset_px[i] += step[3 + i];
  return out;
}

/// Nelder & Mead's simplex in six dimensions, from steps of `angle_rad` and `offset_px`.
VolumeAlignment climb(Merit& merit, const VolumeAlignment& start, double angle_rad, double offset_px, int evaluations) {
  constexpr size_t n = 6;
  std::array<std::pair<double, Step>, n + 1> simplex;
  for (size_t i = 0; i <= n; ++i) {
    Step step{};
    if (i > 0) step[i - 1] = i <= 3 ? angle_rad : offset_px;
    simplex[i] = {merit(moved(start.alignment, step)), step};
  }
  const auto better = [](const auto& a, const auto& b) { return a.first > b.first; };
  for (int used = n + 1; used < evaluations;) {
    std::stable_sort(simplex.begin(), simplex.end(), better);
    if (simplex[0].first - simplex[n].first < 1e-7) break;
    Step centre{};
    for (size_t i = 0; i < n; ++i)
      for (size_t j = 0; j < n; ++j) centre[j] += simplex[i].second[j] / n;
    const auto along = [&](double t) {
      Step step;
      for (size_t j = 0; j < n; ++j) step[j] = centre[j] + t * (simplex[n].second[j] - centre[j]);
      ++used;
      return std::pair(merit(moved(start.alignment, step)), step);
    };
    const auto reflected = along(-1);
    if (reflected.first > simplex[0].first) {
      const auto expanded = along(-2);
      simplex[n] = expanded.first > reflected.first ? expanded : reflected;
    } else if (reflected.first > simplex[n - 1].first) {
      simplex[n] = reflected;
    } else {
      const auto contracted = along(reflected.first > simplex[n].first ? -0.5 : 0.5);
      if (contracted.first > std::max(reflected.first, simplex[n].first)) {
        simplex[n] = contracted;
        continue;
      }
      for (size_t i = 1; i <= n; ++i) {
        for (size_t j = 0; j < n; ++j) simplex[i].second[j] = 0.5 * (simplex[i].second[j] + simplex[0].second[j]);
        simplex[i].first = merit(moved(start.alignment, simplex[i].second));
        ++used;
      }
    }
  }
  std::stable_sort(simplex.begin(), simplex.end(), better);
  return {moved(start.alignment, simplex[0].second), simplex[0].first};
}

constexpr double degree = std::numbers::pi / 180;

/// Coarse to fine: at low resolution the merit is smooth over many degrees, at full resolution over less than one.
VolumeAlignment refine_between(Device& device, const BandLimitedVolume& a, const BandLimitedVolume& b,
                               const Alignment& start) {
  const int half = a.side() / 2, low = std::max(2, half / 4), middle = std::max(2, half / 2);
  VolumeAlignment best{start, 0};
  Merit at_low(device, a, b, low, 300), at_middle(device, a, b, middle, 300), at_full(device, a, b, half, 500);
  best = climb(at_low, best, 6 * degree, 1.0, 150);
  best = climb(at_middle, best, 2 * degree, 0.5, 150);
  // The start may be the better one already: coarse optima of noisy maps wander.
  if (at_full(start) > at_full(best.alignment)) best.alignment = start;
  best = climb(at_full, best, 0.5 * degree, 0.2, 200);
  return climb(at_full, best, 0.1 * degree, 0.05, 200);
}

}  // namespace

std::vector<float> transform_volume(Device& device, std::span<const float> volume, int side,
                                    const Alignment& alignment) {
  const BandLimitedVolume source(device, volume, side);
  const int half = side / 2;
  Buffer<float> out(device, int64_t(side) * side, side);
  out.zero();
  const float scale = 1.0f / (float(side) * float(side) * float(side));
  device.threads().run(half + 1, [&](int64_t kz, int) {
    for (int64_t ky = kz == 0 ? 0 : -half; ky < half; ++ky)
      for (int64_t kx = kz == 0 && ky == 0 ? 0 : -half; kx < half; ++kx) {
        if (kx * kx + ky * ky + kz * kz >= int64_t(half) * half) continue;
        const auto pair = transformed_pair(source, alignment, {double(kx), double(ky), double(kz)});
        out.view()[((half + kz) * side + half + ky) * side + half + kx] = scale * pair[0];
        out.view()[((half - kz) * side + half - ky) * side + half - kx] = scale * pair[1];
      }
  });
  hartley(device, Hartley3d{.volume = out.view(), .hartley = out.view(), .side = side});
  return out.download();
}

VolumeAlignment refine_alignment(Device& device, std::span<const float> moving, std::span<const float> fixed, int side,
                                 const Alignment& start) {
  return refine_between(device, BandLimitedVolume(device, moving, side), BandLimitedVolume(device, fixed, side), start);
}

VolumeAlignment align_volumes(Device& device, std::span<const float> moving, std::span<const float> fixed, int side) {
  const BandLimitedVolume a(device, moving, side), b(device, fixed, side);
  Merit coarse(device, a, b, std::max(2, std::min(6, side / 4)), 60);
  VolumeAlignment best;
  for (const bool flipped : {false, true}) {
    std::vector<VolumeAlignment> all;
    for (const GridRotation node : so3_grid(2)) {
      const Alignment start{.rotation = grid_matrix(node, 2), .flipped = flipped, .offset_px = {0, 0, 0}};
      all.push_back({start, coarse(start)});
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const VolumeAlignment& x, const VolumeAlignment& y) { return x.mean_fsc > y.mean_fsc; });
    for (size_t i = 0; i < 3; ++i) {
      const VolumeAlignment refined = refine_between(device, a, b, all[i].alignment);
      if (refined.mean_fsc > best.mean_fsc) best = refined;
    }
  }
  return best;
}

}  // namespace recon
