#include "kernels/latent/latent.h"

#include "kernels/ops.h"

namespace recon {

void reparameterize(Device& device, const Reparameterize& a) {
  expect(a.encoded.rows == a.z.rows && a.encoded.cols == 2 * a.z.cols, "reparameterize: encoded must be [B, 2Z]");
  expect(a.images.size() == a.z.rows && a.kl.size() == a.z.rows, "reparameterize: images and kl must be [1, B]");
  device.ops().reparameterize(device, a);
}

void reparameterize_backward(Device& device, const ReparameterizeBackward& a) {
  expect(a.encoded.cols == 2 * a.z.cols && a.dencoded.size() == a.encoded.size() && a.dz.size() == a.z.size(),
         "reparameterize: gradients must be shaped like their values");
  device.ops().reparameterize_backward(device, a);
}

void gather_latents(Device& device, const GatherLatents& a) {
  expect(a.table.cols == a.z.cols && a.rows.size() == a.z.rows && a.prior.size() == a.z.rows,
         "gather_latents: z must be [B, Z], rows and prior [1, B]");
  device.ops().gather_latents(device, a);
}

void latent_prior(Device& device, const LatentPrior& a) {
  expect(a.z.size() == a.dz.size(), "latent_prior: dz must be shaped like z");
  device.ops().latent_prior(device, a);
}

}  // namespace recon
