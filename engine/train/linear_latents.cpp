#include "engine/train/linear_latents.h"

#include <algorithm>
#include <cmath>

#include "engine/geometry/cholesky.h"
#include "kernels/runtime/device.h"
#include "kernels/runtime/philox.h"

namespace recon {
namespace {

constexpr int iterations = 12;
constexpr int64_t slots = 4;          // of partial sums
constexpr double least_weight = 0.5;  // of a voxel, in samples: one that none meets stays 0

}  // namespace

/// Eight voxels and their weights.
struct LinearLatents::Sample {
  int64_t at[8];
  float weight[8];
  Sample(const float* matrix, Pixel pixel, int side, int centre) {
    const auto x = static_cast<float>(pixel.x), y = static_cast<float>(pixel.y);
    int64_t low[3];
    float part[3];
    for (int axis = 0; axis < 3; ++axis) {
      const float k = matrix[axis] * x + matrix[3 + axis] * y;
      const float below = std::floor(k);
      low[axis] = static_cast<int64_t>(below) + centre;
      part[axis] = k - below;
    }
    for (int corner = 0; corner < 8; ++corner) {
      const int dx = corner & 1, dy = corner >> 1 & 1, dz = corner >> 2;
      at[corner] = ((low[2] + dz) * side + low[1] + dy) * side + low[0] + dx;
      weight[corner] = (dx ? part[0] : 1 - part[0]) * (dy ? part[1] : 1 - part[1]) * (dz ? part[2] : 1 - part[2]);
    }
  }
};

/// What an image says of its z: mean, covariance, and its residual's power.
struct LinearLatents::Posterior {
  std::vector<double> mean, covariance;
  std::vector<double> slice, information;
  double power = 0;
  explicit Posterior(int latents)
      : mean(static_cast<size_t>(latents)),
        covariance(static_cast<size_t>(latents * latents)),
        slice(static_cast<size_t>(latents + 1)),
        information(static_cast<size_t>(latents * latents)) {}
};

/// Normal equations of every voxel: upper triangles [M³, T], right-hand sides [M³, Z + 1].
struct LinearLatents::Sums {
  std::vector<float> normal, right;
  double power = 0;
  void add(const Sums& other) {
    for (size_t i = 0; i < normal.size(); ++i) normal[i] += other.normal[i];
    for (size_t i = 0; i < right.size(); ++i) right[i] += other.right[i];
    power += other.power;
  }
};

LinearLatents::LinearLatents(ThreadPool& threads, std::span<const Pixel> pixels, double band, int latents,
                             uint64_t seed)
    : threads_(&threads), pixels_(pixels.begin(), pixels.end()), latents_(latents), seed_(seed) {
  expect(latents > 0 && !pixels.empty(), "linear latents: there is nothing to find");
  centre_ = static_cast<int>(std::ceil(band)) + 1;
  side_ = 2 * centre_ + 2;
}

/// E step of one image.
void LinearLatents::expect_image(const LinearImages& images, int64_t image, Posterior& p) const {
  const int z = latents_;
  const auto count = static_cast<int64_t>(pixels_.size());
  const float *matrix = images.matrices.data() + 9 * image, *values = images.values.data() + image * count,
              *ctf = images.ctf.empty() ? nullptr : images.ctf.data() + image * count;
  std::fill(p.mean.begin(), p.mean.end(), 0.0);
  std::fill(p.information.begin(), p.information.end(), 0.0);
  double power = 0;
  for (int64_t i = 0; i < count; ++i) {
    const Sample sample(matrix, pixels_[static_cast<size_t>(i)], side_, centre_);
    std::fill(p.slice.begin(), p.slice.end(), 0.0);
    for (int corner = 0; corner < 8; ++corner) {
      const float* voxel = volumes_.data() + sample.at[corner] * (z + 1);
      for (int j = 0; j <= z; ++j) p.slice[static_cast<size_t>(j)] += double(sample.weight[corner]) * double(voxel[j]);
    }
    const double c = ctf ? double(ctf[i]) : 1, rest = double(values[i]) - c * p.slice[0];
    power += rest * rest;
    for (int j = 0; j < z; ++j) {
      const double s = c * p.slice[static_cast<size_t>(j + 1)];
      p.mean[static_cast<size_t>(j)] += s * rest;
      for (int k = 0; k <= j; ++k)
        p.information[static_cast<size_t>(j * z + k)] += s * c * p.slice[static_cast<size_t>(k + 1)];
    }
  }
  // z = (G + σ²)⁻¹ h, its covariance σ² (G + σ²)⁻¹; what is left of the power is |r|² − 2 hᵀz + zᵀGz = |r|² − hᵀz − σ²
  // |z|².
  std::vector<double>& l = p.information;
  for (int j = 0; j < z; ++j) l[static_cast<size_t>(j * z + j)] += noise_;
  factorise(l.data(), z);
  const std::vector<double> h = p.mean;
  solve_lower(l.data(), z, p.mean.data());
  solve_upper(l.data(), z, p.mean.data());
  for (int j = 0; j < z; ++j) {
    double* column = p.covariance.data() + j * z;
    std::fill(column, column + z, 0.0);
    column[j] = noise_;
    solve_lower(l.data(), z, column);
    solve_upper(l.data(), z, column);
    power -= p.mean[static_cast<size_t>(j)] * (h[static_cast<size_t>(j)] + noise_ * p.mean[static_cast<size_t>(j)]);
  }
  p.power = power;
}

void LinearLatents::add_image(const LinearImages& images, int64_t image, const Posterior& p, Sums& sums) const {
  const int z = latents_, terms = (z + 1) * (z + 2) / 2;
  const auto count = static_cast<int64_t>(pixels_.size());
  const float *matrix = images.matrices.data() + 9 * image, *values = images.values.data() + image * count,
              *ctf = images.ctf.empty() ? nullptr : images.ctf.data() + image * count;
  // E[(1, z)(1, z)ᵀ], lower triangle, row after row.
  std::vector<float> moments, first = {1};
  for (const double m : p.mean) first.push_back(static_cast<float>(m));
  for (int j = 0; j <= z; ++j)
    for (int k = 0; k <= j; ++k) {
      const double covariance = k > 0 ? p.covariance[static_cast<size_t>((j - 1) * z + k - 1)] : 0;
      moments.push_back(first[static_cast<size_t>(j)] * first[static_cast<size_t>(k)] + static_cast<float>(covariance));
    }
  for (int64_t i = 0; i < count; ++i) {
    const Sample sample(matrix, pixels_[static_cast<size_t>(i)], side_, centre_);
    const float c = ctf ? ctf[i] : 1;
    for (int corner = 0; corner < 8; ++corner) {
      const float squared = sample.weight[corner] * c * c, value = sample.weight[corner] * c * values[i];
      float *normal = sums.normal.data() + sample.at[corner] * terms,
            *right = sums.right.data() + sample.at[corner] * (z + 1);
      for (int t = 0; t < terms; ++t) normal[t] += squared * moments[static_cast<size_t>(t)];
      for (int j = 0; j <= z; ++j) right[j] += value * first[static_cast<size_t>(j)];
    }
  }
  sums.power += p.power;
}

/// M step: every voxel's own least squares.
void LinearLatents::maximise(const Sums& sums) {
  const int n = latents_ + 1, terms = n * (n + 1) / 2;
  const int64_t voxels = int64_t{side_} * side_ * side_;
  threads_->for_range(voxels, 1024, [&](int64_t first, int64_t last) {
    std::vector<double> l(static_cast<size_t>(n * n)), v(static_cast<size_t>(n));
    for (int64_t voxel = first; voxel < last; ++voxel) {
      const float *normal = sums.normal.data() + voxel * terms, *right = sums.right.data() + voxel * n;
      for (int j = 0; j < n; ++j) {
        for (int k = 0; k <= j; ++k) l[static_cast<size_t>(j * n + k)] = double(*normal++);
        l[static_cast<size_t>(j * n + j)] += least_weight;
        v[static_cast<size_t>(j)] = double(right[j]);
      }
      factorise(l.data(), n);
      solve_lower(l.data(), n, v.data());
      solve_upper(l.data(), n, v.data());
      for (int j = 0; j < n; ++j)
        volumes_[static_cast<size_t>(voxel * n + j)] = static_cast<float>(v[static_cast<size_t>(j)]);
    }
  });
}

void LinearLatents::fit(const LinearImages& images) {
  const int z = latents_, n = z + 1;
  const int64_t voxels = int64_t{side_} * side_ * side_, count = images.size();
  const Philox random{seed_, Purpose::linear_latents};
  volumes_.assign(static_cast<size_t>(voxels * n), 0.0f);
  whitening_.clear();
  for (int iteration = 0; iteration <= iterations; ++iteration) {
    std::vector<Sums> parts(static_cast<size_t>(slots));
    std::vector<float> means(static_cast<size_t>(count * z));
    threads_->run(slots, [&](int64_t slot, int) {
      Sums& sums = parts[static_cast<size_t>(slot)];
      sums.normal.assign(static_cast<size_t>(voxels * n * (n + 1) / 2), 0.0f);
      sums.right.assign(static_cast<size_t>(voxels * n), 0.0f);
      Posterior posterior(z);
      for (int64_t i = slot * count / slots; i < (slot + 1) * count / slots; ++i) {
        if (iteration > 0)
          expect_image(images, i, posterior);
        else  // any z: the first volumes are noise about the mean structure
          for (int j = 0; j < z; ++j)
            posterior.mean[static_cast<size_t>(j)] =
                double(normal_from(random.draw(static_cast<uint64_t>(i), static_cast<uint32_t>(j)).v[0]));
        for (int j = 0; j < z; ++j)
          means[static_cast<size_t>(i * z + j)] = static_cast<float>(posterior.mean[static_cast<size_t>(j)]);
        if (iteration < iterations) add_image(images, i, posterior, sums);
      }
    });
    if (iteration == iterations) return whiten(means);
    for (int64_t slot = 1; slot < slots; ++slot) parts[0].add(parts[static_cast<size_t>(slot)]);
    maximise(parts[0]);
    if (iteration > 0) noise_ = std::max(1e-6, parts[0].power / (double(count) * double(pixels_.size())));
  }
}

/// Remembers what makes the latents' mean 0 and their covariance 1.
void LinearLatents::whiten(const std::vector<float>& latents) {
  const int z = latents_;
  const auto count = static_cast<double>(latents.size()) / z;
  mean_.assign(static_cast<size_t>(z), 0.0);
  whitening_.assign(static_cast<size_t>(z * z), 0.0);
  for (size_t i = 0; i < latents.size(); ++i) mean_[i % static_cast<size_t>(z)] += double(latents[i]) / count;
  for (size_t i = 0; i < latents.size(); i += static_cast<size_t>(z))
    for (int j = 0; j < z; ++j)
      for (int k = 0; k <= j; ++k)
        whitening_[static_cast<size_t>(j * z + k)] +=
            (double(latents[i + static_cast<size_t>(j)]) - mean_[static_cast<size_t>(j)]) *
            (double(latents[i + static_cast<size_t>(k)]) - mean_[static_cast<size_t>(k)]) / count;
  for (int j = 0; j < z; ++j) whitening_[static_cast<size_t>(j * z + j)] += 1e-12;
  factorise(whitening_.data(), z);
}

std::vector<float> LinearLatents::of(const LinearImages& images) const {
  const int z = latents_;
  std::vector<float> out(static_cast<size_t>(images.size() * z));
  threads_->for_range(images.size(), 64, [&](int64_t first, int64_t last) {
    Posterior posterior(z);
    for (int64_t i = first; i < last; ++i) {
      expect_image(images, i, posterior);
      for (int j = 0; j < z; ++j) posterior.mean[static_cast<size_t>(j)] -= mean_[static_cast<size_t>(j)];
      solve_lower(whitening_.data(), z, posterior.mean.data());
      for (int j = 0; j < z; ++j)
        out[static_cast<size_t>(i * z + j)] = static_cast<float>(posterior.mean[static_cast<size_t>(j)]);
    }
  });
  return out;
}

}  // namespace recon
