#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/particles.h"
#include "kernels/image/image.h"

namespace recon {

/// What becomes of the CTF (paper §3.2: in the model, or by phase flipping the images).
enum class CtfMode { none, model, phase_flip };

/// Where prepared images are kept. `automatic`: in the device's memory when half of what is free there holds them.
enum class Placement { automatic, device, host };

struct PreparationConfig {
  bool window = true;  ///< soft circle 1 → 0 between inner and outer (fractions of D/2)
  float window_inner = 0.85f, window_outer = 0.99f;
  bool invert = false;           ///< multiply the images by −1
  CtfMode ctf = CtfMode::model;  ///< used when the particles have CTF values
  double band = 0;               ///< largest |k| kept, in 1/D; 0: D/2
  bool half_precision = false;   ///< images rounded to IEEE half; in the device's memory they take 16 bits
  Placement placement = Placement::automatic;
};

/// Particle images prepared for the method: Hartley pixels of the circular set, scaled to unit variance. They stand in
/// the device's memory, or in the host's, from where an ImageWindow brings the ones at hand.
struct Dataset {
  int side = 0;
  double pixel_size_angstrom = 0;
  int64_t count = 0;
  std::vector<Pixel> host_pixels;  ///< ordered by radius, in pairs
  Buffer<Pixel> pixels;
  Buffer<float> images;                            ///< [N, P], or empty: they stand in one of the next two
  std::shared_ptr<const Buffer<uint16_t>> halves;  ///< [·, P], IEEE half, in the device's memory
  std::shared_ptr<const float[]> host_images;      ///< [·, P]
  std::vector<int32_t> stored_rows;                ///< which rows of those are this set's; empty: the first N
  Buffer<CtfParameters> ctf;                       ///< [1, N], or empty: no CTF in the model
  float scale = 1;  ///< images were multiplied by it: 1/std of their Hartley coefficients
  int64_t pixel_count() const { return static_cast<int64_t>(host_pixels.size()); }
};

/// Reads, windows, transforms, gathers and scales all images (paper §3.3; reference conventions of the authors' code:
/// the scale is the standard deviation of the un-windowed Hartley images, over at most 1,000 images at an even stride).
/// The next images are read while the device works on some. `between` is called every few milliseconds, and stops the
/// work by throwing. Throws io::InputError for unreadable images; ContractError for an odd box.
Dataset prepare(Device& device, const io::ParticleTable& particles, const PreparationConfig& config,
                const std::function<void()>& between = {});

/// The same from images in memory, [N, D·D].
Dataset prepare(Device& device, int side, double pixel_size_angstrom, std::vector<float> images,
                const std::vector<CtfParameters>& ctf, const PreparationConfig& config);

std::vector<CtfParameters> ctf_parameters(const io::ParticleTable& particles);
/// Matrices [N·9] and shifts [N·2] (pixels) of the particles' own poses.
void given_poses(const io::ParticleTable& particles, std::vector<float>& matrices, std::vector<float>& shifts);

}  // namespace recon
