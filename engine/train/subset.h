#pragma once
#include <span>
#include <vector>

#include "engine/data/dataset.h"
#include "io/particles.h"

namespace recon {

// Parts of a data set that stages train on: lists of images, from 0, in rising order.

/// The images of a half set, 1 or 2: the file's own where it has them, else odd and even ones.
std::vector<int32_t> half_set(const io::ParticleTable& particles, int half);
/// `some` of `all` images, spread evenly over them.
std::vector<int32_t> spread_images(int64_t all, int64_t some);

/// These images as a data set of their own. Images that wait in the host's memory are not copied.
Dataset subset(Device& device, const Dataset& data, const std::vector<int32_t>& images);

/// Rows of a [N, width] table, and back.
std::vector<float> rows_of(std::span<const float> all, const std::vector<int32_t>& rows, size_t width);
void put_rows(std::vector<float>& all, const std::vector<int32_t>& rows, size_t width, std::span<const float> some);

}  // namespace recon
