// Latents on the GPU: a minibatch is a few hundred numbers, so the launch is the cost. Sums of a row are made by a
// warp, in doubles.
#include "kernels/latent/latent.h"

#include <cmath>

#include "kernels/cuda.h"
#include "kernels/device/pointwise.h"

namespace recon::cuda {
namespace {

RECON_KERNEL(128) reparameterize_kernel(Reparameterize a) {
  const int64_t b = warp_row(), width = a.z.cols;
  if (b >= a.z.rows) return;
  const Philox noise{a.seed, Purpose::latent_noise};
  const uint64_t index = static_cast<uint64_t>(a.images[b]) << 32 | a.epoch.get();
  double kl = 0;
  for (int64_t j = lane_of(thread()); j < width; j += 32) {
    const float mu = a.encoded(b, j), logvar = a.encoded(b, width + j);
    const float epsilon = normal_from(noise.draw(index, static_cast<uint32_t>(j)).v[0]);
    a.z(b, j) = mu + std::exp(0.5f * logvar) * epsilon;
    kl += 0.5 * (double(mu) * mu + std::exp(double(logvar)) - 1 - logvar);
  }
  kl = warp_sum(kl);
  if (lane_of(thread()) == 0) a.kl[b] = static_cast<float>(kl);
}

RECON_KERNEL(256) reparameterize_backward_kernel(ReparameterizeBackward a) {
  const int64_t width = a.z.cols;
  const float kl_scale = a.kl_scale.get();
  for (int64_t i = grid_thread(); i < a.z.size(); i += grid_threads()) {
    const int64_t b = i / width, j = i % width;
    const float mu = a.encoded(b, j), logvar = a.encoded(b, width + j), dz = a.dz[i];
    a.dencoded(b, j) += dz + kl_scale * mu;
    a.dencoded(b, width + j) += 0.5f * dz * (a.z[i] - mu) + 0.5f * kl_scale * (std::exp(logvar) - 1);
  }
}

RECON_KERNEL(128) gather_latents_kernel(GatherLatents a) {
  const int64_t b = warp_row();
  if (b >= a.z.rows) return;
  const float* from = a.table.row(a.rows[b]) + lane_of(thread());
  float* const end = a.z.row(b + 1);
  double sum = 0;
  for (float* to = a.z.row(b) + lane_of(thread()); to < end; to += 32, from += 32) {
    const float value = *from;
    *to = value;
    sum += 0.5 * double(value) * value;
  }
  sum = warp_sum(sum);
  if (lane_of(thread()) == 0) a.prior[b] = static_cast<float>(sum);
}

RECON_KERNEL(256) latent_prior_kernel(LatentPrior a) {
  const float scale = a.scale.get();
  for (int64_t i = grid_thread(); i < a.z.size(); i += grid_threads()) a.dz[i] += scale * a.z[i];
}

}  // namespace

void reparameterize(Device& device, const Reparameterize& a) {
  launch(queue_of(device), "reparameterize", warp_a_row(a.z.rows), reparameterize_kernel, a);
}

void reparameterize_backward(Device& device, const ReparameterizeBackward& a) {
  launch(queue_of(device), "reparameterize_backward", covering(a.z.size()), reparameterize_backward_kernel, a);
}

void gather_latents(Device& device, const GatherLatents& a) {
  launch(queue_of(device), "gather_latents", warp_a_row(a.z.rows), gather_latents_kernel, a);
}

void latent_prior(Device& device, const LatentPrior& a) {
  launch(queue_of(device), "latent_prior", covering(a.z.size()), latent_prior_kernel, a);
}

}  // namespace recon::cuda
