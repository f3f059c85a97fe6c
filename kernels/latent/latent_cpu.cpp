#include "kernels/latent/latent.h"

#include <cmath>

#include "kernels/cpu.h"

// A minibatch of latents is a few hundred numbers: plain loops on the calling thread.
namespace recon::cpu {

void reparameterize(Device&, const Reparameterize& a) {
  const Philox noise{a.seed, Purpose::latent_noise};
  const int64_t width = a.z.cols;
  for (int64_t b = 0; b < a.z.rows; ++b) {
    double kl = 0;
    for (int64_t j = 0; j < width; ++j) {
      const float mu = a.encoded(b, j), logvar = a.encoded(b, width + j);
      const uint64_t index = static_cast<uint64_t>(a.images[b]) << 32 | a.epoch.get();
      const float epsilon = normal_from(noise.draw(index, static_cast<uint32_t>(j)).v[0]);
      a.z(b, j) = mu + std::exp(0.5f * logvar) * epsilon;
      kl += 0.5 * (double(mu) * mu + std::exp(double(logvar)) - 1 - logvar);
    }
    a.kl[b] = static_cast<float>(kl);
  }
}

void reparameterize_backward(Device&, const ReparameterizeBackward& a) {
  const int64_t width = a.z.cols;
  for (int64_t b = 0; b < a.z.rows; ++b)
    for (int64_t j = 0; j < width; ++j) {
      const float mu = a.encoded(b, j), logvar = a.encoded(b, width + j), dz = a.dz(b, j);
      a.dencoded(b, j) += dz + a.kl_scale.get() * mu;
      a.dencoded(b, width + j) += 0.5f * dz * (a.z(b, j) - mu) + 0.5f * a.kl_scale.get() * (std::exp(logvar) - 1);
    }
}

void gather_latents(Device&, const GatherLatents& a) {
  for (int64_t b = 0; b < a.z.rows; ++b) {
    double sum = 0;
    for (int64_t j = 0; j < a.z.cols; ++j) {
      a.z(b, j) = a.table(a.rows[b], j);
      sum += 0.5 * double(a.z(b, j)) * a.z(b, j);
    }
    a.prior[b] = static_cast<float>(sum);
  }
}

void latent_prior(Device&, const LatentPrior& a) {
  for (int64_t i = 0; i < a.z.size(); ++i) a.dz[i] += a.scale.get() * a.z[i];
}

}  // namespace recon::cpu
