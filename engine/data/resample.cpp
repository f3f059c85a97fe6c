#include "engine/data/resample.h"

#include <algorithm>

#include "kernels/fourier/fourier.h"

namespace recon {
namespace {

void check_sides(int side, int smaller) {
  expect(smaller >= 2 && smaller <= side && side % 2 == 0 && smaller % 2 == 0,
         "crop_images: even sides, the second no larger than the first");
}

/// Rows of the middle: out[i] = in[i + (side - smaller)/2] along the last axis of `lines` lines.
void copy_middle(const float* in, float* out, int64_t lines, int64_t side, int64_t smaller) {
  for (int64_t line = 0; line < lines; ++line)
    std::copy_n(in + line * side + (side - smaller) / 2, smaller, out + line * smaller);
}

}  // namespace

std::vector<float> crop_images(Device& device, std::span<const float> images, int side, int smaller) {
  check_sides(side, smaller);
  const int64_t area = int64_t{side} * side, less = int64_t{smaller} * smaller;
  expect(static_cast<int64_t>(images.size()) % area == 0, "crop_images: whole images are wanted");
  const int64_t count = static_cast<int64_t>(images.size()) / area, skip = (side - smaller) / 2;
  Buffer<float> large(device, count, area), small(device, count, less);
  large.upload(images);
  hartley(device, Hartley2d{.images = large.view(), .hartley = large.view(), .side = side});
  const std::vector<float> frequencies = large.download();
  std::vector<float> kept(static_cast<size_t>(count * less));
  for (int64_t i = 0; i < count; ++i)
    copy_middle(frequencies.data() + i * area + skip * side, kept.data() + i * less, smaller, side, smaller);
  for (float& v : kept) v /= static_cast<float>(area);
  small.upload(kept);
  hartley(device, Hartley2d{.images = small.view(), .hartley = small.view(), .side = smaller});
  return small.download();
}

std::vector<float> crop_map(Device& device, std::span<const float> map, int side, int smaller) {
  check_sides(side, smaller);
  const int64_t plane = int64_t{side} * side, less = int64_t{smaller} * smaller, skip = (side - smaller) / 2;
  expect(static_cast<int64_t>(map.size()) == plane * side, "crop_images: the map must be side^3");
  Buffer<float> large(device, plane, side), small(device, less, smaller);
  large.upload(map);
  hartley(device, Hartley3d{.volume = large.view(), .hartley = large.view(), .side = side});
  const std::vector<float> frequencies = large.download();
  std::vector<float> kept(static_cast<size_t>(less * smaller));
  for (int64_t z = 0; z < smaller; ++z)
    copy_middle(frequencies.data() + (z + skip) * plane + skip * side, kept.data() + z * less, smaller, side, smaller);
  const float voxels = static_cast<float>(plane) * static_cast<float>(side);
  for (float& v : kept) v /= voxels;
  small.upload(kept);
  hartley(device, Hartley3d{.volume = small.view(), .hartley = small.view(), .side = smaller});
  return small.download();
}

std::vector<float> mirrored(std::span<const float> map, int side) {
  const int64_t plane = int64_t{side} * side;
  expect(static_cast<int64_t>(map.size()) == plane * side && side % 2 == 0, "mirrored: an even side^3 is wanted");
  std::vector<float> out(map.size());
  for (int64_t z = 0; z < side; ++z) std::copy_n(map.data() + (side - z) % side * plane, plane, out.data() + z * plane);
  return out;
}

}  // namespace recon
