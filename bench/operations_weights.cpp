// The operations on weights: an encoder's layer and the steps of Adam.
#include "bench/problem.h"
#include "tests/reference/adam_reference.h"
#include "tests/reference/linear_reference.h"
#include "tests/reference/shapes.h"

namespace recon::bench {
namespace {

struct LinearMemory {
  LinearShape shape;
  std::vector<float> host_x, host_w, host_b, host_dy;
  Buffer<float> x, w, b, y, dy, dx, dw, db;
};

/// Of an encoder: the first layer, a minibatch of images to `width`, or a hidden one.
LinearShape layer_of(const Size& s, bool hidden) {
  return {.rows = s.batch,
          .inner = hidden ? s.width : int64_t(pixels_of(s)),
          .outputs = s.width,
          .relu = true,
          .residual = hidden};
}

std::shared_ptr<LinearMemory> linear_memory(Device& device, const LinearShape& shape) {
  auto m = std::make_shared<LinearMemory>();
  Draws draws(2);
  m->shape = shape;
  const auto [rows, inner, outputs] = std::tuple{m->shape.rows, m->shape.inner, m->shape.outputs};
  m->host_x = draws.normals(rows * inner), m->host_w = draws.normals(outputs * inner);
  m->host_b = draws.normals(outputs), m->host_dy = draws.normals(rows * outputs);
  m->x = on_device(device, m->host_x, rows, inner), m->w = on_device(device, m->host_w, outputs, inner);
  m->b = on_device(device, m->host_b), m->y = Buffer<float>(device, rows, outputs);
  return m;
}
template <class T>
std::vector<T> joined(std::vector<T> first, const std::vector<T>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}
Values linear_expected(const LinearMemory& m) {
  Pattern ignored;
  return reference::linear(m.shape, widen(m.host_x), widen(m.host_w), widen(m.host_b), ignored);
}

Problem<LinearForward> linear_problem(Device& device, const Size& s) {
  const auto m = linear_memory(device, layer_of(s, false));
  return {m,
          {.x = m->x.view(), .w = m->w.view(), .b = m->b.view(), .y = m->y.view(), .relu = true},
          [] {},
          [m] { return m->y.download(); },
          [m] { return linear_expected(*m); }};
}

/// The gradient of the images is not wanted.
template <bool Hidden>
Problem<LinearBackward> linear_backward_problem(Device& device, const Size& s) {
  const auto m = linear_memory(device, layer_of(s, Hidden));
  const Values y = linear_expected(*m);
  m->y.upload(narrow(y));
  m->dy = Buffer<float>(device, m->shape.rows, m->shape.outputs);
  m->dw = Buffer<float>(device, m->shape.outputs, m->shape.inner), m->db = Buffer<float>(device, 1, m->shape.outputs);
  if (Hidden) m->dx = Buffer<float>(device, m->shape.rows, m->shape.inner);
  const auto reset = [m] {
    m->dy.upload(m->host_dy), m->dw.zero(), m->db.zero();
    if (Hidden) m->dx.zero();
  };
  reset();
  return {m,
          {.x = m->x.view(),
           .w = m->w.view(),
           .y = m->y.view(),
           .dy = m->dy.view(),
           .dx = Hidden ? m->dx.view() : View<float>(),
           .dw = m->dw.view(),
           .db = m->db.view(),
           .relu = true,
           .residual = Hidden},
          reset,
          [m] {
            std::vector<float> all = m->dw.download();
            if (Hidden) all = joined(all, m->dx.download());
            return joined(all, m->db.download());
          },
          [m, y] {
            const LinearGradients g =
                reference::linear_backward(m->shape, widen(m->host_x), widen(m->host_w), y, widen(m->host_dy));
            return joined(Hidden ? joined(g.w, g.x) : g.w, g.b);
          }};
}

Work linear_work(const Size& s) {
  const double p = pixels_of(s), b = s.batch, w = s.width;
  return {2 * b * p * w, 4 * (p * w + b * p + b * w)};
}
Work linear_backward_work(const Size& s) {
  const double p = pixels_of(s), b = s.batch, w = s.width;
  return {2 * b * p * w, 4 * (2 * p * w + b * p + 3 * b * w)};
}
Work hidden_backward_work(const Size& s) {
  const double b = s.batch, w = s.width;
  return {4 * b * w * w, 4 * (3 * w * w + 6 * b * w)};
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

Problem<AdamProduct> adam_product_problem(Device& device, const Size& s) {
  struct Memory {
    std::vector<float> host[5];
    Buffer<float> arrays[5];
  };
  auto m = std::make_shared<Memory>();
  Draws draws(9);
  const int64_t inner = int64_t(pixels_of(s));
  for (int i = 0; i < 5; ++i) {
    const int64_t rows = i < 3 ? s.width : s.batch, columns = i == 3 ? s.width : inner;
    m->host[i] = draws.normals(rows * columns);
    for (float& v : m->host[i])
      if (i == 2) v *= v;
    m->arrays[i] = Buffer<float>(device, rows, columns);
  }
  const auto reset = [m] {
    for (int i = 0; i < 5; ++i) m->arrays[i].upload(m->host[i]);
  };
  reset();
  AdamProduct args{m->arrays[0].view(), m->arrays[1].view(), m->arrays[2].view(), m->arrays[3].view(),
                   m->arrays[4].view()};
  args.step = int64_t{8};
  return {m, args, reset, [m] { return m->arrays[0].download(); },
          [m, s, inner] {
            AdamState state{widen(m->host[0]), widen(m->host[1]), widen(m->host[2]), 7};
            Values gradient(m->host[0].size());
            for (int64_t b = 0; b < s.batch; ++b)
              for (int64_t i = 0; i < s.width * inner; ++i)
                gradient[size_t(i)] += double(m->host[3][size_t(b * s.width + i / inner)]) *
                                       double(m->host[4][size_t(b * inner + i % inner)]);
            adam_step(state, gradient, 1e-4, 0.9, 0.999, 1e-8);
            return state.parameters;
          }};
}
Work adam_product_work(const Size& s) {
  const double n = s.width * pixels_of(s);
  return {(12 + 2 * s.batch) * n, 24 * n};
}

}  // namespace

std::vector<Operation> weight_operations() {
  return {
      operation("encoder layer", encoder_text, linear_work, &Variants::linear, linear_problem),
      operation("encoder layer backward", encoder_text, linear_backward_work, &Variants::linear_backward,
                linear_backward_problem<false>),
      operation("encoder hidden layer backward", hidden_text, hidden_backward_work, &Variants::linear_backward,
                linear_backward_problem<true>),
      operation("encoder layer update", encoder_text, adam_product_work, &Variants::adam_product, adam_product_problem),
      operation("Adam", decoder_text, adam_work, &Variants::adam, adam_problem)};
}

}  // namespace recon::bench
