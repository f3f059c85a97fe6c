#pragma once
#include <cmath>
#include <vector>

#include "engine/model/model.h"
#include "kernels/slice/slice.h"

namespace recon {

/// Where a pose search gets its central slices from (design §4).
class SliceSource {
 public:
  virtual ~SliceSource() = default;
  /// values[s] = slice at rotations[s] over `pixels`, for image `image_of[s]` of the batch (its z); inactive slices are
  /// skipped.
  virtual void slices(View<const Pixel> pixels, View<const float> rotations, View<const int32_t> active,
                      View<const int32_t> image_of, View<float> values) = 0;
  /// Whether all images of a batch share their slices (homogeneous, or one lattice for all).
  virtual bool shared() const = 0;
  /// Least precision allowed where slices are only compared to choose survivors: the model's.
  virtual Precision precision() const { return Precision::fp32; }
};

/// The decoder itself at every coordinate: the paper.
class ExactSource : public SliceSource {
 public:
  /// latents: [B, Z] of the batch; empty when homogeneous.
  explicit ExactSource(const Model& model, View<const float> latents = {}) : model_(&model), latents_(latents) {}
  void slices(View<const Pixel> pixels, View<const float> rotations, View<const int32_t> active,
              View<const int32_t> image_of, View<float> values) override;
  bool shared() const override { return latents_.empty(); }
  Precision precision() const override { return model_->config().precision; }

 private:
  const Model* model_;
  View<const float> latents_;
};

/// The Hartley transform of a density on a lattice finer than the box's, for slices by trilinear interpolation: the
/// density is divided by the interpolation kernel's own transform and padded first (gridding correction), so that what
/// remains is the aliasing of the kernel.
class Lattice {
 public:
  Lattice(Device& device, int side, int oversampling = 2);
  /// density [D·D, D], which is multiplied by `scale`; may be reused at once.
  void fill(View<const float> density, float scale = 1);
  void slices(View<const Pixel> pixels, View<const float> rotations, View<const int32_t> active,
              View<float> values) const;

 private:
  Device* device_;
  int side_, oversampling_;
  Buffer<float> values_;
};

/// The decoder on a lattice once.
class LatticeSource : public SliceSource {
 public:
  explicit LatticeSource(const Model& model);
  /// Evaluates the decoder at z up to `radius` (in 1/D; slices are wanted a little inside of it).
  void refresh(const std::vector<float>& z, double radius);
  void slices(View<const Pixel> pixels, View<const float> rotations, View<const int32_t> active,
              View<const int32_t> image_of, View<float> values) override;
  bool shared() const override { return true; }
  Precision precision() const override { return model_->config().precision; }

  /// What refresh() has filled.
  const Lattice& lattice() const { return lattice_; }

  /// Sums of squares over some slices.
  struct Error {
    double difference = 0, exact = 0;  ///< of lattice slices less exact ones, and of exact ones
    double relative() const { return exact > 0 ? std::sqrt(difference / exact) : 0; }
  };
  /// Its slices against the network's own at `count` random rotations over `pixels`; the latter at z [count·Z].
  Error measure_error(View<const Pixel> pixels, const std::vector<float>& z, int count, uint64_t seed);

 private:
  const Model* model_;
  Buffer<float> cube_;
  Lattice lattice_;
};

}  // namespace recon
