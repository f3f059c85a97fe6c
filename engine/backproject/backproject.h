#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "engine/geometry/rotation.h"
#include "kernels/image/image.h"

namespace recon {

/// What the classical baseline does (paper §2.2).
struct BackprojectOptions {
  int oversampling = 2;    ///< padding of the Fourier grid; 3: a third of the interpolation error, last shell excepted
  bool regularise = true;  ///< Wiener filter a shell from the FSC of the half maps, on `volume` only
};

/// Images to insert. Rows are images; all views are in the device's memory.
struct BackprojectImages {
  View<const float> images = {};            ///< [N, P], Hartley coefficients at `pixels`
  View<const Pixel> pixels = {};            ///< [1, P], in pairs, as circular_pixels gives them
  std::span<const Matrix3> rotations = {};  ///< N
  View<const float> shifts = {};            ///< [N, 2] pixels to apply to the image, or empty
  View<const CtfParameters> ctf = {};       ///< [1, N], or empty: no CTF
  std::span<const uint8_t> half_set = {};   ///< N of 0 or 1; empty: even and odd rows
  float pixel_size_angstrom = 1;
};

/// Maps [D·D, D] = [z][y][x] in the image's grey values, band-limited to |k| < D/2, mean 0 (no image's origin is
/// inserted), and the FSC between the halves (shells as in engine/analyze/fsc.h).
struct BackprojectResult {
  std::vector<float> volume, half_a, half_b;
  std::vector<double> fsc;
};

/// Direct Fourier inversion: trilinear insertion of CTF·X and CTF² into an oversampled Hartley grid, division,
/// transform, gridding correction. insert() may be called many times; the result has the same bits for any number of
/// threads and any cut of the images into calls. Memory: 16 bytes × (oversampling·D)³.
class Backprojection {
 public:
  /// Throws ContractError for an odd side.
  Backprojection(Device& device, int side, const BackprojectOptions& options = {});

  /// Throws ContractError when counts differ.
  void insert(const BackprojectImages& images);
  /// Once, after all images. Throws ContractError when there were none.
  BackprojectResult finish();

  /// After finish(): the map of all images but those of `part`, which were inserted here too, unfiltered but for
  /// `gain`, a factor a shell i = 0 .. D/2. What judges an image without its own noise.
  std::vector<float> without(const Backprojection& part, const std::vector<double>& gain);

 private:
  struct Sums {
    std::vector<float> data, weight;  ///< [M³] each, M = oversampling · D
  };
  /// A constant beside the weights and a gain, both a shell i = 0 .. D/2.
  struct Filter {
    std::vector<double> constant, gain;
  };
  void insert_batch(const BackprojectImages& images, int64_t first, int64_t count);
  Filter plain_filter(const Sums& sums) const;
  Filter wiener_filter(const Sums& sums, const std::vector<double>& fsc) const;
  std::vector<float> solve(const Sums& sums, const Filter& filter, const Backprojection* left_out = nullptr);

  Device& device_;
  int side_, padded_;
  BackprojectOptions options_;
  Sums sums_[2];
  int64_t inserted_ = 0;
};

}  // namespace recon
