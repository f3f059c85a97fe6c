#include "bench/operations.h"

#include <numeric>

#include "bench/problem.h"
#include "tests/reference/decoder_case.h"
#include "tests/reference/fourier_reference.h"
#include "tests/reference/shapes.h"

namespace recon::bench {
namespace {

struct DecoderMemory {
  DecoderCase problem;
  std::unique_ptr<DecoderOnDevice> forward;
  Buffer<float> target, loss, dparameters, dlatents;
};

std::shared_ptr<DecoderMemory> decoder_memory(Device& device, const Size& size) {
  auto m = std::make_shared<DecoderMemory>();
  Draws draws(1);
  SliceProblem& p = m->problem.problem;
  p.shape = shape_of(size);
  p.side = size.box;
  p.pixels = band_of(size);
  p.frequencies = draws.wide_normals(3 * p.shape.features, 2);
  p.parameters = random_parameters(draws, p.shape);
  p.rotations = widen(random_rotations(draws, size.batch));
  p.latents = draws.wide_normals(int64_t{size.batch} * size.latent);
  m->problem.from_loss = true;
  m->problem.target = draws.wide_normals(int64_t{size.batch} * int64_t(p.pixels.size()));
  m->forward = std::make_unique<DecoderOnDevice>(device, p);
  return m;
}

Problem<DecodeSlices> decode_problem(Device& device, const Size& size) {
  const auto m = decoder_memory(device, size);
  return {m, m->forward->args, [] {}, [m] { return m->forward->values.download(); },
          [m] {
            Pattern ignored;
            return decode(m->problem.problem, ignored);
          }};
}

Problem<DecodeSlicesBackward> decode_backward_problem(Device& device, const Size& size) {
  const auto m = decoder_memory(device, size);
  const int64_t count = int64_t(m->problem.problem.pixels.size());
  m->target = on_device(device, narrow(m->problem.target), size.batch, count);
  m->loss = Buffer<float>(device, 1, size.batch);
  m->dparameters = Buffer<float>(device, 1, m->forward->args.net.shape.parameter_count());
  if (size.latent > 0) m->dlatents = Buffer<float>(device, size.batch, size.latent);
  DecodeSlicesBackward a{.forward = m->forward->args,
                         .target = m->target.view(),
                         .loss = m->loss.view(),
                         .dparameters = m->dparameters.view(),
                         .dlatents = m->dlatents.view()};
  a.forward.values = {};
  const auto reset = [m] {
    m->dparameters.zero();
    if (!m->dlatents.empty()) m->dlatents.zero();
  };
  reset();
  return {m, a, reset, [m] { return m->dparameters.download(); },
          [m] { return reference_gradients(m->problem).gradients.parameters; }};
}

Work decode_work(const Size& s) {
  const DecoderShape shape = shape_of(s);
  const double rows = s.batch * pixels_of(s) / shape.outputs;
  return {2 * rows * double(shape.multiply_adds()), 4 * double(shape.parameter_count()) + 4 * rows * shape.outputs};
}
Work decode_backward_work(const Size& s) {
  const DecoderShape shape = shape_of(s);
  const double rows = s.batch * pixels_of(s) / shape.outputs;
  return {rows * (6 * double(shape.multiply_adds()) - 4.0 * shape.features * shape.width),
          12 * double(shape.parameter_count()) + 4 * rows * shape.outputs};
}

Problem<EncodingSum> encoding_problem(Device& device, const Size& size) {
  struct Memory {
    SliceProblem problem;
    Values weights;
    Buffer<float> frequencies, weights_there, rotations, values;
    Buffer<Pixel> pixels;
  };
  const auto m = std::make_shared<Memory>();
  Draws draws(8);
  SliceProblem& p = m->problem;
  p.shape = {.features = shape_of(size).features}, p.side = size.box, p.pixels = band_of(size);
  p.frequencies = draws.wide_normals(3 * p.shape.features, 2);
  p.rotations = widen(random_rotations(draws, size.batch));
  m->weights = draws.wide_normals(2 * p.shape.features);
  m->frequencies = on_device(device, narrow(p.frequencies), 3, p.shape.features);
  m->weights_there = on_device(device, narrow(m->weights)), m->pixels = on_device(device, p.pixels);
  m->rotations = on_device(device, narrow(p.rotations), size.batch, 9);
  m->values = Buffer<float>(device, size.batch, int64_t(p.pixels.size()));
  return {
      m,
      {m->frequencies.view(), m->weights_there.view(), m->pixels.view(), m->rotations.view(), m->values.view(), p.side},
      [] {},
      [m] { return m->values.download(); },
      [m] {
        Values out;
        const double no_latent = 0;
        for (size_t s = 0; s < m->problem.slices(); ++s)
          for (size_t i = 0; i < m->problem.pixels.size(); ++i) {
            const Values in =
                decoder_input(m->problem.shape, m->problem.frequencies, evaluation(m->problem, s, i).k, &no_latent);
            out.push_back(std::inner_product(in.begin(), in.end(), m->weights.begin(), 0.0));
          }
        return out;
      }};
}
Work encoding_work(const Size& s) {  // at the least: a product of a row and a column of sines, and the sum
  const double rows = s.batch * pixels_of(s);
  return {10 * rows * shape_of(s).features, 4 * rows};
}

Problem<Hartley2d> hartley_problem(Device& device, const Size& s) {
  struct Memory {
    std::vector<float> host;
    Buffer<float> images, hartley;
  };
  auto m = std::make_shared<Memory>();
  Draws draws(4);
  const int64_t pixels = int64_t{s.box} * s.box;
  m->host = draws.normals(s.batch * pixels);
  m->images = on_device(device, m->host, s.batch, pixels), m->hartley = Buffer<float>(device, s.batch, pixels);
  return {m,
          {m->images.view(), m->hartley.view(), s.box},
          [] {},
          [m] { return m->hartley.download(); },
          [m, s, pixels] {
            Values all;
            for (int i = 0; i < s.batch; ++i) {
              const auto first = m->host.begin() + i * pixels;
              const Values one = reference::hartley(std::vector<float>(first, first + pixels), s.box, 2);
              all.insert(all.end(), one.begin(), one.end());
            }
            return all;
          }};
}
Work hartley_work(const Size& s) {
  const double n = double(s.box) * s.box;
  return {2.5 * s.batch * n * std::log2(n), 8 * s.batch * n};
}

Problem<SquaredError> loss_problem(Device& device, const Size& s) {
  struct Memory {
    std::vector<float> host[3];
    Buffer<float> arrays[3], loss, gradient;
  };
  auto m = std::make_shared<Memory>();
  Draws draws(6);
  const int64_t pixels = int64_t(pixels_of(s));
  for (int i = 0; i < 3; ++i) {
    m->host[i] = draws.normals(s.batch * pixels);
    m->arrays[i] = on_device(device, m->host[i], s.batch, pixels);
  }
  m->loss = Buffer<float>(device, 1, s.batch), m->gradient = Buffer<float>(device, s.batch, pixels);
  const auto reset = [m] { m->gradient.zero(); };
  reset();
  return {m,
          {m->arrays[0].view(), m->arrays[1].view(), m->arrays[2].view(), m->loss.view(), m->gradient.view()},
          reset,
          [m] { return m->gradient.download(); },
          [m] { return squared_error_backward(widen(m->host[0]), widen(m->host[1]), widen(m->host[2]), 1); }};
}
Work loss_work(const Size& s) { return {8 * s.batch * pixels_of(s), 20 * s.batch * pixels_of(s)}; }

}  // namespace

Operation training_step(const Operation& decoder, const Operation& adam);  // training_step.cpp
Operation small_steps(const Operation& decoder, const Operation& adam);    // small_steps.cpp
std::vector<Operation> weight_operations();                                // operations_weights.cpp
std::vector<Operation> slice_operations();                                 // operations_slices.cpp
std::vector<Operation> pose_operations();                                  // operations_pose.cpp

std::vector<Operation> all_operations() {
  const Operation decoder = operation("decoder training", decoder_text, decode_backward_work,
                                      &Variants::decode_backward, decode_backward_problem);
  const std::vector<Operation> weights = weight_operations();
  std::vector<Operation> all = {
      training_step(decoder, weights.back()),
      small_steps(decoder, weights.back()),
      decoder,
      operation("decoder forward", decoder_text, decode_work, &Variants::decode, decode_problem),
      operation("positional encoding", images_text, encoding_work, &Variants::encoding, encoding_problem),
      operation("Hartley transform", images_text, hartley_work, &Variants::hartley, hartley_problem),
      operation("loss", images_text, loss_work, &Variants::loss, loss_problem)};
  for (const auto& more : {slice_operations(), pose_operations(), weights})
    all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace recon::bench
