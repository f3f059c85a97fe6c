#pragma once
#include "kernels/pose/pose.h"

namespace recon::cpu {

/// pose_score, the definition candidate by candidate, phases of the shift among it.
void pose_score_direct(Device& device, const PoseScore& args);
/// Images are moved once a shift, by phases that are products of those of x and of y; then a difference a candidate.
void pose_score_separable(Device& device, const PoseScore& args);
/// The product's way, of all images together: shared slices are packed once, and |gS|² is a product as well. Takes
/// lists that all images share, with their slices.
void pose_score_together(Device& device, const PoseScore& args);
/// All shifts of a slice by one inverse FFT of the N × N frequencies that N = D/shift_unit_px tells apart; takes grids
/// for which N is whole (pose_fft_period).
void pose_score_fft(Device& device, const PoseScore& args);

/// N, or 0 where the units of the shifts do not divide the box.
int pose_fft_period(const PoseScore& args);

}  // namespace recon::cpu
