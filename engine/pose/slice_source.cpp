#include "engine/pose/slice_source.h"

#include <numeric>

#include "engine/geometry/rotation.h"
#include "kernels/fourier/fourier.h"
#include "kernels/slice/volume_points.h"

namespace recon {

void ExactSource::slices(View<const Pixel> pixels, View<const float> rotations, View<const int32_t> active,
                         View<const int32_t> image_of, View<float> values) {
  decode(model_->device(), DecodeSlices{.net = model_->decoder_net(),
                                        .pixels = pixels,
                                        .rotations = rotations,
                                        .latents = latents_,
                                        .latent_of = latents_.empty() ? View<const int32_t>{} : image_of,
                                        .active = active,
                                        .values = values,
                                        .side = model_->config().side});
}

Lattice::Lattice(Device& device, int side, int oversampling)
    : device_(&device), side_(side), oversampling_(oversampling) {
  const int64_t padded = int64_t{side} * oversampling;
  values_ = Buffer<float>(device, padded * padded, padded);
}

void Lattice::fill(View<const float> density, float scale) {
  const int padded = side_ * oversampling_;
  pad_volume(
      *device_,
      PadVolume{.density = density, .out = values_.view(), .side = side_, .padded_side = padded, .scale = scale});
  hartley(*device_, Hartley3d{.volume = values_.view(), .hartley = values_.view(), .side = padded});
}

void Lattice::slices(View<const Pixel> pixels, View<const float> rotations, View<const int32_t> active,
                     View<float> values) const {
  sample_slices(*device_, SampleSlices{.volume = {values_.view(), side_ * oversampling_, oversampling_},
                                       .pixels = pixels,
                                       .rotations = rotations,
                                       .active = active,
                                       .values = values});
}

LatticeSource::LatticeSource(const Model& model) : model_(&model), lattice_(model.device(), model.config().side) {
  const int64_t side = model.config().side;
  cube_ = Buffer<float>(model.device(), side * side, side);
}

void LatticeSource::refresh(const std::vector<float>& z, double radius) {
  const int side = model_->config().side;
  model_->hartley_volume(z, std::min(radius, side / 2.0), cube_.view());
  hartley(model_->device(), Hartley3d{.volume = cube_.view(), .hartley = cube_.view(), .side = side});
  lattice_.fill(cube_.view(), 1.0f / (static_cast<float>(side) * static_cast<float>(side) * static_cast<float>(side)));
}

void LatticeSource::slices(View<const Pixel> pixels, View<const float> rotations, View<const int32_t> active,
                           View<const int32_t>, View<float> values) {
  lattice_.slices(pixels, rotations, active, values);
}

LatticeSource::Error LatticeSource::measure_error(View<const Pixel> pixels, const std::vector<float>& z, int count,
                                                  uint64_t seed) {
  Device& device = model_->device();
  std::vector<float> rotations;
  for (int i = 0; i < count; ++i)
    for (const double v : random_rotation({seed, Purpose::random_pose}, static_cast<uint64_t>(i)))
      rotations.push_back(static_cast<float>(v));
  Buffer<float> matrices(device, count, 9), sampled(device, count, pixels.size()), exact(device, count, pixels.size()),
      latents;
  matrices.upload(rotations);
  std::vector<int32_t> own(static_cast<size_t>(count));
  std::iota(own.begin(), own.end(), 0);
  const Buffer<int32_t> image_of(device, own);
  if (!z.empty()) {
    latents = Buffer<float>(device, count, model_->config().latent);
    latents.upload(z);
  }
  slices(pixels, matrices.view(), {}, {}, sampled.view());
  ExactSource(*model_, latents.view()).slices(pixels, matrices.view(), {}, image_of.view(), exact.view());
  const auto a = sampled.download(), b = exact.download();
  Error error;
  for (size_t i = 0; i < a.size(); ++i) {
    error.difference += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
    error.exact += double(b[i]) * b[i];
  }
  return error;
}

}  // namespace recon
