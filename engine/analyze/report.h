#pragma once
#include <string>

#include "engine/analyze/run_record.h"

namespace recon {

/// Where a report takes its evidence from: the run's folder, and what the caller has at hand of its images.
struct ReportInput {
  std::string run;                               ///< folder
  std::string analysis;                          ///< folder that analyze wrote, or ""
  std::string truth;                             ///< result of compare fsc --json, or ""
  const io::ParticleTable* particles = nullptr;  ///< for the CTF; may be absent
  std::span<const float> matrices, shifts, z;    ///< [N, 9], [N, 2] px, [N, Z]; empty: not known yet
  /// [z][y][x], a cube: the structure as it stands while a run goes on; shown until the run has volumes of its own.
  std::span<const float> so_far;
  bool ended = false;  ///< the run has just ended, whatever stands in its folder yet
};

/// One HTML page of everything that tells whether a run worked: no script, style, font or picture from elsewhere; below
/// 5 MB up to a million images. Reads the volumes of the run's folder or of the analysis. Throws io::InputError (65,
/// 66) for damaged files in those folders.
std::string report_html(const ReportInput& input);

/// The page in a file, atomically. Throws as report_html, and IoError.
void write_report(const std::string& path, const ReportInput& input);

}  // namespace recon
