#include "engine/model/model.h"

#include <doctest/doctest.h>

#include <numbers>

#include "engine/geometry/lattice.h"
#include "engine/pose/slice_source.h"
#include "kernels/fourier/fourier.h"
#include "tests/reference/decoder_reference.h"

using namespace recon;
using namespace recon::reference;

namespace {

ModelConfig small(int side, int latent, bool half_space) {
  return {.side = side,
          .latent = latent,
          .source = latent > 0 ? LatentSource::table : LatentSource::none,
          .decoder_layers = 1,
          .decoder_width = 12,
          .half_space = half_space,
          .seed = 3};
}

/// The Hartley volume by its definition: every lattice point on its own, in doubles.
Values reference_volume(const Model& model, const std::vector<float>& z, double radius) {
  const DecoderNet net = model.decoder_net();
  const int side = model.config().side, half = side / 2;
  SliceProblem p;
  p.shape = net.shape;
  p.frequencies.assign(net.frequencies.data, net.frequencies.data + net.frequencies.size());
  p.parameters.assign(net.parameters.data, net.parameters.data + net.parameters.size());
  const auto layers = mlp_layers(p.mlp(), p.parameters);
  const Values latent = widen(z);
  Values out;
  Pattern ignored;
  for (int kz = -half; kz < half; ++kz)
    for (int ky = -half; ky < half; ++ky)
      for (int kx = -half; kx < half; ++kx) {
        double k[3] = {double(kx) / side, double(ky) / side, double(kz) / side};
        if (kx * kx + ky * ky + kz * kz > radius * radius) {
          out.push_back(0);
          continue;
        }
        const size_t output = p.shape.outputs == 2 && !in_half_space(k) ? 1 : 0;
        if (output == 1)
          for (double& c : k) c = -c;
        out.push_back(
            mlp(p.mlp(), layers, decoder_input(p.shape, p.frequencies, k, latent.data()), ignored).back()[output]);
      }
  return out;
}

}  // namespace

TEST_CASE("encodings: the geometric series runs from the box's edge to one pixel, one family an axis") {
  const auto f = encoding_frequencies(Encoding::geometric, 32, 16, 0, 0);
  REQUIRE(f.size() == 9 * 16);
  for (size_t axis = 0; axis < 3; ++axis)
    for (size_t i = 0; i < 48; ++i) {
      const double expected = i / 16 == axis ? 16 * std::pow(1.0 / 16, double(i % 16) / 15) : 0;
      CHECK(double(f[48 * axis + i]) == doctest::Approx(expected).epsilon(1e-6));
    }
  CHECK(encoding_frequencies(Encoding::geometric_low, 64, 32, 0, 0).size() == 9 * 28);
  CHECK(encoding_frequencies(Encoding::geometric, 8, 1, 0, 0)[0] == 4);
  for (const Encoding e : {Encoding::geometric, Encoding::geometric_low, Encoding::gaussian})
    CHECK(encoding_from_name(encoding_name(e)) == e);
  CHECK_THROWS_AS(encoding_from_name("fourier"), std::invalid_argument);
}

// 3·E numbers an axis: their deviation scatters by √(1/(2n)) of itself, n = 9·64.
TEST_CASE("encodings: gaussian frequencies have the deviation asked for and depend on the seed") {
  const auto f = encoding_frequencies(Encoding::gaussian, 128, 64, 0.5, 1);
  REQUIRE(f.size() == 9 * 64);
  CHECK(norm(f) / std::sqrt(double(f.size())) ==
        doctest::Approx(0.5 * 64 / (2 * std::numbers::pi)).epsilon(4 / std::sqrt(2.0 * 576)));
  CHECK(f != encoding_frequencies(Encoding::gaussian, 128, 64, 0.5, 2));
  CHECK(f == encoding_frequencies(Encoding::gaussian, 128, 64, 0.5, 1));
}

// The half-space walk evaluates half of the points; radius beyond D/2 takes in the corners, where −D/2 has no opposite.
TEST_CASE("Model: the volume equals evaluating every point, in half-space and full, at any radius") {
  const auto device = Device::cpu(2);
  for (const bool half_space : {false, true})
    for (const int side : {2, 6, 10})
      for (const double radius : {0.0, 1.0, side / 2.0 - 0.5, side / 2.0, double(side)}) {
        const Model model(*device, small(side, 2, half_space), 0, 4);
        const Buffer<float> volume(*device, side * side, side);
        model.hartley_volume({0.3f, -0.7f}, radius, volume.view());
        INFO("half space " << half_space << ", side " << side << ", radius " << radius);
        CHECK(relative_error(volume.download(), reference_volume(model, {0.3f, -0.7f}, radius)) <
              1e-5);  // as the decoder
      }
}

