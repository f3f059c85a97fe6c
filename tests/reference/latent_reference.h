#pragma once
// The latent variable (paper §3.2, eq. 9) as it is defined, in doubles: never optimised.
#include "tests/reference/compare.h"

namespace recon::reference {

struct Reparameterized {
  Values z, kl;
};

/// z = μ + exp(½ log σ²) ε, kl[b] = ½ Σ (μ² + σ² − 1 − log σ²); encoded [B, 2Z] = [μ | log σ²], noise [B, Z].
inline Reparameterized reparameterize(size_t rows, const Values& encoded, const Values& noise) {
  const size_t width = noise.size() / rows;
  Reparameterized out{{}, Values(rows)};
  for (size_t b = 0; b < rows; ++b)
    for (size_t j = 0; j < width; ++j) {
      const double mu = encoded[2 * b * width + j], logvar = encoded[(2 * b + 1) * width + j];
      out.z.push_back(mu + std::exp(logvar / 2) * noise[b * width + j]);
      out.kl[b] += (mu * mu + std::exp(logvar) - 1 - logvar) / 2;
    }
  return out;
}

/// Gradient of dz · z + kl_scale Σ kl by `encoded`.
inline Values reparameterize_backward(size_t rows, const Values& encoded, const Values& noise, const Values& dz,
                                      double kl_scale) {
  const size_t width = noise.size() / rows;
  Values out(encoded.size());
  for (size_t b = 0; b < rows; ++b)
    for (size_t j = 0; j < width; ++j) {
      const double mu = encoded[2 * b * width + j], logvar = encoded[(2 * b + 1) * width + j], d = dz[b * width + j];
      out[2 * b * width + j] = d + kl_scale * mu;
      out[(2 * b + 1) * width + j] =
          d * noise[b * width + j] * std::exp(logvar / 2) / 2 + kl_scale * (std::exp(logvar) - 1) / 2;
    }
  return out;
}

/// ½ |z|² a row.
inline Values latent_prior(size_t rows, const Values& z) {
  Values out(rows);
  for (size_t i = 0; i < z.size(); ++i) out[i / (z.size() / rows)] += z[i] * z[i] / 2;
  return out;
}

/// Gradient of scale · Σ_b latent_prior[b].
inline Values latent_prior_backward(const Values& z, double scale) {
  Values out;
  for (const double v : z) out.push_back(scale * v);
  return out;
}

}  // namespace recon::reference
