#include "autodiff/tape.h"

#include <doctest/doctest.h>

#include "autodiff/ops.h"
#include "tests/reference/decoder_reference.h"
#include "tests/reference/latent_reference.h"
#include "tests/reference/loss_reference.h"
#include "tests/reference/shapes.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

constexpr uint64_t noise_seed = 5;
constexpr uint32_t noise_epoch = 3;

/// Encoder, latent, decoder and loss of a minibatch (paper Fig. 1), with everything that is given.
struct Vae {
  SliceProblem decoder;  // its parameters and latents are filled in by the chain
  MlpShape encoder;
  Values input, noise, target, ctf;
  std::vector<int32_t> images;
  double loss_scale = 1, kl_scale = 1;
};

struct VaeGradients {
  Values decoder, encoder, z;
};

struct VaeForward {
  std::vector<Values> layers;  // of the encoder
  Values z, kl, slices, loss;
  double total = 0;
};

VaeForward forward(Vae& vae, const Values& decoder, const Values& encoder, Pattern& pattern) {
  const size_t rows = vae.decoder.slices();
  VaeForward f;
  f.layers = mlp(vae.encoder, mlp_layers(vae.encoder, encoder), vae.input, pattern);
  Reparameterized r = reparameterize(rows, f.layers.back(), vae.noise);
  f.z = vae.decoder.latents = r.z;
  f.kl = r.kl;
  vae.decoder.parameters = decoder;
  f.slices = decode(vae.decoder, pattern);
  f.loss = squared_error(rows, f.slices, vae.target, vae.ctf);
  f.total = vae.loss_scale * dot(f.loss, Values(rows, 1.0)) + vae.kl_scale * dot(f.kl, Values(rows, 1.0));
  return f;
}

VaeGradients backward(Vae& vae, const Values& decoder, const Values& encoder) {
  Pattern ignored;
  const VaeForward f = forward(vae, decoder, encoder, ignored);
  const SliceGradients s =
      decode_backward(vae.decoder, squared_error_backward(f.slices, vae.target, vae.ctf, vae.loss_scale));
  const Values dencoded =
      reparameterize_backward(vae.decoder.slices(), f.layers.back(), vae.noise, s.latents, vae.kl_scale);
  return {s.parameters, mlp_backward(vae.encoder, mlp_layers(vae.encoder, encoder), f.layers, dencoded).parameters,
          s.latents};
}

/// A VAE's tensors as the model lays them out: module 0 the decoder, module 1 the encoder.
struct Networks {
  Parameters parameters;
  std::vector<int> encoder;
  Values decoder_values, encoder_values;

  Networks(Device& device, const Vae& vae, uint64_t seed) : parameters(device) {
    const DecoderShape& s = vae.decoder.shape;
    parameters.begin_module("decoder");
    add_mlp(parameters, s.inputs(), s.width, s.layers, s.outputs);
    parameters.begin_module("encoder");
    encoder = add_mlp(parameters, vae.encoder.inputs, vae.encoder.width, vae.encoder.layers, vae.encoder.outputs);
    parameters.initialize(seed);
    const Values all = widen(parameters.state().values);
    decoder_values.assign(all.begin(), all.begin() + parameters.modules()[0].size);
    encoder_values.assign(all.begin() + parameters.modules()[0].size, all.end());
  }
};

Vae random_vae(uint64_t number) {
  Draws draws(number);
  Vae v;
  const int rows = draws.integer(1, 4), latent = draws.integer(1, 4), pairs = draws.integer(1, 12);
  SliceProblem& d = v.decoder;
  d.shape = {.features = draws.integer(1, 9),
             .latent = latent,
             .width = draws.integer(3, 17),
             .layers = draws.integer(0, 3),
             .outputs = draws.integer(1, 2),
             .residual = draws.coin()};
  d.side = 2 * draws.integer(2, 16);
  d.pixels = random_pixels(draws, d.side, pairs);
  d.frequencies = draws.wide_normals(3 * d.shape.features, 2);
  d.rotations = widen(random_rotations(draws, rows));
  v.encoder = {.rows = rows,
               .inputs = 2 * pairs,
               .width = draws.integer(3, 17),
               .outputs = 2 * latent,
               .layers = draws.integer(0, 3),
               .residual = d.shape.residual};
  v.input = draws.wide_normals(rows * 2 * pairs);
  v.target = draws.wide_normals(rows * 2 * pairs);
  if (draws.coin()) v.ctf = draws.wide_normals(rows * 2 * pairs, 0.7);
  for (int b = 0; b < rows; ++b) v.images.push_back(draws.integer(0, 5000));
  for (const int32_t image : v.images)
    for (int j = 0; j < latent; ++j)
      v.noise.push_back(double(normal_from(
          Philox{noise_seed, Purpose::latent_noise}.draw(uint64_t(image) << 32 | noise_epoch, uint32_t(j)).v[0])));
  v.loss_scale = double(static_cast<float>(draws.uniform(0.01, 1)));
  v.kl_scale = double(static_cast<float>(draws.uniform(0.01, 1)));
  return v;
}

