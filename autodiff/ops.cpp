#include "autodiff/ops.h"

#include "kernels/latent/latent.h"
#include "kernels/linear/linear.h"
#include "kernels/loss/loss.h"

namespace recon {

Var linear(Tape& tape, Var x, Parameters::Ref weight, Parameters::Ref bias, bool relu, bool residual) {
  Device& device = tape.device();
  const Var y = tape.variable(x.value.rows, weight.value.rows);
  tape.record(
      [=, &device] {
        linear(device,
               LinearForward{
                   .x = x.value, .w = weight.value, .b = bias.value, .y = y.value, .relu = relu, .residual = residual});
      },
      [=, &device] {
        linear_backward(device, LinearBackward{.x = x.value,
                                               .w = weight.value,
                                               .y = y.value,
                                               .dy = y.gradient,
                                               .dx = x.gradient,
                                               .dw = weight.gradient,
                                               .db = bias.gradient,
                                               .relu = relu,
                                               .residual = residual});
      });
  return y;
}

std::vector<int> add_mlp(Parameters& parameters, int64_t inputs, int64_t width, int layers, int64_t outputs) {
  std::vector<int> numbers;
  const auto layer = [&](const std::string& name, int64_t in, int64_t out) {
    numbers.push_back(parameters.add(name + ".weight", out, in, in));
    numbers.push_back(parameters.add(name + ".bias", 1, out, in));
  };
  layer("input", inputs, width);
  for (int i = 1; i <= layers; ++i) layer("hidden" + std::to_string(i), width, width);
  layer("output", width, outputs);
  return numbers;
}

MlpTensors mlp_tensors(const Parameters& parameters, const std::vector<int>& numbers, bool residual) {
  MlpTensors tensors;
  tensors.residual = residual;
  tensors.first = numbers[0];
  for (size_t i = 0; i < numbers.size(); i += 2) {
    tensors.weights.push_back(parameters.ref(numbers[i]));
    tensors.biases.push_back(parameters.ref(numbers[i + 1]));
  }
  return tensors;
}

Var mlp(Tape& tape, Var x, const MlpTensors& tensors, Parameters::Product* first) {
  const size_t last = tensors.weights.size() - 1;
  for (size_t i = 0; i <= last; ++i) {
    Parameters::Ref weight = tensors.weights[i];
    if (i == 0 && first) weight.gradient = {};
    const Var y = linear(tape, x, weight, tensors.biases[i], i < last, tensors.residual && i > 0 && i < last);
    if (i == 0 && first) *first = {tensors.first, y.gradient, x.value};
    x = y;
  }
  return x;
}

Var reparameterize(Tape& tape, Var encoded, View<const int32_t> images, uint64_t seed, const StepScalars& scalars,
                   View<float> kl) {
  Device& device = tape.device();
  const Var z = tape.variable(encoded.value.rows, encoded.value.cols / 2);
  tape.record(
      [=, &device] {
        reparameterize(device, Reparameterize{.encoded = encoded.value,
                                              .images = images,
                                              .z = z.value,
                                              .kl = kl,
                                              .seed = seed,
                                              .epoch = scalars.epoch});
      },
      [=, &device] {
        reparameterize_backward(device, ReparameterizeBackward{.encoded = encoded.value,
                                                               .z = z.value,
                                                               .dz = z.gradient,
                                                               .dencoded = encoded.gradient,
                                                               .kl_scale = scalars.kl_scale});
      });
  return z;
}

Var gather_latents(Tape& tape, View<const float> table, View<const int32_t> rows, const StepScalars& scalars,
                   View<float> prior) {
  Device& device = tape.device();
  const Var z = tape.variable(rows.size(), table.cols);
  tape.record(
      [=, &device] {
        gather_latents(device, GatherLatents{.table = table, .rows = rows, .z = z.value, .prior = prior});
      },
      [=, &device] { latent_prior(device, LatentPrior{.z = z.value, .dz = z.gradient, .scale = scalars.kl_scale}); });
  return z;
}

namespace {

DecodeSlices slices_of(const DecoderVars& decoder, View<const Pixel> pixels, int side, View<const float> rotations,
                       Var z) {
  return {.net = {decoder.shape, decoder.frequencies, decoder.parameters.value, decoder.precision},
          .pixels = pixels,
          .rotations = rotations,
          .latents = z.value,
          .latent_of = {},
          .active = {},
          .values = {},
          .side = side};
}

}  // namespace

Var decode(Tape& tape, const DecoderVars& decoder, View<const Pixel> pixels, int side, View<const float> rotations,
           Var z) {
  Device& device = tape.device();
  const Var y = tape.variable(rotations.rows, pixels.size());
  DecodeSlices forward = slices_of(decoder, pixels, side, rotations, z);
  tape.record(
      [=, &device]() mutable {
        forward.values = y.value;
        decode(device, forward);
      },
      [=, &device]() mutable {
        forward.values = {};
        DecodeSlicesBackward backward{.forward = forward};
        backward.dvalues = y.gradient;
        backward.dparameters = decoder.parameters.gradient;
        backward.dlatents = z.gradient;
        decode_backward(device, backward);
      });
  return y;
}

void squared_error(Tape& tape, Var prediction, View<const float> target, View<const float> ctf,
                   const StepScalars& scalars, View<float> loss) {
  Device& device = tape.device();
  const auto run = [=, &device](View<float> gradient, Scalar<float> scale) {
    squared_error(device, SquaredError{.prediction = prediction.value,
                                       .target = target,
                                       .ctf = ctf,
                                       .loss = loss,
                                       .dprediction = gradient,
                                       .scale = scale});
  };
  tape.record([=] { run({}, 1.0f); }, [=] { run(prediction.gradient, scalars.loss_scale); });
}

void decode_loss(Tape& tape, const DecoderVars& decoder, View<const Pixel> pixels, int side,
                 View<const float> rotations, Var z, View<const float> target, View<const float> ctf,
                 const StepScalars& scalars, View<float> loss) {
  Device& device = tape.device();
  const DecodeSlices forward = slices_of(decoder, pixels, side, rotations, z);
  // The loss is the tape's root, so its gradient is known in the forward pass: everything happens in `backward`, which
  // recomputes nothing that way.
  tape.record([] {},
              [=, &device] {
                DecodeSlicesBackward backward{.forward = forward};
                backward.target = target;
                backward.ctf = ctf;
                backward.scale = scalars.loss_scale;
                backward.loss = loss;
                backward.dparameters = decoder.parameters.gradient;
                backward.dlatents = z.gradient;
                decode_backward(device, backward);
              });
}

}  // namespace recon
