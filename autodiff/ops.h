#pragma once
#include "autodiff/parameters.h"
#include "autodiff/tape.h"
#include "kernels/decoder/decoder.h"
#include "kernels/runtime/philox.h"
#include "kernels/runtime/scalar.h"

namespace recon {

/// Differentiable operations: each records its forward step and, beside it, the derivative.

/// y = [relu](x Wᵀ + b [+ x]). A weight without a gradient is not differentiated.
Var linear(Tape& tape, Var x, Parameters::Ref weight, Parameters::Ref bias, bool relu, bool residual);

/// Tensors of a multilayer perceptron: input layer, `layers` hidden layers, output layer.
struct MlpTensors {
  std::vector<Parameters::Ref> weights, biases;
  bool residual = true;
  int first = 0;  ///< number of the input layer's weights
};
/// Adds an MLP's tensors to the present module of `parameters`: inputs → width, layers × (width → width), width →
/// outputs.
std::vector<int> add_mlp(Parameters& parameters, int64_t inputs, int64_t width, int layers, int64_t outputs);
MlpTensors mlp_tensors(const Parameters& parameters, const std::vector<int>& numbers, bool residual);
/// relu after every layer but the last. With `first`, the gradient of the input layer's weights is left as a product
/// for Parameters::adam_step.
Var mlp(Tape& tape, Var x, const MlpTensors& tensors, Parameters::Product* first = nullptr);

/// Numbers that change from step to step: fixed ones, or places in device memory that are read when the tape runs.
struct StepScalars {
  Scalar<uint32_t> epoch = 0u;
  Scalar<float> loss_scale = 1.0f;  ///< of the summed squared error
  Scalar<float> kl_scale = 0.0f;    ///< of the summed KL divergence or prior
};

/// z = μ + σ ε from encoded [B, 2Z], with the KL divergence as a root of the tape: kl [1, B] receives its values.
Var reparameterize(Tape& tape, Var encoded, View<const int32_t> images, uint64_t seed, const StepScalars& scalars,
                   View<float> kl);

/// z = rows of a table, with ½|z|² as penalty (a root): the caller moves the table by z.gradient.
Var gather_latents(Tape& tape, View<const float> table, View<const int32_t> rows, const StepScalars& scalars,
                   View<float> prior);

/// What a decoder node needs beside z.
struct DecoderVars {
  DecoderShape shape;
  View<const float> frequencies;
  Parameters::Ref parameters;
  Precision precision = Precision::fp32;
};
/// Slices of the decoder at given rotations: [S, P]. z may be empty (homogeneous).
Var decode(Tape& tape, const DecoderVars& decoder, View<const Pixel> pixels, int side, View<const float> rotations,
           Var z);

/// Σ_p (ctf · prediction − target)² per image into loss [1, B]; a root.
void squared_error(Tape& tape, Var prediction, View<const float> target, View<const float> ctf,
                   const StepScalars& scalars, View<float> loss);

/// decode and squared_error in one operation whose activations never leave the cache; the same result as the two.
void decode_loss(Tape& tape, const DecoderVars& decoder, View<const Pixel> pixels, int side,
                 View<const float> rotations, Var z, View<const float> target, View<const float> ctf,
                 const StepScalars& scalars, View<float> loss);

}  // namespace recon
