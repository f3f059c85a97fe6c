#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "engine/analyze/mask.h"
#include "kernels/runtime/check.h"

namespace recon {
namespace {

constexpr float far = 1e12f;  // squared voxels, beyond any box

/// Squared distances along one line become those with the line's own axis added: the lower envelope of parabolas
/// (Felzenszwalb & Huttenlocher 2012).
class Envelope {
 public:
  explicit Envelope(int side) : line_(static_cast<size_t>(side)), apex_(line_.size()), from_(line_.size() + 1) {}

  void apply(float* values, int64_t stride) {
    const auto n = static_cast<int64_t>(line_.size());
    for (int64_t i = 0; i < n; ++i) line_[size_t(i)] = values[i * stride];
    int64_t k = 0;
    apex_[0] = 0;
    from_[0] = -std::numeric_limits<double>::infinity();
    from_[1] = std::numeric_limits<double>::infinity();
    for (int64_t q = 1; q < n; ++q) {
      double crossing = cross(q, apex_[size_t(k)]);
      while (crossing <= from_[size_t(k)]) crossing = cross(q, apex_[size_t(--k)]);
      apex_[size_t(++k)] = q;
      from_[size_t(k)] = crossing;
      from_[size_t(k) + 1] = std::numeric_limits<double>::infinity();
    }
    k = 0;
    for (int64_t q = 0; q < n; ++q) {
      while (from_[size_t(k) + 1] < double(q)) ++k;
      const auto away = static_cast<float>(q - apex_[size_t(k)]);
      values[q * stride] = away * away + line_[size_t(apex_[size_t(k)])];
    }
  }

 private:
  double cross(int64_t q, int64_t p) const {
    return (double(line_[size_t(q)]) + double(q * q) - double(line_[size_t(p)]) - double(p * p)) /
           (2.0 * double(q - p));
  }
  std::vector<float> line_;
  std::vector<int64_t> apex_;
  std::vector<double> from_;
};

}  // namespace

std::vector<float> soft_mask(std::span<const float> volume, int side, double threshold, double dilation, double edge) {
  const int64_t n = side, plane = n * n;
  expect(static_cast<int64_t>(volume.size()) == plane * n, "mask: the map must be side^3");
  expect(dilation >= 0 && edge >= 0, "mask: dilation and edge must not be negative");
  std::vector<float> mask(volume.size());
  std::transform(volume.begin(), volume.end(), mask.begin(), [&](float v) { return v > threshold ? 0.0f : far; });
  Envelope envelope(side);
  for (int64_t i = 0; i < plane; ++i) envelope.apply(mask.data() + i * n, 1);
  for (int64_t z = 0; z < n; ++z)
    for (int64_t x = 0; x < n; ++x) envelope.apply(mask.data() + z * plane + x, n);
  for (int64_t i = 0; i < plane; ++i) envelope.apply(mask.data() + i, plane);
  for (float& v : mask) {
    const double beyond = std::sqrt(double(v)) - dilation;
    v = beyond <= 0      ? 1.0f
        : beyond >= edge ? 0.0f
                         : static_cast<float>(0.5 + 0.5 * std::cos(std::numbers::pi * beyond / edge));
  }
  return mask;
}

double usual_threshold(std::span<const float> volume) {
  std::vector<float> sorted(volume.begin(), volume.end());
  const auto rank = sorted.begin() + static_cast<int64_t>(0.9999 * static_cast<double>(sorted.size() - 1));
  std::nth_element(sorted.begin(), rank, sorted.end());
  return *rank / 2;
}

}  // namespace recon
