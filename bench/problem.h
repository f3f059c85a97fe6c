#pragma once
// What the files of operations share: a problem, its sizes in words, and how its variants become candidates.
#include "bench/operations.h"
#include "bench/variants.h"
#include "engine/geometry/lattice.h"
#include "tests/reference/compare.h"

namespace recon::bench {

using namespace recon::reference;

/// The inputs of an operation on a device, and what should come out.
template <class Args>
struct Problem {
  std::shared_ptr<void> memory;
  Args args;
  std::function<void()> reset;  ///< before a run whose results are looked at
  std::function<std::vector<float>()> output;
  std::function<Values()> expected;
  double times = 1;  ///< that a run does the operation
};

/// What is compared with the definition: its loops in doubles take seconds for a training step of full size.
inline Size small(Size s) {
  s.box = 16, s.batch = 2, s.layers = std::min(s.layers, checked_layers), s.steps = 3, s.rotations = 4;
  return s;
}

inline std::string text(const char* format, auto... values) {
  char out[128];
  std::snprintf(out, sizeof out, format, values...);
  return out;
}
inline std::string decoder_text(const Size& s) {
  return text("%d px, %d x %d, z %d, batch %d", s.box, s.layers, s.width, s.latent, s.batch);
}
inline std::string encoder_text(const Size& s) { return text("%d px, width %d, batch %d", s.box, s.width, s.batch); }
inline std::string hidden_text(const Size& s) { return text("width %d, batch %d", s.width, s.batch); }
inline std::string images_text(const Size& s) { return text("%d px, batch %d", s.box, s.batch); }

inline std::vector<Pixel> band_of(const Size& s) { return circular_pixels(s.box, s.box / 2); }
inline double pixels_of(const Size& s) { return double(band_of(s).size()); }

/// The product's decoder: one evaluation a pair of opposite pixels, half a box of frequencies on each axis.
inline DecoderShape shape_of(const Size& s) {
  return {.features = 3 * (s.box / 2), .latent = s.latent, .width = s.width, .layers = s.layers, .outputs = 2};
}

template <class Args>
std::vector<Candidate> candidates(Device& device, const std::vector<Variant<Args>>& variants, const Size& size,
                                  Problem<Args> (*make)(Device&, const Size&)) {
  std::vector<Candidate> out;
  const Problem<Args> checked = make(device, small(size)), timed = make(device, size);
  const Values expected = checked.expected();
  for (const Variant<Args>& variant : variants) {
    const auto check = variant.prepare(device, checked.args);
    if (!check) continue;
    checked.reset();
    check();
    out.push_back({variant.name, variant.precision,
                   [run = variant.prepare(device, timed.args), inputs = timed.memory] { run(); },
                   relative_error(checked.output(), expected), variant.tolerance, timed.times});
  }
  return out;
}

template <class Args>
Operation operation(const char* name, std::string (*shape)(const Size&), Work (*work)(const Size&),
                    std::vector<Variant<Args>> Variants::*variants, Problem<Args> (*make)(Device&, const Size&)) {
  return {name, shape, work, [=](Device& device, const Size& size) {
            return candidates(device, variants_of(device).*variants, size, make);
          }};
}

}  // namespace recon::bench
