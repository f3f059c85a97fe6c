#include "engine/pose/slice_source.h"

#include <cmath>

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

LatticeSource::LatticeSource(const Model& model, int oversampling) : model_(&model), oversampling_(oversampling) {
  const int64_t side = model.config().side, padded = side * oversampling;
  cube_ = Buffer<float>(model.device(), side * side, side);
  padded_ = Buffer<float>(model.device(), padded * padded, padded);
}

void LatticeSource::refresh(const std::vector<float>& z, double radius) {
  Device& device = model_->device();
  const int side = model_->config().side;
  model_->hartley_volume(z, std::min(radius, side / 2.0), cube_.view());
  hartley(device, Hartley3d{.volume = cube_.view(), .hartley = cube_.view(), .side = side});
  pad_volume(device, PadVolume{.density = cube_.view(),
                               .out = padded_.view(),
                               .side = side,
                               .padded_side = side * oversampling_,
                               .scale = 1.0f / (static_cast<float>(side) * static_cast<float>(side) *
                                                static_cast<float>(side))});
  hartley(device, Hartley3d{.volume = padded_.view(), .hartley = padded_.view(), .side = side * oversampling_});
}

void LatticeSource::slices(View<const Pixel> pixels, View<const float> rotations, View<const int32_t> active,
                           View<const int32_t>, View<float> values) {
  sample_slices(model_->device(),
                SampleSlices{.volume = {padded_.view(), model_->config().side * oversampling_, oversampling_},
                             .pixels = pixels,
                             .rotations = rotations,
                             .active = active,
                             .values = values});
}

double LatticeSource::measure_error(View<const Pixel> pixels, const std::vector<float>& z, int count, uint64_t seed) {
  Device& device = model_->device();
  std::vector<float> rotations;
  for (int i = 0; i < count; ++i)
    for (const double v : random_rotation({seed, Purpose::random_pose}, static_cast<uint64_t>(i)))
      rotations.push_back(static_cast<float>(v));
  Buffer<float> matrices(device, count, 9), sampled(device, count, pixels.size()), exact(device, count, pixels.size()),
      latents;
  matrices.upload(rotations);
  Buffer<int32_t> image_of(device, 1, count);
  image_of.zero();
  if (!z.empty()) latents = Buffer<float>(device, z);
  slices(pixels, matrices.view(), {}, {}, sampled.view());
  ExactSource(*model_, latents.view()).slices(pixels, matrices.view(), {}, image_of.view(), exact.view());
  const auto a = sampled.download(), b = exact.download();
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
    norm += double(b[i]) * b[i];
  }
  return norm > 0 ? std::sqrt(difference / norm) : 0;
}

}  // namespace recon
