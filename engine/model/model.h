#pragma once
#include <memory>
#include <string>
#include <vector>

#include "autodiff/ops.h"
#include "engine/model/encoding.h"

namespace recon {

/// Where the latent of an image comes from (paper §3.2; auto-decoding).
enum class LatentSource {
  none,     ///< homogeneous: no latent
  encoder,  ///< the paper's amortised encoder
  table,    ///< one z an image, optimised with the decoder
};

/// The architecture: everything that decides shapes and initial weights. Part of a checkpoint.
struct ModelConfig {
  int side = 0;    ///< D, box in pixels
  int latent = 0;  ///< Z
  LatentSource source = LatentSource::none;
  int decoder_layers = 10, decoder_width = 128;
  int encoder_layers = 10, encoder_width = 128;
  bool residual = true;
  bool half_space = true;  ///< evaluate one of each pair of opposite coordinates (two outputs)
  Encoding encoding = Encoding::geometric;
  int encoding_per_axis = 0;    ///< E; 0: D/2
  double encoding_sigma = 0.5;  ///< of the gaussian encoding
  uint64_t seed = 0;
  /// Of the decoder's products and of the base level of searches, on devices that can do with less.
  Precision precision = Precision::fp32;
};

/// The networks of the method with their weights on a device: decoder always, encoder or latent table when there is a
/// z.
class Model {
 public:
  /// `encoder_inputs`: pixels an image; `images`: rows of the latent table.
  Model(Device& device, const ModelConfig& config, int64_t encoder_inputs, int64_t images);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const ModelConfig& config() const { return config_; }
  Device& device() const { return *device_; }
  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }
  DecoderVars decoder_vars() const;
  DecoderNet decoder_net() const;
  MlpTensors encoder() const;
  int decoder_module() const { return decoder_module_; }
  int encoder_module() const { return encoder_module_; }

  /// The latent table with its optimiser state, when the source is `table`.
  struct Table {
    Buffer<float> values, first_moments, second_moments;  ///< [N, Z]
    Buffer<int32_t> steps;                                ///< [1, N]
  };
  Table& table() { return table_; }
  const Table& table() const { return table_; }

  /// The Hartley volume [D·D, D] of the decoder at z (host, length Z), frequencies |k| <= radius (in 1/D), the rest
  /// zero (paper §3.2, end: a 3-D lattice spanning [−½, ½]³).
  void hartley_volume(const std::vector<float>& z, double radius, View<float> out) const;
  /// The density [z][y][x] in real space at z.
  std::vector<float> volume(const std::vector<float>& z, double radius) const;

 private:
  Device* device_;
  ModelConfig config_;
  Parameters parameters_;
  DecoderShape shape_;
  Buffer<float> frequencies_;
  int decoder_module_ = 0, encoder_module_ = -1;
  std::vector<int> encoder_tensors_;
  Table table_;
  struct Lattice;  // coordinates of the sphere of some radius, kept for the next volume
  mutable std::shared_ptr<Lattice> lattice_;
};

}  // namespace recon