/// A minibatch on a device.
struct Batch {
  Buffer<float> frequencies, rotations, input, target, ctf, loss, kl;
  Buffer<Pixel> pixels;
  Buffer<int32_t> images;
  StepScalars scalars;
  DecoderVars decoder;

  Batch(Device& d, const Vae& v, const Parameters& parameters) {
    const auto rows = static_cast<int64_t>(v.decoder.slices()), count = static_cast<int64_t>(v.decoder.pixels.size());
    frequencies = on_device(d, narrow(v.decoder.frequencies), 3, v.decoder.shape.features);
    rotations = on_device(d, narrow(v.decoder.rotations), rows, 9);
    input = on_device(d, narrow(v.input), rows, count), target = on_device(d, narrow(v.target), rows, count);
    if (!v.ctf.empty()) ctf = on_device(d, narrow(v.ctf), rows, count);
    loss = Buffer<float>(d, 1, rows), kl = Buffer<float>(d, 1, rows);
    pixels = on_device(d, v.decoder.pixels);
    images = on_device(d, v.images);
    scalars = {.epoch = noise_epoch,
               .loss_scale = static_cast<float>(v.loss_scale),
               .kl_scale = static_cast<float>(v.kl_scale)};
    decoder = {v.decoder.shape, frequencies.view(), parameters.module_ref(0)};
  }
};

std::vector<float> downloaded(Device& d, View<const float> view) {
  std::vector<float> out(static_cast<size_t>(view.size()));
  d.download(out.data(), view.data, out.size() * sizeof(float));
  return out;
}

/// Of order one in these cases; below it, cancellation has left less than the terms were.
double error_of(const std::vector<float>& got, const Values& expected) {
  return relative_error(got, expected, 1e-3 * std::sqrt(double(expected.size())));
}

}  // namespace

TEST_CASE("VAE reference: the gradient of the whole chain matches central differences to 1e-6") {
  const auto device = test_device(1);
  double worst = 0;
  int64_t skipped = 0, checked = 0;
  for (uint64_t number = 0; number < 12; ++number) {
    Vae vae = random_vae(number);
    vae.encoder.width = vae.decoder.shape.width = 4, vae.decoder.shape.features = 2;
    vae.decoder.frequencies.resize(6);
    const Networks n(*device, vae, number);
    const VaeGradients g = backward(vae, n.decoder_values, n.encoder_values);
    const auto by_decoder =
        check_gradient([&](const Values& at, Pattern& p) { return forward(vae, at, n.encoder_values, p).total; },
                       n.decoder_values, g.decoder);
    const auto by_encoder =
        check_gradient([&](const Values& at, Pattern& p) { return forward(vae, n.decoder_values, at, p).total; },
                       n.encoder_values, g.encoder);
    worst = std::max({worst, by_decoder.error, by_encoder.error});
    skipped += by_decoder.skipped + by_encoder.skipped, checked += by_decoder.checked + by_encoder.checked;
  }
  MESSAGE("worst " << worst << " over " << checked << ", at a kink " << skipped);
  CHECK(worst < 1e-6);
  CHECK(skipped < checked / 100);
}

