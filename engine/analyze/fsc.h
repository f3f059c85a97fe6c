#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/runtime/device.h"

namespace recon {

/// Fourier shell correlation of two maps [D·D, D] = [z][y][x]: element i − 1 is shell i, i − ½ <= |k| < i + ½ in units
/// of 1/D, i = 1 .. D/2: Re Σ A B* / sqrt(Σ |A|² Σ |B|²). A shell without power in one of the maps has correlation 0.
/// Throws ContractError when the maps are not both side³.
std::vector<double> fourier_shell_correlation(Device& device, std::span<const float> a, std::span<const float> b,
                                              int side);

/// Resolution in pixels by the authors' rule: D/i of the first shell i whose correlation is below `threshold`; 2 where
/// none is.
double resolution_px(std::span<const double> curve, double threshold);

/// Mean of the curve: the figure that alignments are refined by.
double mean_correlation(std::span<const double> curve);

/// Multiplies a map by a soft sphere about the voxel D/2: 1 within `radius_px`, a raised cosine to 0 over `edge_px`.
void apply_soft_sphere(std::span<float> volume, int side, double radius_px, double edge_px);

/// Multiplies a map by a mask; an empty mask leaves it. Throws ContractError when the sizes differ.
void apply_mask(std::span<float> volume, std::span<const float> mask);

}  // namespace recon
