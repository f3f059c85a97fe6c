#pragma once
// Declarations of the CPU backend's functions, for the table in ops_cpu.cpp and for nothing else.
#include "kernels/ops.h"

namespace recon::cpu {

void hartley2d(Device&, const Hartley2d&);
void hartley3d(Device&, const Hartley3d&);
void window_images(Device&, const WindowImages&);
void gather_pixels(Device&, const GatherPixels&);
void shift_images(Device&, const ShiftImages&);
void evaluate_ctf(Device&, const EvaluateCtf&);
void phase_flip(Device&, const PhaseFlip&);

}  // namespace recon::cpu
