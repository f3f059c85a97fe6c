#include "engine/train/race.h"

#include <algorithm>
#include <cmath>

#include "engine/analyze/align.h"
#include "kernels/runtime/check.h"

namespace recon {
namespace {

constexpr size_t compared_images = 1000;
constexpr double same_degrees = 10, same_part = 0.02;
constexpr size_t same_images = 5;  // in small sets

Matrix3 orientation(std::span<const float> matrices, size_t image) {
  Matrix3 out;
  std::copy_n(matrices.begin() + static_cast<std::ptrdiff_t>(9 * image), 9, out.begin());
  return out;
}

double trace_of_product(const Matrix3& a, const Matrix3& b) {  // trace of aᵀ b
  double sum = 0;
  for (size_t i = 0; i < 9; ++i) sum += a[i] * b[i];
  return sum;
}

double agreement_of(const std::vector<Matrix3>& relative) {
  const double same = 1 + 2 * std::cos(same_degrees * degree);
  const size_t n = relative.size(),
               wanted = std::max(same_images, static_cast<size_t>(std::ceil(same_part * double(n))));
  size_t agree = 0;
  for (const Matrix3& one : relative) {
    size_t others = 0;
    for (const Matrix3& other : relative) others += trace_of_product(one, other) >= same;
    agree += others > wanted;  // itself not counted
  }
  return n > 0 ? double(agree) / double(n) : 0;
}

}  // namespace

double orientation_agreement(std::span<const float> one, std::span<const float> other) {
  expect(one.size() == other.size(), "race: starts of other images cannot be compared");
  const size_t count = one.size() / 9, some = std::min(count, compared_images);
  std::vector<Matrix3> same, mirrored;
  for (size_t i = 0; i < some; ++i) {
    const Matrix3 a = orientation(one, i * count / some), b = orientation(other, i * count / some);
    same.push_back(multiply(transpose(a), b));
    mirrored.push_back(multiply(transpose(aligned_rotation(a, {.flipped = true})), b));
  }
  return std::max(agreement_of(same), agreement_of(mirrored));
}

void Race::compare(int one, int other, std::span<const float> matrices, std::span<const float> others) {
  const double part = orientation_agreement(matrices, others);
  if (!pair.empty() && part <= agreement) return;
  pair = {one, other};
  agreement = part;
}

int Race::winner() const {
  expect(!losses.empty(), "race: no start has ended");
  if (!agreed()) return static_cast<int>(std::min_element(losses.begin(), losses.end()) - losses.begin());
  return *std::min_element(pair.begin(), pair.end(), [this](int a, int b) {
    return losses[static_cast<size_t>(a)] < losses[static_cast<size_t>(b)];
  });
}

std::string race_text(const Race& race) {
  const std::string part = std::to_string(std::lround(100 * race.agreement)) + " % of the images";
  if (race.agreed())
    return "random starts " + std::to_string(race.pair[0] + 1) + " and " + std::to_string(race.pair[1] + 1) +
           " agree on the orientations of " + part;
  return "no two of " + std::to_string(race.losses.size()) + " random starts agree (at best on " + part + ")";
}

}  // namespace recon
