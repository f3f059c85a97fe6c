#pragma once
#include <cstdint>

#include "io/particles.h"

namespace recon {

/// What images say about the sign of the density that they will give. In each image the mean grey value within 0.4 of
/// half the box (inside a centred particle) less that between 0.9 and 1 (outside) is its lowest frequencies' sign; the
/// CTF's own sign there is taken out.
struct ContrastReport {
  static constexpr double inside = 0.4, outside = 0.9;  ///< in box/2
  static constexpr double least_sigma = 3;              ///< what is closer to zero decides nothing

  int64_t images = 0;                 ///< measured, evenly spread over the set
  double centre_minus_rim_sigma = 0;  ///< mean over images of (centre − rim) in units of its standard error
  double density_sigma = 0;           ///< the same with each image multiplied by its CTF's sign: positive is right
  double ctf_negative = 0;            ///< part of the images whose CTF is negative at low frequency; 0 without a CTF
  double agreeing = 0;                ///< part of the images that show the sign of density_sigma

  bool undecided() const { return density_sigma > -least_sigma && density_sigma < least_sigma; }
  /// The density would come out negative.
  bool inverted() const { return density_sigma <= -least_sigma; }
  bool dark() const { return centre_minus_rim_sigma < 0; }
};

/// Measures at most so many images. `with_ctf`: the particles' CTF is part of the model (or of phase flipping);
/// `inverted`: the images are multiplied by −1 before use. Throws io::InputError for unreadable images.
ContrastReport measure_contrast(const io::ParticleTable& particles, bool with_ctf, bool inverted,
                                int64_t at_most = 1000);

}  // namespace recon
