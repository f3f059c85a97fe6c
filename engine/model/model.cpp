#include "engine/model/model.h"

#include "kernels/fourier/fourier.h"
#include "kernels/slice/volume_points.h"

namespace recon {

/// Lattice points inside a sphere: one of each opposite pair with two outputs, all of them with one.
struct Model::Lattice {
  double radius = 0;
  Buffer<float> points, values;   // [n, 3], [n, outputs]
  Buffer<int32_t> index, mirror;  // [1, n]
};

namespace {

struct LatticePoints {
  std::vector<float> points;
  std::vector<int32_t> index, mirror;
};

LatticePoints lattice_points(int side, double radius, bool half_space) {
  LatticePoints out;
  const int half = side / 2;
  const auto at = [&](int x, int y, int z) {
    const bool inside = x >= -half && y >= -half && z >= -half && x < half && y < half && z < half;
    return inside ? ((z + half) * side + y + half) * side + x + half : -1;
  };
  // −D/2 is stored and +D/2 is not, so the half-space z > 0 is walked as its mirror image z < 0, negated; on the faces
  // at −D/2 stand points whose opposite is not stored, on either side of the plane.
  for (int z = -half; z < half; ++z)
    for (int y = -half; y < half; ++y)
      for (int x = -half; x < half; ++x) {
        if (double(x) * x + double(y) * y + double(z) * z > radius * radius) continue;
        const bool first = z < 0 || (z == 0 && (y < 0 || (y == 0 && x <= 0)));
        const bool alone = at(-x, -y, -z) < 0;  // its opposite is not stored and is never walked
        if (half_space && !first && !alone) continue;
        const float sign = half_space ? -1.0f : 1.0f, step = 1.0f / static_cast<float>(side);
        const bool flip = half_space && !first;
        for (const int c : {x, y, z}) out.points.push_back((flip ? 1.0f : sign) * static_cast<float>(c) * step);
        if (half_space) {  // the decoder is evaluated at −k: its pair is (H(−k), H(k))
          out.index.push_back(flip ? at(x, y, z) : at(-x, -y, -z));
          out.mirror.push_back(flip ? at(-x, -y, -z) : at(x, y, z));
        } else {
          out.index.push_back(at(x, y, z));
        }
      }
  return out;
}

}  // namespace

Model::Model(Device& device, const ModelConfig& config, int64_t encoder_inputs, int64_t images)
    : device_(&device), config_(config), parameters_(device) {
  const int per_axis = config.encoding_per_axis > 0 ? config.encoding_per_axis : config.side / 2;
  const auto frequencies =
      encoding_frequencies(config.encoding, config.side, per_axis, config.encoding_sigma, config.seed);
  const auto features = static_cast<int64_t>(frequencies.size() / 3);
  frequencies_ = Buffer<float>(device, 3, features);
  frequencies_.upload(frequencies);
  shape_ = {.features = static_cast<int>(features),
            .latent = config.latent,
            .width = config.decoder_width,
            .layers = config.decoder_layers,
            .outputs = config.half_space ? 2 : 1,
            .residual = config.residual};
  decoder_module_ = parameters_.begin_module("decoder");
  add_mlp(parameters_, shape_.inputs(), shape_.width, shape_.layers, shape_.outputs);
  expect(parameters_.size() == shape_.parameter_count(), "model: the decoder's layout and its tensors disagree");
  if (config.source == LatentSource::encoder) {
    encoder_module_ = parameters_.begin_module("encoder");
    encoder_tensors_ =
        add_mlp(parameters_, encoder_inputs, config.encoder_width, config.encoder_layers, 2 * int64_t{config.latent});
  }
  parameters_.initialize(config.seed);
  if (config.source == LatentSource::table) {
    table_.values = Buffer<float>(device, images, config.latent);
    table_.values.zero();
    table_.first_moments = Buffer<float>(device, images, config.latent);
    table_.second_moments = Buffer<float>(device, images, config.latent);
    table_.steps = Buffer<int32_t>(device, 1, images);
    table_.first_moments.zero();
    table_.second_moments.zero();
    table_.steps.zero();
  }
}

DecoderVars Model::decoder_vars() const {
  return {shape_, frequencies_.view(), parameters_.module_ref(decoder_module_), config_.precision};
}

DecoderNet Model::decoder_net() const {
  return {shape_, frequencies_.view(), parameters_.module_ref(decoder_module_).value, config_.precision};
}

MlpTensors Model::encoder() const { return mlp_tensors(parameters_, encoder_tensors_, config_.residual); }

void Model::hartley_volume(const std::vector<float>& z, double radius, View<float> out) const {
  if (!lattice_ || lattice_->radius != radius) {
    const LatticePoints host = lattice_points(config_.side, radius, config_.half_space);
    const auto count = static_cast<int64_t>(host.index.size());
    lattice_ = std::make_shared<Lattice>();
    lattice_->radius = radius;
    lattice_->points = Buffer<float>(*device_, count, 3);
    lattice_->points.upload(host.points);
    lattice_->values = Buffer<float>(*device_, count, shape_.outputs);
    lattice_->index = Buffer<int32_t>(*device_, host.index);
    if (config_.half_space) lattice_->mirror = Buffer<int32_t>(*device_, host.mirror);
  }
  Buffer<float> latent;
  if (config_.latent > 0) latent = Buffer<float>(*device_, z);
  decode(*device_, DecodePoints{.net = decoder_net(),
                                .points = lattice_->points.view(),
                                .latent = latent.view(),
                                .values = lattice_->values.view()});
  scatter_volume(*device_, ScatterVolume{.values = lattice_->values.view(),
                                         .index = lattice_->index.view(),
                                         .mirror = lattice_->mirror.view(),
                                         .volume = out});
}

std::vector<float> Model::volume(const std::vector<float>& z, double radius) const {
  const int64_t side = config_.side;
  Buffer<float> cube(*device_, side * side, side);
  hartley_volume(z, radius, cube.view());
  hartley(*device_, Hartley3d{.volume = cube.view(), .hartley = cube.view(), .side = config_.side});
  std::vector<float> density = cube.download();
  const float scale = 1.0f / static_cast<float>(side * side * side);
  for (float& v : density) v *= scale;
  return density;
}

}  // namespace recon
