// Steps so small that what stands between their kernels counts: gradients and Adam of half a minibatch, one after the
// other, each on its own images.
#include "bench/problem.h"
#include "tests/reference/adam_reference.h"
#include "tests/reference/decoder_case.h"

namespace recon::bench {
namespace {

constexpr float rate = 1e-3f;

Size half_of(Size s) {
  s.batch = (s.batch + 1) / 2, s.latent = 0;
  return s;
}

struct StepsMemory {
  DecoderCase problem;  // of all steps' images
  std::unique_ptr<DecoderOnDevice> there;
  Buffer<float> targets, losses, gradients, first_moments, second_moments;
};

/// By the definition. What is compared are the first moments, a sum of the gradients of all steps at the weights that
/// the steps before have left: weights move by the signs of gradients, so the smallest errors would count in full.
Values moments_after(const DecoderCase& all, int steps) {
  AdamState state{all.problem.parameters, Values(all.problem.parameters.size()), Values(all.problem.parameters.size())};
  DecoderCase one = all;
  const auto share = [steps](const Values& v, int s) {
    const auto count = static_cast<std::ptrdiff_t>(v.size()) / steps;
    return Values(v.begin() + s * count, v.begin() + (s + 1) * count);
  };
  for (int s = 0; s < steps; ++s) {
    one.problem.parameters = state.parameters;
    one.problem.rotations = share(all.problem.rotations, s);
    one.target = share(all.target, s);
    adam_step(state, reference_gradients(one).gradients.parameters, double(rate), 0.9, 0.999, 1e-8);
  }
  return state.first;
}

Problem<DecoderSteps> steps_problem(Device& device, const Size& size) {
  const auto m = std::make_shared<StepsMemory>();
  Draws draws(10);
  SliceProblem& p = m->problem.problem;
  p.shape = shape_of(size), p.side = size.box, p.pixels = band_of(size);
  p.frequencies = draws.wide_normals(3 * p.shape.features, 2);
  p.parameters = random_parameters(draws, p.shape);
  const int64_t slices = int64_t{size.steps} * size.batch, pixels = int64_t(p.pixels.size());
  p.rotations = widen(random_rotations(draws, static_cast<int>(slices)));
  m->problem.from_loss = true;
  m->problem.target = draws.wide_normals(slices * pixels);
  m->there = std::make_unique<DecoderOnDevice>(device, p);
  m->targets = on_device(device, narrow(m->problem.target), slices, pixels);
  m->losses = Buffer<float>(device, 1, slices);
  for (Buffer<float>* b : {&m->gradients, &m->first_moments, &m->second_moments})
    *b = Buffer<float>(device, 1, p.shape.parameter_count());
  const auto reset = [m] {
    m->there->parameters.upload(narrow(m->problem.problem.parameters));
    m->gradients.zero(), m->first_moments.zero(), m->second_moments.zero();
  };
  reset();
  const DecoderSteps args{.steps = size.steps,
                          .net = m->there->args.net,
                          .pixels = m->there->args.pixels,
                          .rotations = m->there->args.rotations,
                          .targets = m->targets.view(),
                          .losses = m->losses.view(),
                          .adam = {.parameters = m->there->parameters.view(),
                                   .gradients = m->gradients.view(),
                                   .first_moments = m->first_moments.view(),
                                   .second_moments = m->second_moments.view(),
                                   .learning_rate = rate},
                          .side = size.box};
  return {m,
          args,
          reset,
          [m] { return m->first_moments.download(); },
          [m, steps = size.steps] { return moments_after(m->problem, steps); },
          double(size.steps)};
}

}  // namespace

Operation small_steps(const Operation& decoder, const Operation& adam) {
  return {"small steps", [](const Size& s) { return decoder_text(half_of(s)); },
          [gradients = decoder.work, update = adam.work](const Size& s) {
            const Work a = gradients(half_of(s)), b = update(half_of(s));
            return Work{a.flops + b.flops, a.bytes + b.bytes};
          },
          [](Device& device, const Size& s) {
            return candidates(device, variants_of(device).steps, half_of(s), steps_problem);
          }};
}

}  // namespace recon::bench
