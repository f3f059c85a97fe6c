#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/image/image.h"
#include "kernels/runtime/thread_pool.h"

namespace recon {

/// Images over a band of pixels, centred by their shifts.
struct LinearImages {
  std::span<const float> matrices;  ///< [N·9]
  std::span<const float> values;    ///< [N·P]
  std::span<const float> ctf;       ///< [N·P], or empty: 1
  int64_t size() const { return static_cast<int64_t>(matrices.size()) / 9; }
};

/// Structures that depend linearly on their latents,
///
///   X_i = C_i P_i (V_0 + Σ_j z_ij V_j) + noise of variance σ²,   z_ij ~ N(0, 1),
///
/// found by expectation maximisation: probabilistic principal components of the volumes (Tipping & Bishop 1999; Punjani
/// & Fleet 2021 call it 3-D variability analysis). Unlike a network's latents these do not hang on where they began:
/// one structure's images are ordered along the motion of largest variance, so they are where a table starts from.
/// Hartley volumes on the Fourier lattice itself, trilinear interpolation: a start, not a reconstruction. Sums are
/// fixed by the images' order: the same bits for any number of threads.
class LinearLatents {
 public:
  /// `pixels` within `band` of the origin (1/D). Throws ContractError unless there is a latent and a pixel.
  LinearLatents(ThreadPool& threads, std::span<const Pixel> pixels, double band, int latents, uint64_t seed);

  /// Learns the volumes from some images; `of` may be called then.
  void fit(const LinearImages& images);
  /// Expected latents of images [N·Z], of unit covariance over those that were learned from.
  std::vector<float> of(const LinearImages& images) const;

 private:
  struct Sums;
  struct Sample;
  struct Posterior;
  void expect_image(const LinearImages& images, int64_t image, Posterior& posterior) const;
  void add_image(const LinearImages& images, int64_t image, const Posterior& posterior, Sums& sums) const;
  void maximise(const Sums& sums);
  void whiten(const std::vector<float>& latents);

  ThreadPool* threads_;
  std::vector<Pixel> pixels_;
  int latents_, side_, centre_;
  uint64_t seed_;
  double noise_ = 1e-3;                   ///< σ²; at first hardly any: latents are free to find their scale
  std::vector<float> volumes_;            ///< [M³, Z + 1]
  std::vector<double> mean_, whitening_;  ///< of the latents [Z], and the Cholesky factor of their covariance [Z, Z]
};

}  // namespace recon
