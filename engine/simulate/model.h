#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/geometry/rotation.h"
#include "kernels/runtime/device.h"

namespace recon {

/// One Gaussian of density: weight is its integral in grey values × voxels.
struct Blob {
  Vector3 position_angstrom = {0, 0, 0};  ///< from the box's centre
  double weight = 1;
  double sigma_angstrom = 1;
  int32_t group = 0;
};

/// A molecule of Gaussians, a part of which turns about one bond (paper §5.3): at state s in [0, 1] the moving part
/// stands at angle·(s − ½) about the axis through the hinge.
struct GaussianModel {
  double pixel_size_angstrom = 1;
  int box = 0;
  std::vector<Blob> blobs;
  std::vector<uint8_t> moving;  ///< one a blob, 0 or 1
  Vector3 hinge_angstrom = {0, 0, 0};
  Vector3 axis = {0, 0, 1};
  double angle_deg = 0;
};

/// What a PDB file does not say.
struct PdbOptions {
  int box = 64;
  double pixel_size_angstrom = 3;
  double sigma_angstrom = 3;                 ///< of every atom
  char chain = 0;                            ///< the moving part: this chain (0: nothing moves) ...
  int first_residue = 0, last_residue = -1;  ///< ... and these residues of it (last < first: the whole chain)
  int bond_from = 0,
      bond_to = 0;  ///< residues of that chain whose CA atoms are the hinge and the other end of the axis
  double angle_deg = 90;
};

/// {"pixel_size_angstrom": a, "box": D, "blobs": [{"position_angstrom": [x, y, z], "weight": w, "sigma_angstrom": s,
///  "group": g}, ...], "bond": {"hinge_angstrom": [x, y, z], "axis": [x, y, z], "angle_deg": 90}, "moving": g or
///  [indices]}
/// weight, group, bond and moving may be left out. Throws std::invalid_argument that names the field, and for anything
/// else than this: unknown keys, numbers that are not finite, more than a million blobs, an odd box.
GaussianModel model_from_json(std::string_view text);
std::string model_to_json(const GaussianModel& model);

/// ATOM and HETATM records, weight by element (its atomic number), centred on their centre of mass. Throws
/// std::invalid_argument that names the line, or the bond's residue that is missing.
GaussianModel model_from_pdb(std::string_view text, const PdbOptions& options);

/// The test molecule of this project: a core of 40 blobs and an arm of 7 that turns by 90° about a hinge. Lengths scale
/// with the box, so that every box shows the same molecule. Random numbers: Philox(seed, Purpose::model).
GaussianModel one_bond_complex(int box, double pixel_size_angstrom = 3, uint64_t seed = 7);

/// The blobs' positions at a state, in pixels from the centre.
std::vector<Vector3> positions_px(const GaussianModel& model, double state);

/// The map [D·D, D] = [z][y][x] at a state: the model's Fourier transform at |k| < D/2, exactly, transformed back.
/// Costs blobs × D³ complex multiply-adds.
std::vector<float> model_volume(Device& device, const GaussianModel& model, double state);

}  // namespace recon
