#pragma once
// Declarations of the CUDA backend's functions, for the table in ops_cuda.cpp and for nothing else.
#include "kernels/ops.h"

namespace recon::cuda {

void hartley2d(Device&, const Hartley2d&);
void hartley3d(Device&, const Hartley3d&);
void window_images(Device&, const WindowImages&);
void gather_pixels(Device&, const GatherPixels&);
void shift_images(Device&, const ShiftImages&);
void evaluate_ctf(Device&, const EvaluateCtf&);
void phase_flip(Device&, const PhaseFlip&);
void scale_pixels(Device&, const ScalePixels&);
void residual_power(Device&, const ResidualPower&);
void decode_slices(Device&, const DecodeSlices&);
void decode_points(Device&, const DecodePoints&);
void decode_slices_backward(Device&, const DecodeSlicesBackward&);
void adam(Device&, const Adam&);
void adam_rows(Device&, const AdamRows&);
void average_weights(Device&, const AverageWeights&);
void linear_forward(Device&, const LinearForward&);
void linear_backward(Device&, const LinearBackward&);
void reparameterize(Device&, const Reparameterize&);
void reparameterize_backward(Device&, const ReparameterizeBackward&);
void gather_latents(Device&, const GatherLatents&);
void latent_prior(Device&, const LatentPrior&);
void squared_error(Device&, const SquaredError&);
void sum_values(Device&, const SumValues&);
void sample_slices(Device&, const SampleSlices&);
void pose_score(Device&, const PoseScore&);
void pose_best(Device&, const PoseBest&);
void pose_bound(Device&, const PoseBound&);
void pose_select(Device&, const PoseSelect&);
void pose_expand(Device&, const PoseExpand&);
void pose_count(Device&, const PoseCount&);
void scatter_volume(Device&, const ScatterVolume&);
void pad_volume(Device&, const PadVolume&);
void gather_rows(Device&, const GatherRows&);
void scatter_rows(Device&, const ScatterRows&);
void take_row(Device&, const TakeRow&);
void pose_finalists(Device&, const PoseKept&, const PoseNodes&, int level);

}  // namespace recon::cuda
