#pragma once
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

namespace recon {

/// The part of the images, of 1,000 at most, on whose orientations two starts agree: matrices [N·9] each. What leads
/// from one start's orientation of an image to the other's, RᵀR′, is then the same for many images; an image agrees
/// when it is the same, to 10 degrees, for 2 % of them. So it need not be the same for all: a particle with symmetry
/// shows an image in as many ways as it has symmetries (fifty at most, here). Tried for both hands.
double orientation_agreement(std::span<const float> one, std::span<const float> other);

/// Random starts, one after the other, each from nothing. Losses do not tell a right structure from a wrong one: wrong
/// ones settle too, at losses as close to each other as right ones'. But two starts that come to the same orientations
/// have found what is in the images: there are many ways to be wrong. So a race ends when two agree: two right starts
/// do on 0.9 to 1 of noisy images, a right one and a wrong one or two wrong ones on 0.3 at most
/// (bench/results/2026-11-26-race.md).
struct Race {
  static constexpr double enough = 0.7;

  std::vector<double> losses;  ///< of the starts that have ended
  std::vector<int> pair;       ///< the two starts that agree best, from 0
  double agreement = 0;        ///< theirs

  void compare(int one, int other, std::span<const float> matrices, std::span<const float> others);
  bool agreed() const { return agreement >= enough; }
  /// The start that goes on: of the pair that agreed, or of all, the one of lowest loss.
  int winner() const;
};

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Race, losses, pair, agreement)

/// One line: how many starts there were, and whether two agree.
std::string race_text(const Race& race);

}  // namespace recon