// The kernels' errors of 1e-6 (tests/kernels) pass through each other: a few times that at the encoder's end of the
// chain.
TEST_CASE("Tape: encoder, latent, decoder and loss give the gradient of the double reference over 60 random shapes") {
  const auto device = test_device(2);
  double worst_forward = 0, worst_decoder = 0, worst_encoder = 0, worst_z = 0;
  for (uint64_t number = 0; number < shapes(60); ++number) {
    Vae vae = random_vae(100 + number);
    Networks n(*device, vae, number);
    const Batch batch(*device, vae, n.parameters);
    Tape tape(*device);
    const Var encoded =
        mlp(tape, Tape::constant(batch.input.view()), mlp_tensors(n.parameters, n.encoder, vae.encoder.residual));
    const Var z = reparameterize(tape, encoded, batch.images.view(), noise_seed, batch.scalars, batch.kl.view());
    decode_loss(tape, batch.decoder, batch.pixels.view(), vae.decoder.side, batch.rotations.view(), z,
                batch.target.view(), batch.ctf.view(), batch.scalars, batch.loss.view());
    tape.forward();
    tape.backward();
    Pattern ignored;
    const VaeForward expected = forward(vae, n.decoder_values, n.encoder_values, ignored);
    const VaeGradients gradients = backward(vae, n.decoder_values, n.encoder_values);
    worst_forward =
        std::max({worst_forward, error_of(batch.loss.download(), expected.loss),
                  error_of(batch.kl.download(), expected.kl), error_of(downloaded(*device, z.value), expected.z)});
    worst_decoder =
        std::max(worst_decoder, error_of(downloaded(*device, n.parameters.module_ref(0).gradient), gradients.decoder));
    worst_encoder =
        std::max(worst_encoder, error_of(downloaded(*device, n.parameters.module_ref(1).gradient), gradients.encoder));
    worst_z = std::max(worst_z, error_of(downloaded(*device, z.gradient), gradients.z));
  }
  MESSAGE("worst forward " << worst_forward << ", decoder " << worst_decoder << ", encoder " << worst_encoder << ", z "
                           << worst_z);
  CHECK(worst_forward < 1e-5);
  CHECK(worst_decoder < 1e-5);
  CHECK(worst_encoder < 1e-5);
  CHECK(worst_z < 1e-5);
}

TEST_CASE("Tape: decode_loss is decode and squared_error in one, for a latent table too") {
  const auto device = test_device(2);
  double worst = 0;
  for (uint64_t number = 0; number < shapes(40); ++number) {
    Vae vae = random_vae(200 + number);
    Networks fused(*device, vae, number), apart(*device, vae, number);
    const Batch a(*device, vae, fused.parameters), b(*device, vae, apart.parameters);
    const auto rows = static_cast<int64_t>(vae.decoder.slices());
    const int64_t latent = vae.decoder.shape.latent;
    Draws draws(number);
    const Buffer<float> table = on_device(*device, draws.normals(rows * latent), rows, latent);
    std::vector<int32_t> order;
    for (int32_t i = 0; i < rows; ++i) order.insert(order.begin(), i);
    const Buffer<int32_t> which = on_device(*device, order);
    Tape one(*device), two(*device);
    const Var z1 = gather_latents(one, table.view(), which.view(), a.scalars, a.kl.view());
    decode_loss(one, a.decoder, a.pixels.view(), vae.decoder.side, a.rotations.view(), z1, a.target.view(),
                a.ctf.view(), a.scalars, a.loss.view());
    const Var z2 = gather_latents(two, table.view(), which.view(), b.scalars, b.kl.view());
    const Var slices = decode(two, b.decoder, b.pixels.view(), vae.decoder.side, b.rotations.view(), z2);
    squared_error(two, slices, b.target.view(), b.ctf.view(), b.scalars, b.loss.view());
    for (Tape* tape : {&one, &two}) tape->forward(), tape->backward();
    CHECK(a.kl.download() == b.kl.download());
    worst = std::max({worst, relative_error(a.loss.download(), b.loss.download()),
                      relative_error(downloaded(*device, fused.parameters.module_ref(0).gradient),
                                     downloaded(*device, apart.parameters.module_ref(0).gradient)),
                      relative_error(downloaded(*device, z1.gradient), downloaded(*device, z2.gradient))});
  }
  MESSAGE("worst " << worst);
  CHECK(worst < 1e-6);  // the same sums in another order
}

TEST_CASE("Tape: a replay gives the same bits and allocates nothing") {
  const auto device = test_device(1);  // a second worker's scratch may grow later
  Vae vae = random_vae(7);
  Networks n(*device, vae, 7);
  const Batch batch(*device, vae, n.parameters);
  Tape tape(*device);
  const Var encoded =
      mlp(tape, Tape::constant(batch.input.view()), mlp_tensors(n.parameters, n.encoder, vae.encoder.residual));
  const Var z = reparameterize(tape, encoded, batch.images.view(), noise_seed, batch.scalars, batch.kl.view());
  decode_loss(tape, batch.decoder, batch.pixels.view(), vae.decoder.side, batch.rotations.view(), z,
              batch.target.view(), batch.ctf.view(), batch.scalars, batch.loss.view());
  tape.forward();
  tape.backward();
  const auto loss = batch.loss.download(), gradient = downloaded(*device, z.gradient);
  const auto allocations = device->allocations();
  tape.forward();
  tape.backward();
  CHECK(device->allocations() == allocations);
  CHECK(batch.loss.download() == loss);
  CHECK(downloaded(*device, z.gradient) == gradient);
}
