// Adam on the GPU: bound by memory. Floor: 32 bytes a parameter (parameter, gradient and two moments read and written),
// 8 for the average. Sixteen bytes an access; the arithmetic is a division and a root a parameter.
//
// What the step makes of the rates is computed in doubles by one thread a block, of the step and the learning rate that
// stand on the device, so blocks are as many as the device holds at once and stride over the arena. Doing it in a
// kernel of its own would cost a launch and a round trip through memory, which is more.
#include "kernels/adam/adam.h"

#include <cmath>

#include "kernels/cuda.h"
#include "kernels/device/pointwise.h"

namespace recon::cuda {
namespace {

constexpr int threads = 256;

/// The factors of one step.
struct Rates {
  float step_size, root_correction;
};

struct Decay {
  float beta1, beta2, epsilon;
  double log_beta1, log_beta2;

  template <class Step>
  explicit Decay(const Step& a)
      : beta1(a.beta1),
        beta2(a.beta2),
        epsilon(a.epsilon),
        log_beta1(std::log(double(a.beta1))),
        log_beta2(std::log(double(a.beta2))) {}

  /// 1 − βᵗ without the cancellation of the first steps.
  RECON_HD Rates rates_at(int64_t step, float learning_rate) const {
    const double t = static_cast<double>(step), c1 = -std::expm1(t * log_beta1), c2 = -std::expm1(t * log_beta2);
    return {static_cast<float>(learning_rate / c1), static_cast<float>(1 / std::sqrt(c2))};
  }
  RECON_HD void update(float& p, float d, float& m, float& v, const Rates& r) const {
    m = beta1 * m + (1 - beta1) * d;
    v = beta2 * v + (1 - beta2) * d * d;
    p -= r.step_size * m / (std::sqrt(v) * r.root_correction + epsilon);
  }
};

RECON_KERNEL(threads) adam_kernel(Adam a, Decay decay, Cut cut) {
  auto& shared = shared_memory<Rates>();
  if (thread() == 0) shared = decay.rates_at(a.step.get(), a.learning_rate.get());
  __syncthreads();
  const Rates rates = shared;
  for_each_cut(cut, [&](auto width, int64_t at) {
    constexpr int n = decltype(width)::value;
    auto p = load<n>(a.parameters.data + at), g = load<n>(a.gradients.data + at);
    auto m = load<n>(a.first_moments.data + at), v = load<n>(a.second_moments.data + at);
    RECON_UNROLL
    for (int j = 0; j < n; ++j) {
      decay.update(p.v[j], g.v[j] * a.gradient_scale, m.v[j], v.v[j], rates);
      g.v[j] = 0;
    }
    store(a.parameters.data + at, p);
    store(a.gradients.data + at, g);
    store(a.first_moments.data + at, m);
    store(a.second_moments.data + at, v);
  });
}

// A warp a row: its lanes share the row's step count, which one of them raises when all have read it.
RECON_KERNEL(128) adam_rows_kernel(AdamRows a, Decay decay) {
  const int64_t b = warp_row(), width = a.parameters.cols;
  if (b >= a.rows.size()) return;
  const int64_t row = a.rows[b];
  const int32_t step = a.steps[row] + 1;
  __syncwarp();
  const int lane = lane_of(thread());
  if (lane == 0) a.steps[row] = step;
  const Rates rates = decay.rates_at(step, a.learning_rate.get());
  for (int64_t j = lane; j < width; j += 32)
    decay.update(a.parameters(row, j), a.gradients(b, j), a.first_moments(row, j), a.second_moments(row, j), rates);
}

RECON_KERNEL(256) average_weights_kernel(AverageWeights a, Cut cut) {
  const float rate = a.rate.get();
  for_each_cut(cut, [&](auto width, int64_t at) {
    constexpr int n = decltype(width)::value;
    const auto p = load<n>(a.parameters.data + at);
    auto average = load<n>(a.average.data + at);
    RECON_UNROLL
    for (int j = 0; j < n; ++j) average.v[j] += rate * (p.v[j] - average.v[j]);
    store(a.average.data + at, average);
  });
}

}  // namespace

void adam(Device& device, const Adam& a) {
  Queue& queue = queue_of(device);
  const Cut cut =
      cut_of(a.parameters.size(), a.parameters.data, a.gradients.data, a.first_moments.data, a.second_moments.data);
  Shape shape = cut.shape(int64_t{4} * queue.multiprocessors());
  shape.threads = threads;
  shape.shared_bytes = sizeof(Rates);
  launch(queue, "adam", shape, adam_kernel, a, Decay(a), cut);
}

void adam_rows(Device& device, const AdamRows& a) {
  launch(queue_of(device), "adam_rows", warp_a_row(a.rows.size()), adam_rows_kernel, a, Decay(a));
}

void average_weights(Device& device, const AverageWeights& a) {
  const Cut cut = cut_of(a.average.size(), a.average.data, a.parameters.data);
  launch(queue_of(device), "average_weights", cut.shape(), average_weights_kernel, a, cut);
}

}  // namespace recon::cuda
