#pragma once
// The steps of the pose search (paper appendix A, Algorithm 1) as they are defined, in doubles: never optimised.
#include <set>

#include "kernels/pose/pose.h"
#include "tests/reference/compare.h"
#include "tests/reference/image_reference.h"

namespace recon::reference {

/// One image against a slice.
struct PoseProblem {
  int side = 0;
  std::vector<Pixel> pixels;
  double score(const double* slice, const double* image, const double* ctf, double tx, double ty) const {
    double sum = 0;
    for (size_t p = 0; p < pixels.size(); ++p) {
      const double e = (ctf ? ctf[p] : 1) * slice[p] - shifted(image[p], image[p ^ 1], pixels[p], tx, ty, side);
      sum += e * e;
    }
    return sum;
  }
};

struct Candidate {
  double score;
  int64_t rotation, shift;
};

/// The candidates below the bound in order, ties by position: the best always, at most `keep`.
struct Selection {
  std::vector<Candidate> kept;
  int64_t below = 0;
};
inline Selection select(const std::vector<Candidate>& scored, double bound, int64_t keep, bool per_rotation) {
  std::vector<Candidate> order = scored;
  std::stable_sort(order.begin(), order.end(),
                   [](const Candidate& a, const Candidate& b) { return a.score < b.score; });
  Selection out;
  std::set<int64_t> seen;
  for (const Candidate& c : order) {
    if (per_rotation && !seen.insert(c.rotation).second) continue;
    const bool below = c.score < bound;
    out.below += below;
    if ((below || out.kept.empty()) && static_cast<int64_t>(out.kept.size()) < keep) out.kept.push_back(c);
  }
  return out;
}

using Node = std::pair<int32_t, int32_t>;

inline std::set<Node> child_rotations(const std::vector<GridRotation>& kept, int level) {
  std::set<Node> out;
  for (const GridRotation& parent : kept) {
    GridRotation children[8];
    so3_children(parent, level, children);
    for (const GridRotation& c : children) out.insert({c.pixel, c.psi});
  }
  return out;
}

/// Centres of the quarters of each cell, or its centre, edges and corners; a cell of no width stays as it is.
inline std::set<Node> child_shifts(const std::vector<ShiftNode>& kept, int cell, bool overlapping) {
  std::set<Node> out;
  for (const ShiftNode& s : kept)
    for (const int y : {-1, 0, 1})
      for (const int x : {-1, 0, 1}) {
        if (overlapping) out.insert({s.x + x * cell / 2, s.y + y * cell / 2});
        if (!overlapping && x != 0 && y != 0) out.insert({s.x + x * cell / 4, s.y + y * cell / 4});
      }
  return out;
}

}  // namespace recon::reference
