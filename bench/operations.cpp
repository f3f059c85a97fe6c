#include "bench/operations.h"

#include <numeric>

#include "bench/variants.h"
#include "engine/geometry/lattice.h"
#include "tests/reference/adam_reference.h"
#include "tests/reference/decoder_case.h"
#include "tests/reference/fourier_reference.h"
#include "tests/reference/slice_case.h"

namespace recon::bench {
namespace {

using namespace recon::reference;

/// The inputs of an operation on a device, and what should come out.
template <class Args>
struct Problem {
  std::shared_ptr<void> memory;
  Args args;
  std::function<void()> reset;  ///< before a run whose results are looked at
  std::function<std::vector<float>()> output;
  std::function<Values()> expected;
};

/// What is compared with the definition: its loops in doubles take seconds for a training step of full size.
Size small(Size s) {
  s.box = 16, s.batch = 2, s.layers = std::min(s.layers, checked_layers);
  return s;
}

std::string text(const char* format, auto... values) {
  char out[128];
  std::snprintf(out, sizeof out, format, values...);
  return out;
}
std::string decoder_text(const Size& s) {
  return text("%d px, %d x %d, z %d, batch %d", s.box, s.layers, s.width, s.latent, s.batch);
}
std::string encoder_text(const Size& s) { return text("%d px, width %d, batch %d", s.box, s.width, s.batch); }
std::string images_text(const Size& s) { return text("%d px, batch %d", s.box, s.batch); }

std::vector<Pixel> band_of(const Size& s) { return circular_pixels(s.box, s.box / 2); }
double pixels_of(const Size& s) { return double(band_of(s).size()); }

/// The product's decoder: one evaluation a pair of opposite pixels, half a box of frequencies on each axis.
DecoderShape shape_of(const Size& s) {
  return {.features = 3 * (s.box / 2), .latent = s.latent, .width = s.width, .layers = s.layers, .outputs = 2};
}

template <class Args>
std::vector<Candidate> candidates(Device& device, const std::vector<Variant<Args>>& variants, const Size& size,
                                  Problem<Args> (*make)(Device&, const Size&)) {
  std::vector<Candidate> out;
  const Problem<Args> checked = make(device, small(size)), timed = make(device, size);
  const Values expected = checked.expected();
  for (const Variant<Args>& variant : variants) {
    const auto check = variant.prepare(device, checked.args);
    if (!check) continue;
    checked.reset();
    check();
    out.push_back({variant.name, variant.precision,
                   [run = variant.prepare(device, timed.args), inputs = timed.memory] { run(); },
                   relative_error(checked.output(), expected), variant.tolerance});
  }
  return out;
}

template <class Args>
Operation operation(const char* name, std::string (*shape)(const Size&), Work (*work)(const Size&),
                    std::vector<Variant<Args>> Variants::*variants, Problem<Args> (*make)(Device&, const Size&)) {
  return {name, shape, work, [=](Device& device, const Size& size) {
            return candidates(device, variants_of(device).*variants, size, make);
          }};
}

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

/// The first layer of an encoder: a minibatch of images to `width`.
struct LinearMemory {
  LinearShape shape;
  std::vector<float> host_x, host_w, host_b, host_dy;
  Buffer<float> x, w, b, y, dy, dw, db;
};

std::shared_ptr<LinearMemory> linear_memory(Device& device, const Size& s) {
  auto m = std::make_shared<LinearMemory>();
  Draws draws(2);
  m->shape = {.rows = s.batch, .inner = int64_t(pixels_of(s)), .outputs = s.width, .relu = true};
  const auto [rows, inner, outputs] = std::tuple{m->shape.rows, m->shape.inner, m->shape.outputs};
  m->host_x = draws.normals(rows * inner), m->host_w = draws.normals(outputs * inner);
  m->host_b = draws.normals(outputs), m->host_dy = draws.normals(rows * outputs);
  m->x = on_device(device, m->host_x, rows, inner), m->w = on_device(device, m->host_w, outputs, inner);
  m->b = on_device(device, m->host_b), m->y = Buffer<float>(device, rows, outputs);
  return m;
}
Values linear_expected(const LinearMemory& m) {
  Pattern ignored;
  return reference::linear(m.shape, widen(m.host_x), widen(m.host_w), widen(m.host_b), ignored);
}

Problem<LinearForward> linear_problem(Device& device, const Size& s) {
  const auto m = linear_memory(device, s);
  return {m,
          {.x = m->x.view(), .w = m->w.view(), .b = m->b.view(), .y = m->y.view(), .relu = true},
          [] {},
          [m] { return m->y.download(); },
          [m] { return linear_expected(*m); }};
}

Problem<LinearBackward> linear_backward_problem(Device& device, const Size& s) {
  const auto m = linear_memory(device, s);
  const Values y = linear_expected(*m);
  m->y.upload(narrow(y));
  m->dy = Buffer<float>(device, m->shape.rows, m->shape.outputs);
  m->dw = Buffer<float>(device, m->shape.outputs, m->shape.inner), m->db = Buffer<float>(device, 1, m->shape.outputs);
  const auto reset = [m] { m->dy.upload(m->host_dy), m->dw.zero(), m->db.zero(); };
  reset();
  return {m,
          {.x = m->x.view(),
           .w = m->w.view(),
           .y = m->y.view(),
           .dy = m->dy.view(),
           .dw = m->dw.view(),
           .db = m->db.view(),
           .relu = true},
          reset,
          [m] { return m->dw.download(); },
          [m, y] {
            return reference::linear_backward(m->shape, widen(m->host_x), widen(m->host_w), y, widen(m->host_dy)).w;
          }};
}

Work linear_work(const Size& s) {
  const double p = pixels_of(s), b = s.batch, w = s.width;
  return {2 * b * p * w, 4 * (p * w + b * p + b * w)};
}
Work linear_backward_work(const Size& s) {  // the gradient of the images is not wanted
  const double p = pixels_of(s), b = s.batch, w = s.width;
  return {2 * b * p * w, 4 * (2 * p * w + b * p + 3 * b * w)};
}

constexpr int rotations_an_image = 10;

Problem<SampleSlices> slices_problem(Device& device, const Size& s) {
  struct Memory {
    LatticeCase problem;
    std::unique_ptr<LatticeOnDevice> device;
  };
  auto m = std::make_shared<Memory>();
  Draws draws(3);
  m->problem.problem = {.side = 2 * s.box,
                        .oversampling = 2,
                        .pixels = circular_pixels(s.box, s.box / 2 - 1),
                        .rotations = widen(random_rotations(draws, rotations_an_image * s.batch))};
  const int64_t side = m->problem.problem.side;
  m->problem.volume = draws.normals(side * side * side);
  m->device = std::make_unique<LatticeOnDevice>(device, m->problem);
  return {m, m->device->args, [] {}, [m] { return m->device->values.download(); },
          [m] { return expected_samples(m->problem); }};
}
Work slices_work(const Size& s) {
  const double samples = double(circular_pixels(s.box, s.box / 2 - 1).size()) * rotations_an_image * s.batch;
  const double sphere = 4.18879 * std::pow(s.box, 3);
  return {25 * samples, 4 * (samples + std::min(8 * samples, sphere))};
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

Problem<Adam> adam_problem(Device& device, const Size& s) {
  struct Memory {
    std::vector<float> host[4];
    Buffer<float> arrays[4];
  };
  auto m = std::make_shared<Memory>();
  Draws draws(5);
  const int64_t count = shape_of(s).parameter_count();
  for (int i = 0; i < 4; ++i) {
    m->host[i] = draws.normals(count);
    for (float& v : m->host[i])
      if (i == 3) v *= v;
    m->arrays[i] = Buffer<float>(device, 1, count);
  }
  const auto reset = [m] {
    for (int i = 0; i < 4; ++i) m->arrays[i].upload(m->host[i]);
  };
  reset();
  Adam args{m->arrays[0].view(), m->arrays[1].view(), m->arrays[2].view(), m->arrays[3].view()};
  args.step = int64_t{8};
  return {m, args, reset, [m] { return m->arrays[0].download(); },
          [m] {
            AdamState state{widen(m->host[0]), widen(m->host[2]), widen(m->host[3]), 7};
            adam_step(state, widen(m->host[1]), 1e-4, 0.9, 0.999, 1e-8);
            return state.parameters;
          }};
}
Work adam_work(const Size& s) {
  const double n = double(shape_of(s).parameter_count());
  return {12 * n, 32 * n};
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

std::vector<Operation> all_operations() {
  const Operation decoder = operation("decoder training", decoder_text, decode_backward_work,
                                      &Variants::decode_backward, decode_backward_problem);
  const Operation adam = operation("Adam", decoder_text, adam_work, &Variants::adam, adam_problem);
  return {training_step(decoder, adam),
          decoder,
          operation("decoder forward", decoder_text, decode_work, &Variants::decode, decode_problem),
          operation("positional encoding", images_text, encoding_work, &Variants::encoding, encoding_problem),
          operation("encoder layer", encoder_text, linear_work, &Variants::linear, linear_problem),
          operation("encoder layer backward", encoder_text, linear_backward_work, &Variants::linear_backward,
                    linear_backward_problem),
          operation("slices of a lattice", images_text, slices_work, &Variants::slices, slices_problem),
          operation("Hartley transform", images_text, hartley_work, &Variants::hartley, hartley_problem),
          operation("loss", images_text, loss_work, &Variants::loss, loss_problem),
          adam};
}

}  // namespace recon::bench
