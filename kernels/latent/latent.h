#pragma once
#include "kernels/runtime/device.h"
#include "kernels/runtime/philox.h"
#include "kernels/runtime/scalar.h"

namespace recon {

/// z = μ + exp(½ log σ²) ε with ε standard normal, Philox-keyed by (seed, latent_noise, image, epoch, component), and
/// kl[b] = ½ Σ (μ² + σ² − 1 − log σ²) (paper §3.2, eq. 9).  encoded: [B, 2Z] = [μ | log σ²].
struct Reparameterize {
  View<const float> encoded;
  View<const int32_t> images;  ///< [1, B] image numbers: the key of the noise
  View<float> z;               ///< [B, Z]
  View<float> kl;              ///< [1, B]
  uint64_t seed = 0;
  Scalar<uint32_t> epoch = 0u;
};

/// dencoded += gradient of (dz · z + kl_scale Σ kl).
struct ReparameterizeBackward {
  View<const float> encoded, z, dz;
  View<float> dencoded;
  Scalar<float> kl_scale = 0.0f;
};

/// Row gather z[b] = table[rows[b]] with the standard normal prior as penalty: prior[b] = ½ |z|².
struct GatherLatents {
  View<const float> table;   ///< [N, Z]
  View<const int32_t> rows;  ///< [1, B]
  View<float> z;             ///< [B, Z]
  View<float> prior;         ///< [1, B]
};

/// dz += scale · z: the gradient of the prior penalty.
struct LatentPrior {
  View<const float> z;
  View<float> dz;
  Scalar<float> scale = 0.0f;
};

void reparameterize(Device& device, const Reparameterize& args);
void reparameterize_backward(Device& device, const ReparameterizeBackward& args);
void gather_latents(Device& device, const GatherLatents& args);
void latent_prior(Device& device, const LatentPrior& args);

}  // namespace recon
