#include "engine/analyze/transform.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

#include "engine/geometry/band_limited.h"
#include "engine/geometry/so3_grid.h"
#include "kernels/fourier/fourier.h"
#include "kernels/runtime/host_access.h"

namespace recon {
namespace {

struct Frequency {
  int16_t x, y, z;
  int16_t shell;  ///< from 1
};

/// {H'(k), H'(−k)} of the transformed map: sampled at M Q k, then moved by −o. `box_px` is D, also where `volume` is a
/// Fourier crop.
std::array<float, 2> transformed_pair(const BandLimitedVolume& volume, double box_px, const Alignment& a,
                                      const Vector3& k) {
  Vector3 q = multiply(a.rotation, k);
  if (a.flipped) q[2] = -q[2];
  const auto [here, opposite] = volume.sample(q[0], q[1], q[2]);
  const double turns = (k[0] * a.offset_px[0] + k[1] * a.offset_px[1] + k[2] * a.offset_px[2]) / box_px;
  const double phase = 2 * std::numbers::pi * turns;
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

/// The central `small`³ of a map's Hartley transform, back in real space: the map at lower resolution.
std::vector<float> fourier_crop(Device& device, std::span<const float> volume, int side, int small) {
  if (small >= side) return {volume.begin(), volume.end()};
  Buffer<float> whole(device, int64_t(side) * side, side), part(device, int64_t(small) * small, small);
  whole.upload(volume);
  hartley(device, Hartley3d{.volume = whole.view(), .hartley = whole.view(), .side = side});
  const int64_t offset = (side - small) / 2;
  {
    const auto from = host_read(device, whole.view());
    const auto to = host_write(device, part.view());
    for (int64_t z = 0; z < small; ++z)
      for (int64_t y = 0; y < small; ++y)
        std::copy_n(&from[((z + offset) * side + y + offset) * side + offset], small, &to[(z * small + y) * small]);
  }
  hartley(device, Hartley3d{.volume = part.view(), .hartley = part.view(), .side = small});
  return part.download();
}

/// The figure of merit of an alignment: mean over shells 1 .. limit of the correlation at `most` voxel pairs a shell.
/// Maps are cropped to the band first: a small lattice stays in the cache.
class Merit {
 public:
  Merit(Device& device, std::span<const float> moving, std::span<const float> fixed, int side, int limit, size_t most)
      : device_(device), box_px_(side), limit_(limit), sample_(shell_sample(side, limit, most)) {
    const int small = std::min(side, 2 * limit + 4);
    moving_.emplace(device, fourier_crop(device, moving, side, small), small);
    const BandLimitedVolume target(device, fourier_crop(device, fixed, side, small), small);
    target_.resize(sample_.size());
    value_.resize(sample_.size());
    for (size_t i = 0; i < sample_.size(); ++i) target_[i] = target.sample(sample_[i].x, sample_[i].y, sample_[i].z);
  }

  double operator()(const Alignment& alignment) {
    device_.threads().for_range(int64_t(sample_.size()), 512, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const Frequency& k = sample_[size_t(i)];
        const Vector3 at = {double(k.x), double(k.y), double(k.z)};
        value_[size_t(i)] = transformed_pair(*moving_, box_px_, alignment, at);
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
  double box_px_;
  int limit_;
  std::optional<BandLimitedVolume> moving_;
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

/// Coarse to fine: at low resolution the merit is smooth over many degrees, at full resolution over less than one.
class Refinement {
 public:
  Refinement(Device& device, std::span<const float> moving, std::span<const float> fixed, int side)
      : low_(device, moving, fixed, side, std::max(2, side / 8), 200),
        middle_(device, moving, fixed, side, std::max(2, side / 4), 200),
        full_(device, moving, fixed, side, side / 2, 250) {}

  VolumeAlignment operator()(const Alignment& start) {
    VolumeAlignment best = climb(low_, {start, 0}, 6 * degree, 1.0, 150);
    best = climb(middle_, best, 2 * degree, 0.5, 150);
    // The start may be the better one already: coarse optima of noisy maps wander.
    if (full_(start) > full_(best.alignment)) best.alignment = start;
    best = climb(full_, best, 0.5 * degree, 0.2, 150);
    return climb(full_, best, 0.1 * degree, 0.05, 100);
  }

 private:
  Merit low_, middle_, full_;
};

}  // namespace

std::vector<float> transform_volume(Device& device, std::span<const float> volume, int side,
                                    const Alignment& alignment) {
  const BandLimitedVolume source(device, volume, side);
  const int half = side / 2;
  std::vector<float> values(static_cast<size_t>(int64_t(side) * side * side), 0.0f);
  const float scale = 1.0f / (float(side) * float(side) * float(side));
  device.threads().run(half + 1, [&](int64_t kz, int) {
    for (int64_t ky = kz == 0 ? 0 : -half; ky < half; ++ky)
      for (int64_t kx = kz == 0 && ky == 0 ? 0 : -half; kx < half; ++kx) {
        if (kx * kx + ky * ky + kz * kz >= int64_t(half) * half) continue;
        const auto pair = transformed_pair(source, side, alignment, {double(kx), double(ky), double(kz)});
        values[static_cast<size_t>(((half + kz) * side + half + ky) * side + half + kx)] = scale * pair[0];
        values[static_cast<size_t>(((half - kz) * side + half - ky) * side + half - kx)] = scale * pair[1];
      }
  });
  Buffer<float> out(device, int64_t(side) * side, side);
  out.upload(values);
  hartley(device, Hartley3d{.volume = out.view(), .hartley = out.view(), .side = side});
  return out.download();
}

VolumeAlignment refine_alignment(Device& device, std::span<const float> moving, std::span<const float> fixed, int side,
                                 const Alignment& start) {
  return Refinement(device, moving, fixed, side)(start);
}

VolumeAlignment align_volumes(Device& device, std::span<const float> moving, std::span<const float> fixed, int side) {
  Merit coarse(device, moving, fixed, side, std::max(2, std::min(6, side / 4)), 60);
  Refinement refinement(device, moving, fixed, side);
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
      const VolumeAlignment refined = refinement(all[i].alignment);
      if (refined.mean_fsc > best.mean_fsc) best = refined;
    }
  }
  return best;
}

}  // namespace recon
