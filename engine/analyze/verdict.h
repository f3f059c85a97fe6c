#pragma once
#include <span>
#include <string>
#include <vector>

#include "engine/analyze/run_record.h"

namespace recon {

/// What one look at a run says. `open`: there is nothing to judge yet, or nothing that could be judged by.
enum class Sign { good, unsure, bad, open };

struct Check {
  Sign sign = Sign::open;
  std::string title, text;  ///< text: the number, what it means, and where needed what to do
};

/// What is seen in a volume (report_pictures.h) and in the poses (below), as far as known.
struct VolumeFigures {
  double one_piece = 0;  ///< part of the voxels above the drawn surface that hang together
  double at_rim = 0;     ///< part of them beyond nine tenths of the box's radius
};
/// How evenly the directions of view cover the half sphere (a view and its opposite show the same).
struct ViewFigures {
  double empty = 0;    ///< part of equal patches of the half sphere, five images or more each on average, without one
  double weakest = 1;  ///< three times the smallest mean square of the directions along an axis; 1: even
};
ViewFigures view_figures(std::span<const float> matrices);

struct Verdict {
  Sign sign = Sign::open;
  std::string answer, why;
  std::vector<Check> checks;
};

struct Evidence {
  const RunRecord& run;
  std::vector<VolumeFigures> volumes;
  std::vector<double> change;      ///< relative RMS difference of a sweep's end volumes, or empty
  std::vector<ViewFigures> views;  ///< one, or none
};

/// "Did it work?" in words, with all that speaks for it and against it. Thresholds are in verdict.cpp, each with the
/// reason.
Verdict judge(const Evidence& evidence);

}  // namespace recon
