#pragma once
// What the numerical tests share: numbers drawn by key, errors of whole arrays, gradients by central differences.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/runtime/device.h"
#include "kernels/runtime/philox.h"

namespace recon::reference {

using Values = std::vector<double>;

inline Values widen(const std::vector<float>& values) { return {values.begin(), values.end()}; }
inline std::vector<float> narrow(const Values& values) {
  std::vector<float> out;
  for (const double v : values) out.push_back(static_cast<float>(v));
  return out;
}

/// Draws for one case of a test: a function of the seed, so that a case is the same in any order of the tests.
class Draws {
 public:
  explicit Draws(uint64_t seed) : philox_{seed, Purpose::test} {}
  uint32_t word() { return philox_.draw(next_++).v[0]; }
  double uniform(double low, double high) { return low + (high - low) * double(uniform01(word())); }
  float normal() { return normal_from(word()); }
  /// In [low, high].
  int integer(int low, int high) { return low + static_cast<int>(word() % static_cast<uint32_t>(high - low + 1)); }
  bool coin() { return word() >> 31; }
  /// Normal numbers that floats hold, so that the kernel and the reference see the same.
  std::vector<float> normals(int64_t count, double sigma = 1) {
    std::vector<float> out(static_cast<size_t>(count));
    for (auto& value : out) value = static_cast<float>(sigma * double(normal()));
    return out;
  }
  Values wide_normals(int64_t count, double sigma = 1) { return widen(normals(count, sigma)); }

 private:
  Philox philox_;
  uint64_t next_ = 0;
};

/// Host arrays on a device, shaped.
template <class T>
Buffer<T> on_device(Device& device, const std::vector<T>& host, int64_t rows, int64_t cols) {
  Buffer<T> buffer(device, rows, cols);
  buffer.upload(host);
  return buffer;
}
template <class T>
Buffer<T> on_device(Device& device, const std::vector<T>& host) {
  return on_device(device, host, 1, static_cast<int64_t>(host.size()));
}

template <class T>
double norm(const std::vector<T>& values) {
  double sum = 0;
  for (const T v : values) sum += double(v) * double(v);
  return std::sqrt(sum);
}

/// |a − b| / max(|b|, floor), Euclidean over the whole array. Different lengths are infinitely far apart.
template <class A, class B>
double relative_error(const std::vector<A>& a, const std::vector<B>& b, double floor = 1e-30) {
  if (a.size() != b.size()) return INFINITY;
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (double(a[i]) - double(b[i])) * (double(a[i]) - double(b[i]));
  return std::sqrt(sum) / std::max(norm(b), floor);
}

/// max |a − b| / max |b|.
template <class A, class B>
double largest_error(const std::vector<A>& a, const std::vector<B>& b) {
  if (a.size() != b.size()) return INFINITY;
  double worst = 0, largest = 1e-30;
  for (size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::abs(double(a[i]) - double(b[i])));
    largest = std::max(largest, std::abs(double(b[i])));
  }
  return worst / largest;
}

template <class A, class B>
double dot(const std::vector<A>& a, const std::vector<B>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += double(a[i]) * double(b[i]);
  return sum;
}

/// Which side of its kink every relu is on: finite differences hold only while none changes sides.
using Pattern = std::vector<bool>;
using Objective = std::function<double(const Values& at, Pattern& pattern)>;

/// |analytic − central differences| / |analytic| over all entries of `at`. A step that changes the pattern is
/// shortened; below 1e-7 the entry is left out and counted.
///
/// The objectives are smooth pieces of order one, so the step 1e-4 leaves h² f‴/6 ≈ 1e-9, and rounding 2⁻⁵²·f/h ≈
/// 1e-12.
struct GradientCheck {
  double error = 0;
  int64_t checked = 0, skipped = 0;
};
inline GradientCheck check_gradient(const Objective& objective, Values at, const Values& analytic) {
  GradientCheck result;
  Pattern here, plus, minus;
  objective(at, here);
  double difference = 0, norm2 = 0;
  for (size_t i = 0; i < at.size(); ++i) {
    const double centre = at[i];
    for (double step = 1e-4;; step /= 8) {
      if (step < 1e-7) {
        ++result.skipped;
        break;
      }
      plus.clear(), minus.clear();
      at[i] = centre + step;
      const double up = objective(at, plus);
      at[i] = centre - step;
      const double down = objective(at, minus);
      if (plus != here || minus != here) continue;
      const double slope = (up - down) / (2 * step);
      difference += (slope - analytic[i]) * (slope - analytic[i]);
      norm2 += analytic[i] * analytic[i];
      ++result.checked;
      break;
    }
    at[i] = centre;
  }
  result.error = std::sqrt(difference) / std::max(std::sqrt(norm2), 1e-12);
  return result;
}

}  // namespace recon::reference