TEST_CASE("Model: the density's Hartley transform is the decoder's volume") {
  const auto device = Device::cpu(2);
  const Model model(*device, small(12, 0, true), 0, 0);
  const Buffer<float> hartley_space(*device, 144, 12), density(*device, 144, 12);
  model.hartley_volume({}, 5, hartley_space.view());
  Buffer<float> back(*device, 144, 12);
  back.upload(model.volume({}, 5));
  hartley(*device, Hartley3d{.volume = back.view(), .hartley = density.view(), .side = 12});
  CHECK(relative_error(density.download(), hartley_space.download()) < 1e-5);
}

TEST_CASE("Model: the slice at no rotation is the volume's central plane") {
  const auto device = Device::cpu(2);
  for (const bool half_space : {false, true}) {
    const Model model(*device, small(16, 0, half_space), 0, 0);
    const Buffer<float> volume(*device, 256, 16);
    model.hartley_volume({}, 8, volume.view());
    const auto host = circular_pixels(16, 7);
    const Buffer<Pixel> pixels = on_device(*device, host);
    const Buffer<float> rotation = on_device(*device, std::vector<float>{1, 0, 0, 0, 1, 0, 0, 0, 1}, 1, 9),
                        slice(*device, 1, int64_t(host.size()));
    ExactSource(model).slices(pixels.view(), rotation.view(), {}, {}, slice.view());
    const auto plane = volume.download();
    std::vector<float> expected;
    for (const Pixel p : host) expected.push_back(plane[size_t((8 * 16 + 8 + p.y) * 16 + 8 + p.x)]);
    CHECK(relative_error(slice.download(), expected) < 1e-6);
  }
}

TEST_CASE("Model: the same seed gives the same weights, and a latent table starts near zero") {
  const auto device = Device::cpu(1), other = Device::cpu(3);
  ModelConfig config = small(8, 4, true);
  const Model a(*device, config, 0, 500), b(*other, config, 0, 500);
  CHECK(a.parameters().state().values == b.parameters().state().values);
  CHECK(a.table().values.download() == b.table().values.download());
  CHECK(norm(a.table().values.download()) / std::sqrt(2000.0) == doctest::Approx(0.1).epsilon(0.1));
  config.seed = 4;
  CHECK(Model(*device, config, 0, 500).parameters().state().values != a.parameters().state().values);
}

// One unit that adds up the waves of 1,200 points scattered by 2 px about the centre, those on the right with more
// sine, and whose relu is far on its positive side: a smooth blob, gone at |k| = D/2 but for the points' noise of
// 1/√1,200. Trilinear interpolation at spacing 1/2 images density at distance x to x ± 2D, damped to (x/(2D − x))²: 0.6
// % at x = 3.5 px, D = 24. An untrained decoder fills the box and does not decay, so that its cut at D/2 rings: the
// reason why the error is measured.
TEST_CASE(
    "Lattice source: its slices are the exact ones to a percent for a smooth decoder, and its error is measured") {
  const auto device = Device::cpu(2);
  const int side = 24;
  const auto host = circular_pixels(side, side / 2 - 2);
  const Buffer<Pixel> pixels = on_device(*device, host);
  double errors[2];
  for (const bool smooth : {true, false}) {
    ModelConfig config = small(side, 0, false);
    config.decoder_layers = 0, config.decoder_width = smooth ? 1 : 12;
    config.encoding = Encoding::gaussian;
    config.encoding_sigma = 1, config.encoding_per_axis = 400;
    Model model(*device, config, 0, 1);
    if (smooth) {
      auto state = model.parameters().state();
      const DecoderNet net = model.decoder_net();
      const auto points = size_t(net.shape.features);
      for (size_t i = 0; i < points; ++i) {
        state.values[i] = (net.frequencies[int64_t(i)] > 0 ? 1.5f : -0.5f) / float(points);  // of the sine
        state.values[points + i] = 1 / float(points);
      }
      state.values[size_t(net.shape.bias_offset(0))] = 3;
      state.values[size_t(net.shape.weight_offset(1))] = 1;
      state.values[size_t(net.shape.bias_offset(1))] = -3;
      model.parameters().restore(state);
    }
    LatticeSource source(model);
    source.refresh({}, side / 2.0);
    CHECK(source.shared());
    errors[smooth] = source.measure_error(pixels.view(), {}, 20, 1).relative();
  }
  MESSAGE("smooth " << errors[true] << ", untrained " << errors[false]);
  CHECK(errors[true] < 0.01);
  CHECK(errors[false] > 3 * errors[true]);
}
