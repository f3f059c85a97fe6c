#pragma once
// Slices of the coordinate network (paper §3.1, eq. 2, 6–8) as they are defined, in doubles: never optimised.
#include <cmath>
#include <numbers>

#include "kernels/decoder/decoder.h"
#include "tests/reference/linear_reference.h"

namespace recon::reference {

/// The arguments of DecodeSlices, in doubles.
struct SliceProblem {
  DecoderShape shape;
  int side = 0;
  std::vector<Pixel> pixels;
  Values frequencies;  ///< [3, F]
  Values parameters;
  Values rotations;  ///< [S, 9]
  Values latents;    ///< [N, Z]
  std::vector<int32_t> latent_of, active;

  size_t slices() const { return rotations.size() / 9; }
  bool is_active(size_t slice) const { return active.empty() || active[slice] != 0; }
  const double* latent(size_t slice) const {
    const size_t row = latent_of.empty() ? slice : static_cast<size_t>(latent_of[slice]);
    return latents.data() + row * static_cast<size_t>(shape.latent);
  }
  MlpShape mlp() const { return {1, shape.inputs(), shape.width, shape.outputs, shape.layers, shape.residual}; }
};

/// [sin 2π f·k | cos 2π f·k | z].
inline Values decoder_input(const DecoderShape& shape, const Values& frequencies, const double k[3], const double* z) {
  const auto features = static_cast<size_t>(shape.features);
  Values sines, cosines;
  for (size_t f = 0; f < features; ++f) {
    const double turns =
        frequencies[f] * k[0] + frequencies[features + f] * k[1] + frequencies[2 * features + f] * k[2];
    sines.push_back(std::sin(2 * std::numbers::pi * turns));
    cosines.push_back(std::cos(2 * std::numbers::pi * turns));
  }
  sines.insert(sines.end(), cosines.begin(), cosines.end());
  sines.insert(sines.end(), z, z + shape.latent);
  return sines;
}

inline bool in_half_space(const double k[3]) {
  return k[2] > 0 || (k[2] == 0 && (k[1] > 0 || (k[1] == 0 && k[0] > 0)));
}

/// Where a pixel is evaluated, and which output is its value.
struct Evaluation {
  double k[3];
  size_t output = 0;
};
inline Evaluation evaluation(const SliceProblem& p, size_t slice, size_t pixel) {
  const double* r = &p.rotations[9 * slice];
  const double x = double(p.pixels[pixel].x) / p.side, y = double(p.pixels[pixel].y) / p.side;
  Evaluation e{{r[0] * x + r[3] * y, r[1] * x + r[4] * y, r[2] * x + r[5] * y}};
  if (p.shape.outputs == 2 && !in_half_space(e.k)) {
    for (double& c : e.k) c = -c;
    e.output = 1;
  }
  return e;
}

/// values[s, p]; 0 in slices that are not active.
inline Values decode(const SliceProblem& p, Pattern& pattern) {
  const auto layers = mlp_layers(p.mlp(), p.parameters);
  Values out;
  for (size_t s = 0; s < p.slices(); ++s)
    for (size_t i = 0; i < p.pixels.size(); ++i) {
      if (!p.is_active(s)) {
        out.push_back(0);
        continue;
      }
      const Evaluation e = evaluation(p, s, i);
      const Values input = decoder_input(p.shape, p.frequencies, e.k, p.latent(s));
      out.push_back(mlp(p.mlp(), layers, input, pattern).back()[e.output]);
    }
  return out;
}

struct SliceGradients {
  Values parameters;
  Values latents;  ///< [S, Z]: of each slice's own z
  double latent_terms =
      0;  ///< norm of what each unit of the first layer adds to them, in each row and in all of a slice
};

inline SliceGradients decode_backward(const SliceProblem& p, const Values& dvalues) {
  const auto latent = static_cast<size_t>(p.shape.latent), encoded = 2 * static_cast<size_t>(p.shape.features);
  const auto width = static_cast<size_t>(p.shape.width), bias = static_cast<size_t>(p.shape.bias_offset(0));
  const auto layers = mlp_layers(p.mlp(), p.parameters);
  SliceGradients out{Values(p.parameters.size()), Values(p.slices() * latent), 0};
  Pattern ignored;
  double squares = 0;
  for (size_t s = 0; s < p.slices(); ++s) {
    Values terms(width * latent);
    for (size_t i = 0; i < p.pixels.size() && p.is_active(s); ++i) {
      const Evaluation e = evaluation(p, s, i);
      const auto values = mlp(p.mlp(), layers, decoder_input(p.shape, p.frequencies, e.k, p.latent(s)), ignored);
      Values dout(static_cast<size_t>(p.shape.outputs));
      dout[e.output] = dvalues[s * p.pixels.size() + i];
      const MlpGradients g = mlp_backward(p.mlp(), layers, values, dout);
      for (size_t j = 0; j < g.parameters.size(); ++j) out.parameters[j] += g.parameters[j];
      for (size_t j = 0; j < latent; ++j) out.latents[s * latent + j] += g.x[encoded + j];
      for (size_t u = 0; u < width; ++u)
        for (size_t j = 0; j < latent; ++j) {
          const double term = layers[0].w[u * (encoded + latent) + encoded + j] * g.parameters[bias + u];
          terms[u * latent + j] += term, squares += term * term;
        }
    }
    squares += norm(terms) * norm(terms);
  }
  out.latent_terms = std::sqrt(squares);
  return out;
}

/// The least |pre-activation| of any relu, of its layer's root mean square: where this is below the floats' error, a
/// gradient may take either side of the kink.
inline double nearest_kink(const MlpShape& shape, const std::vector<MlpLayer>& layers, Values x) {
  double nearest = INFINITY;
  Pattern none;
  for (int l = 0; l < shape.last(); ++l) {
    LinearShape layer = shape.layer(l);
    layer.relu = false;
    x = linear(layer, x, layers[static_cast<size_t>(l)].w, layers[static_cast<size_t>(l)].b, none);
    const double scale = norm(x) / std::sqrt(double(x.size()));
    for (double& v : x) {
      nearest = std::min(nearest, std::abs(v) / scale);
      v = std::max(v, 0.0);
    }
  }
  return nearest;
}

inline double nearest_kink(const SliceProblem& p) {
  const auto layers = mlp_layers(p.mlp(), p.parameters);
  double nearest = INFINITY;
  for (size_t s = 0; s < p.slices(); ++s)
    for (size_t i = 0; i < p.pixels.size() && p.is_active(s); ++i) {
      const Evaluation e = evaluation(p, s, i);
      const Values input = decoder_input(p.shape, p.frequencies, e.k, p.latent(s));
      nearest = std::min(nearest, nearest_kink(p.mlp(), layers, input));
    }
  return nearest;
}

}  // namespace recon::reference
