#pragma once
#include "kernels/image/image.h"
#include "kernels/pose/grid.h"
#include "kernels/runtime/device.h"
#include "kernels/runtime/precision.h"

namespace recon {

/// Pose search by branch and bound with frequency marching (paper appendix A, Algorithm 1), in steps that stay on the
/// device. Per image there is a list of rotations (nodes of the SO(3) grid, kernels/pose/grid.h) and a list of shifts
/// (nodes of the shift grid); the candidates of a level are all pairs of the two, so that their scores are one matrix
/// product an image:
///   |g A(R)V − S(t)X|² = Σ g² S² − 2 ⟨S, g S(t)X⟩ + |X|².

/// A shift node: its centre in units of extent/(n·2^levels) pixels, so that every level is exact in integers.
struct ShiftNode {
  int32_t x = 0, y = 0;
};

/// The candidate lists of one level. One list a row; `shared` lists have one row for all images.
struct PoseNodes {
  View<GridRotation> rotations;  ///< [B or 1, R]
  View<int32_t> rotation_count;  ///< [1, B or 1]
  View<float> matrices;          ///< [(B or 1)·R, 9], of the rotations
  View<int32_t> active;          ///< [1, (B or 1)·R], 0 past the count
  View<ShiftNode> shifts;        ///< [B or 1, T]
  View<int32_t> shift_count;     ///< [1, B or 1]
  bool shared = false;
};

/// scores[b, r·T + t] = squared error of candidate (r, t) over the band: the lower bound of Algorithm 1. Candidates
/// past the counts get +infinity.
struct PoseScore {
  PoseNodes nodes;
  View<const float> slices;    ///< [(B or 1)·R, P]
  bool slices_shared = false;  ///< one set of slices for all images
  View<const float> images;    ///< [B, stride >= P]
  View<const float> ctf;       ///< [B, stride >= P] or empty
  View<const Pixel> pixels;    ///< [1, P]
  View<float> scores;          ///< [B, R·T]
  int side = 0;
  float shift_unit_px = 0;  ///< pixels a unit of ShiftNode
  /// The least precision allowed of the operands of ⟨S, g S(t)X⟩. Only the CUDA backend goes below fp32, and only where
  /// slices are shared: there it is the level that chooses survivors among many, for the next one to score.
  Precision precision = Precision::fp32;
};

/// The best candidate of each image: its node, matrix and shift in pixels.
struct PoseBest {
  PoseNodes nodes;
  View<const float> scores;  ///< [B, R·T]
  View<float> matrices;      ///< [B, 9]
  View<float> shifts;        ///< [B, 2], pixels
  View<float> best;          ///< [1, B] its score
  float shift_unit_px = 0;
};

/// Soft assignment by the Gumbel trick: scores[b, i] += 2 σ² ln(−ln u), σ² = best[b]/pixels the noise in a pixel and u
/// uniform in (0, 1), a function of seed, image[b], sub and i. The least of an image's scores then is candidate i's
/// with its posterior probability, ∝ exp(−score/2σ²) (paper eq. 3, all candidates as likely before). +infinity stays.
struct PoseDraw {
  View<float> scores;         ///< [B, R·T]
  View<const float> best;     ///< [1, B] the least score
  View<const int32_t> image;  ///< [1, B]
  int64_t pixels = 0;         ///< that scores are sums over
  uint64_t seed = 0;
  uint32_t sub = 0;  ///< an epoch
};

/// bound[b] = squared error of slice b and image b moved by shifts[b], over all given pixels: the upper bound of
/// Algorithm 1.
struct PoseBound {
  View<const float> slices;  ///< [B, P]
  View<const float> images;  ///< [B, stride >= P]
  View<const float> ctf;     ///< [B, stride >= P] or empty
  View<const float> shifts;  ///< [B, 2], pixels
  View<const Pixel> pixels;  ///< [1, P]
  View<float> bound;         ///< [1, B]
  int side = 0;
};

/// From the squared error of a good candidate over all P pixels (PoseBound), what a node of the grid may have over
/// pixels below `first` if the image was made in its cell (derived in engine/README.md): bound[b] becomes
///   bound − Σ X² + max over m of (Σ g² S_m² + 2 c √(Σ g² S_m² X²)), sums over pixels first … P − 1,
///         + mean over m of Σ g² (moved_m − S_m)², sums over pixels 0 … first − 1.
/// Of images that were made at a node itself it is wrong for a share Q(c) at most, Q the normal distribution's tail;
/// the last term is what a node's error usually grows by when the image was made elsewhere in its cell.
struct PoseReserve {
  View<const float> slices;  ///< [M, P]: slices of the structure at M rotations that stand for all
  View<const float> moved;   ///< [M, >= first]: the same half a cell away
  View<const float> images;  ///< [B, stride >= P]
  View<const float> ctf;     ///< [B, stride >= P] or empty
  View<float> bound;         ///< [1, B]
  int64_t first = 0;
  float deviations = 4;  ///< c
};

/// Gauss-Newton's equations of each image's pose, for steps smaller than any grid: of the residual r = g V − T, with
/// T the image moved by its shift, and its derivatives J by five numbers: turns of the pose about x, y and z (radians,
/// left of the rotation, by difference quotients of slices), then the shift along x and y (pixels, −2π k/D g V(−k),
/// from the model, as the image's own derivative is mostly noise).
struct PoseEquations {
  View<const float> slices;   ///< [4 B, P]: of image b at its pose, then at the pose turned by step_rad about x, y, z
  View<const float> targets;  ///< [B, P]: T
  View<const float> ctf;      ///< [B, P] or empty
  View<const Pixel> pixels;   ///< [1, P], in pairs
  View<float> sums;           ///< [B, 21]: JᵀJ by its lower triangle row by row (15), Jᵀr (5), |r|²
  int side = 0;
  float step_rad = 0;
};
constexpr int pose_parameters = 5, pose_equation_sums = 21;

/// What a level's selection kept, best first.
struct PoseKept {
  View<GridRotation> rotations;  ///< [B, K]
  View<ShiftNode> shifts;        ///< [B, K]
  View<float> scores;            ///< [B, K]
  View<int32_t> count;           ///< [1, B]
  View<int32_t> below;           ///< [1, B] how many candidates lay below the bound before the cap
};

/// Keeps the candidates with score < bound (always at least the best), at most K of them; with `per_rotation` a
/// rotation competes with its best shift only, which keeps the survivors apart in orientation. Ties go to the lower
/// index.
struct PoseSelect {
  PoseNodes nodes;
  View<const float> scores;  ///< [B, R·T]
  View<const float> bound;   ///< [1, B] or empty: no bound, keep the K best
  PoseKept kept;
  bool per_rotation = false;
};

/// Children of the kept candidates: 8 rotations each (kernels/pose/grid.h), duplicates merged, and 4 shifts each (the
/// quarters of the cell) or, with `overlapping_shifts`, 9 (the cell's own centre, edges and corners at half the step).
struct PoseExpand {
  PoseKept kept;
  PoseNodes children;
  int level = 0;       ///< of the kept rotations: 1 is the grid of 576
  int shift_cell = 0;  ///< width of the kept shifts' cells in units of ShiftNode; 0: shifts are not divided
  bool overlapping_shifts = false;
};

/// Adds to sums [1, 6] what a level did, over its images: images, candidates scored, candidates competing for survival
/// (those scored, or with `per_rotation` one a rotation), those below the bound, those kept, images where the cap K
/// bit. Without `kept` only the first three.
struct PoseCount {
  PoseNodes nodes;
  View<const int32_t> below, count;  ///< [1, B] of PoseKept; empty: nothing was selected
  View<int64_t> sums;
  int64_t images = 0;
  int64_t cap = 0;  ///< K
  bool per_rotation = false;
};

void pose_score(Device& device, const PoseScore& args);
void pose_best(Device& device, const PoseBest& args);
void pose_draw(Device& device, const PoseDraw& args);
void pose_bound(Device& device, const PoseBound& args);
void pose_reserve(Device& device, const PoseReserve& args);
void pose_equations(Device& device, const PoseEquations& args);
void pose_select(Device& device, const PoseSelect& args);
void pose_expand(Device& device, const PoseExpand& args);
void pose_count(Device& device, const PoseCount& args);
/// Lists of the kept candidates themselves, to score finalists again with exact slices.
void pose_finalists(Device& device, const PoseKept& kept, const PoseNodes& nodes, int level);

}  // namespace recon
