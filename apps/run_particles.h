#pragma once
#include <string>
#include <vector>

#include "io/particles.h"

// What the commands that hand particles on share: select.cpp, convert.cpp, export.cpp.
namespace recon::apps {

/// Particles of a file, or of a run with the poses and latents that it found.
struct RunParticles {
  io::ParticleTable particles;
  std::vector<float> z;  ///< [N, latent]; empty where there are none
  int latent = 0;
  /// `_cdrgnZ1` ... and their values.
  std::vector<io::ExtraColumn> latent_columns() const;
  double latent_at(int64_t row, int axis) const { return z[static_cast<size_t>(row * latent + axis)]; }
};

/// `path`: a particle file, read with `load`, or a run's folder, whose own options hold where `load` says nothing; its
/// poses.star and z.npy are used where they are there. `latents`: a .npy [N, Z] in place of the run's. Throws
/// io::InputError.
RunParticles load_run_particles(const std::string& path, const io::LoadOptions& load, const std::string& latents);

}  // namespace recon::apps
