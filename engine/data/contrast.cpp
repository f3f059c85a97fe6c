#include "engine/data/contrast.h"

#include <cmath>
#include <vector>

#include "engine/data/dataset.h"

namespace recon {
namespace {

/// Centre less rim of one image [D, D].
double centre_less_rim(const std::vector<float>& image, int side) {
  double centre = 0, rim = 0, centre_count = 0, rim_count = 0;
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x) {
      const double r = std::hypot(x - side / 2, y - side / 2) / (side / 2.0);
      const float v = image[static_cast<size_t>(y) * static_cast<size_t>(side) + static_cast<size_t>(x)];
      if (r < ContrastReport::inside) centre += v, ++centre_count;
      if (r > ContrastReport::outside && r <= 1) rim += v, ++rim_count;
    }
  return rim_count > 0 ? centre / centre_count - rim / rim_count : 0;
}

/// Whether the CTF is negative over the frequencies that centre and rim differ by: 1 to 3 periods a box, both axes.
bool negative_at_low_frequency(const CtfParameters& ctf, double box_angstrom) {
  double sum = 0;
  for (int k = 1; k <= 3; ++k) sum += ctf_value(ctf, k / box_angstrom, 0) + ctf_value(ctf, 0, k / box_angstrom);
  return sum < 0;
}

/// Mean over standard error.
struct Mean {
  double sum = 0, squares = 0;
  void add(double value) { sum += value, squares += value * value; }
  double sigma(int64_t n) const {
    if (n < 2) return 0;
    const double count = static_cast<double>(n), mean = sum / count, variance = squares / count - mean * mean;
    return mean / std::sqrt(std::max(variance, 1e-30) / count);
  }
};

}  // namespace

ContrastReport measure_contrast(const io::ParticleTable& particles, bool with_ctf, bool inverted, int64_t at_most) {
  const int side = particles.side;
  const int64_t stride = std::max<int64_t>(1, (particles.size() + at_most - 1) / at_most);
  const auto ctf = with_ctf ? ctf_parameters(particles) : std::vector<CtfParameters>{};
  std::vector<float> image(static_cast<size_t>(side) * static_cast<size_t>(side));
  ContrastReport report;
  Mean seen, density;
  int64_t positive = 0, negative_ctf = 0;
  for (int64_t i = 0; i < particles.size(); i += stride, ++report.images) {
    io::read_particles(particles, i, 1, image);
    const double difference = centre_less_rim(image, side);
    const bool flips =
        !ctf.empty() && negative_at_low_frequency(ctf[static_cast<size_t>(i)], side * particles.pixel_size_angstrom);
    const double evidence = difference * (flips ? -1 : 1) * (inverted ? -1 : 1);
    seen.add(difference);
    density.add(evidence);
    positive += evidence > 0;
    negative_ctf += flips;
  }
  if (report.images == 0) return report;
  const double n = static_cast<double>(report.images);
  report.centre_minus_rim_sigma = seen.sigma(report.images);
  report.density_sigma = density.sigma(report.images);
  report.ctf_negative = static_cast<double>(negative_ctf) / n;
  report.agreeing = (report.density_sigma < 0 ? n - static_cast<double>(positive) : static_cast<double>(positive)) / n;
  return report;
}

}  // namespace recon
