#include "engine/train/linear_latents.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "engine/geometry/lattice.h"
#include "engine/geometry/rotation.h"
#include "tests/reference/compare.h"

using namespace recon;
using namespace recon::reference;

namespace {

constexpr int side = 32;
constexpr double band = 8;

/// Hartley coefficient at k (1/D) of a Gaussian blob of unit weight, 2 pixels wide.
double blob(const double* k, const double* at) {
  const double square = k[0] * k[0] + k[1] * k[1] + k[2] * k[2];
  const double phase = 2 * std::numbers::pi * (k[0] * at[0] + k[1] * at[1] + k[2] * at[2]) / side;
  return std::exp(-2 * std::pow(std::numbers::pi * 2 / side, 2) * square) * (std::cos(phase) + std::sin(phase));
}

/// Images of two still blobs and of one more a latent, whose weights are the latents, at random rotations.
struct Linear {
  std::vector<Pixel> pixels = circular_pixels(side, band);
  std::vector<float> matrices, values, ctf;
  std::vector<double> z;
  Linear(int count, int latents, bool with_ctf, double noise) {
    constexpr double still[2][3] = {{3, -2, 1}, {-4, 1, 2}}, moving[2][3] = {{1, 5, -3}, {-2, -4, -4}};
    Draws draws(5);
    for (int i = 0; i < count; ++i) {
      const auto r = random_rotation({3, Purpose::test}, uint64_t(i));
      for (const double v : r) matrices.push_back(static_cast<float>(v));
      for (int j = 0; j < latents; ++j) z.push_back(double(draws.normal()));
      const double period = draws.uniform(3, 9);
      for (const Pixel p : pixels) {
        double k[3];
        for (size_t axis = 0; axis < 3; ++axis) k[axis] = r[axis] * p.x + r[3 + axis] * p.y;
        double value = blob(k, still[0]) + blob(k, still[1]);
        for (int j = 0; j < latents; ++j) value += 0.5 * z[z.size() - size_t(latents) + size_t(j)] * blob(k, moving[j]);
        const double c = with_ctf ? std::cos(std::hypot(p.x, p.y) / period) : 1;
        if (with_ctf) ctf.push_back(static_cast<float>(c));
        values.push_back(static_cast<float>(c * value + noise * double(draws.normal())));
      }
    }
  }
  LinearImages view() const { return {matrices, values, ctf}; }
};

/// Of the least squares of `truth` by the columns of `found` and 1: the share of its variance that they explain.
double explained(const std::vector<float>& found, const std::vector<double>& truth, size_t latents, size_t which) {
  // Columns of `found` have unit covariance and mean 0, so the squared correlations add up.
  const size_t count = found.size() / latents;
  double share = 0, mean = 0, square = 0;
  for (size_t i = 0; i < count; ++i) mean += truth[i * latents + which] / double(count);
  for (size_t i = 0; i < count; ++i) square += std::pow(truth[i * latents + which] - mean, 2) / double(count);
  for (size_t j = 0; j < latents; ++j) {
    double covariance = 0;
    for (size_t i = 0; i < count; ++i)
      covariance += double(found[i * latents + j]) * (truth[i * latents + which] - mean) / double(count);
    share += covariance * covariance / square;
  }
  return share;
}

}  // namespace

TEST_CASE("Linear latents: the latents of a linear family are found from any start, with a CTF and in noise") {
  for (const auto& [latents, ctf, noise, least] :
       {std::tuple{1, false, 0.0, 0.98}, {1, true, 0.0, 0.97}, {2, false, 0.0, 0.95}, {1, false, 0.6, 0.8}})
    for (const uint64_t seed : {1, 2}) {
      const Linear images(600, latents, ctf, noise);
      ThreadPool threads(2);
      LinearLatents linear(threads, images.pixels, band, latents, seed);
      linear.fit(images.view());
      const auto z = linear.of(images.view());
      for (size_t j = 0; j < size_t(latents); ++j) {
        double mean = 0, square = 0;
        for (size_t i = j; i < z.size(); i += size_t(latents))
          mean += double(z[i]) / 600, square += double(z[i] * z[i]) / 600;
        CHECK(std::abs(mean) < 1e-4);
        CHECK(std::abs(square - 1) < 1e-3);
        const double share = explained(z, images.z, size_t(latents), j);
        INFO("latents ", latents, ", CTF ", ctf, ", noise ", noise, ": explained ", share);
        CHECK(share > least);
      }
    }
}

TEST_CASE("Linear latents: the same bits for 1 and 3 threads") {
  const Linear images(101, 2, true, 0.1);
  std::vector<float> found[2];
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    LinearLatents linear(pool, images.pixels, band, 2, 7);
    linear.fit(images.view());
    found[threads / 2] = linear.of(images.view());
  }
  CHECK(found[0] == found[1]);
}
