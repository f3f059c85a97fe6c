#include "engine/analyze/fsc.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/fourier/fourier.h"

namespace recon {
namespace {

/// Σ over a shell of Re A B*, |A|², |B|².
struct ShellSums {
  double cross = 0, a = 0, b = 0;
};

Buffer<float> transformed(Device& device, std::span<const float> volume, int side) {
  Buffer<float> buffer(device, int64_t(side) * side, side);
  buffer.upload(volume);
  hartley(device, Hartley3d{.volume = buffer.view(), .hartley = buffer.view(), .side = side});
  return buffer;
}

/// Sums of one plane z. Of Hartley values, Σ over k and −k of Re A B* is Σ H_a H_b: ½(H_a(k)H_b(k) + H_a(−k)H_b(−k)).
void add_plane(const float* a, const float* b, int64_t z, int side, std::vector<ShellSums>& shells) {
  const int half = side / 2;
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x) {
      const int64_t kx = x - half, ky = y - half, kz = z - half;
      const int64_t squared = kx * kx + ky * ky + kz * kz;
      const auto shell = static_cast<int64_t>(std::floor(std::sqrt(static_cast<double>(squared)) + 0.5));
      if (shell < 1 || shell > half) continue;
      const int64_t at = (z * side + y) * side + x;
      ShellSums& sums = shells[static_cast<size_t>(shell - 1)];
      sums.cross += double(a[at]) * b[at];
      sums.a += double(a[at]) * a[at];
      sums.b += double(b[at]) * b[at];
    }
}

}  // namespace

std::vector<double> fourier_shell_correlation(Device& device, std::span<const float> a, std::span<const float> b,
                                              int side) {
  const size_t voxels = static_cast<size_t>(side) * static_cast<size_t>(side) * static_cast<size_t>(side);
  expect(side > 0 && side % 2 == 0 && a.size() == voxels && b.size() == voxels, "fsc: both maps must be side³, even");
  const auto fa = transformed(device, a, side).download(), fb = transformed(device, b, side).download();
  const auto count = static_cast<size_t>(side / 2);
  std::vector<std::vector<ShellSums>> planes(static_cast<size_t>(side), std::vector<ShellSums>(count));
  device.threads().run(
      side, [&](int64_t z, int) { add_plane(fa.data(), fb.data(), z, side, planes[static_cast<size_t>(z)]); });
  std::vector<double> curve(count);
  for (size_t i = 0; i < count; ++i) {
    ShellSums sum;
    for (const auto& plane : planes) {
      sum.cross += plane[i].cross;
      sum.a += plane[i].a;
      sum.b += plane[i].b;
    }
    const double norm = std::sqrt(sum.a * sum.b);
    curve[i] = norm > 0 ? sum.cross / norm : 0;
  }
  return curve;
}

double resolution_px(std::span<const double> curve, double threshold) {
  const double side = 2.0 * static_cast<double>(curve.size());
  for (size_t i = 0; i < curve.size(); ++i)
    if (curve[i] < threshold) return side / static_cast<double>(i + 1);
  return 2;
}

double mean_correlation(std::span<const double> curve) {
  double sum = 0;
  for (const double value : curve) sum += value;
  return curve.empty() ? 0 : sum / static_cast<double>(curve.size());
}

void apply_soft_sphere(std::span<float> volume, int side, double radius_px, double edge_px) {
  const int half = side / 2;
  size_t at = 0;
  for (int z = -half; z < half; ++z)
    for (int y = -half; y < half; ++y)
      for (int x = -half; x < half; ++x, ++at) {
        const double r = std::sqrt(double(x) * x + double(y) * y + double(z) * z);
        if (r <= radius_px) continue;
        const double t = edge_px > 0 ? std::min(1.0, (r - radius_px) / edge_px) : 1.0;
        volume[at] *= static_cast<float>(0.5 + 0.5 * std::cos(std::numbers::pi * t));
      }
}

void apply_mask(std::span<float> volume, std::span<const float> mask) {
  expect(mask.empty() || mask.size() == volume.size(), "mask: another size than the map's");
  for (size_t i = 0; i < mask.size(); ++i) volume[i] *= mask[i];
}

}  // namespace recon
