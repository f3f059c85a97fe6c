#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/geometry/band_limited.h"
#include "engine/simulate/model.h"
#include "kernels/image/ctf.h"

namespace recon {

/// What made one image.
struct ImageTruth {
  Matrix3 rotation = identity_matrix;
  std::array<double, 2> shift_px = {0, 0};  ///< to apply to the image to centre it: the particle stands at D/2 − shift
  double state = 0.5;
  CtfParameters ctf = {};
};

/// How to draw truths (paper appendix B).
struct TruthOptions {
  int64_t images = 1000;
  uint64_t seed = 0;
  double shift_extent_px = 0;  ///< uniform in [−extent, extent]²
  int states = 1;              ///< 0: continuous, uniform in [0, 1]; 1: s = ½; K: evenly from 0 to 1, drawn uniformly
  double defocus_min_angstrom = 10000, defocus_max_angstrom = 30000;  ///< mean defocus; astigmatism is up to 1000 Å
  CtfParameters microscope = {};                                      ///< voltage, aberration, amplitude contrast
};

/// Uniform rotations, shifts, states and defoci: functions of (seed, image), whatever the number of images.
/// Throws ContractError for options out of range.
std::vector<ImageTruth> draw_truths(const TruthOptions& options);

/// The state of index k of K.
double state_of(int k, int states);

/// Something that can be projected: exact central slices.
class Projectable {
 public:
  virtual ~Projectable() = default;
  virtual int side() const = 0;
  /// Writes the Hartley coefficients [D·D] of the projection along z of the particle, rotated by R and moved by −shift,
  /// at |k| < D/2; the others are 0.
  virtual void project(const ImageTruth& truth, float* hartley) const = 0;
};

/// Exact in double precision: a Gaussian's projection is a Gaussian. The model must outlive it.
std::unique_ptr<Projectable> projectable(const GaussianModel& model);
/// Slices of a map within 1e-5 (engine/geometry/band_limited.h). `state` picks one of several maps: s = k/(K − 1).
std::unique_ptr<Projectable> projectable(Device& device, const std::vector<std::vector<float>>& maps, int side);

/// Real-space images [truths, D·D] of `truths`, without noise; times the CTF where `pixel_size_angstrom` > 0.
void render(Device& device, const Projectable& particle, std::span<const ImageTruth> truths, float pixel_size_angstrom,
            View<float> images);

/// Variance over all pixels of all given images: the signal of the paper's SNR.
double variance(std::span<const float> images);

/// Adds N(0, sigma²) to images whose first one has index `first` in the set: a function of (seed, image, pixel).
void add_noise(Device& device, View<float> images, int64_t first, double sigma, uint64_t seed);

}  // namespace recon
