#pragma once
#include <string>
#include <vector>

#include "engine/simulate/model.h"

namespace recon {

/// The folder truth/ of a simulated set: poses.star, states.npy, truth.json, state_NNN.mrc, and model.json where a
/// model was projected. Gives the structure that an image shows, at its own state.
class SimulatedTruth {
 public:
  /// Throws io::InputError (65, 66).
  explicit SimulatedTruth(const std::string& folder);

  std::string poses_path() const { return folder_ + "/poses.star"; }
  const std::vector<double>& states() const { return states_; }  ///< [images], in the order of poses.star
  int side() const { return side_; }
  double pixel_size_angstrom() const { return pixel_size_angstrom_; }

  /// The map [z][y][x] at a state: of the model, or the file of that state where maps were projected. Throws
  /// io::InputError (65) where neither is there.
  std::vector<float> map(Device& device, double state) const;

 private:
  std::string folder_;
  std::vector<double> states_, map_states_;
  GaussianModel model_;  ///< without blobs: maps
  int side_ = 0;
  double pixel_size_angstrom_ = 0;
};

}  // namespace recon
