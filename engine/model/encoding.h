#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace recon {

/// The positional encodings of a coordinate (paper §3.1): families of frequency vectors.
enum class Encoding {
  geometric,      ///< eq. 7–8: per axis a geometric series from wavelength 1 to the Nyquist limit 2/D
  geometric_low,  ///< the same without its top tenth, for noisy data
  gaussian,       ///< 3·E random directions, normal with σ = sigma·D/2 (later cryoDRGN versions)
};

/// Names as in the command line: geometric, geometric-low, gaussian. Throws std::invalid_argument naming the choices.
Encoding encoding_from_name(const std::string& name);
std::string encoding_name(Encoding encoding);

/// Frequency vectors [3, F] in cycles over the unit of k (k in [−½, ½] spans the box's band), F = 3·E.
/// Per-axis families use D·π·(2/D)^(i/(E−1)) radians, i = 0 … E−1, as the authors' code does: position f in real space
/// is f pixels from the centre, so the series runs from the box's edge D/2 to 1.
std::vector<float> encoding_frequencies(Encoding encoding, int side, int per_axis, double sigma, uint64_t seed);

}  // namespace recon
