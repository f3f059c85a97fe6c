// The base level with operands of 16 bits. What it allows follows from their roundoff u, 2⁻⁸ for bf16 and 2⁻¹¹ for fp16
// (the largest relative error of a rounded number; 0.42 u is its root mean square, as errors of u at 1 and u/2 below 2
// are uniform):
//
//   a product  of two rounded numbers is wrong by 2 u (1 + u/2) of itself at most, 0.6 u on average.
//   a score    is norms − 2 Σ S·gX', so at most 4.02 u Σ |S·gX'| beside what fp32 allows. Roundings are independent:
//              the sum's deviation is 1.2 u √Σ (S·gX')², and six of these are never met in some 10⁶ candidates.
//
// The lesser of the two holds for a candidate. What fp16 loses below 2⁻¹⁴ of a norm is within what fp32 allows.
#include <doctest/doctest.h>

#include <cstring>
#include <numbers>

#include "kernels/ops.h"
#include "kernels/pose/pose.h"
#include "tests/kernels/pose_case.h"
#include "tests/reference/shapes.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

constexpr Precision both[] = {Precision::bf16, Precision::fp16};
double roundoff(Precision precision) { return precision == Precision::bf16 ? 0x1p-8 : 0x1p-11; }

/// The device under test, if it is one that goes below fp32.
std::unique_ptr<Device> tensor_device() {
  auto device = test_device();
  if (std::strcmp(device->ops().name, "cuda") == 0) return device;
  MESSAGE("skipped: operands of 16 bits are the CUDA backend's");
  return nullptr;
}

void check(Device& device, PoseCase c, double& worst) {
  for (const Precision precision : both) {
    c.precision = precision;
    const double error = score_errors(c, kernel_scores(device, c), roundoff(precision)).of_allowed;
    CHECK(error < 1);
    worst = std::max(worst, error);
  }
}

/// V̂ of 40 Gaussian blobs, in the Hartley convention, at k in cycles a pixel.
class Blobs {
 public:
  explicit Blobs(Draws& draws, int side) {
    while (points_.size() < 3 * 40) {
      const double x = draws.uniform(-1, 1), y = draws.uniform(-1, 1), z = draws.uniform(-1, 1);
      if (x * x + y * y + z * z > 1) continue;
      for (const double v : {x, y, z}) points_.push_back(0.3 * side * v);
    }
  }
  /// At the frequency (x, y) of the slice of rotation m: Rᵀ (x, y, 0).
  double at(const float* m, double x, double y) const {
    double sum = 0, k[3];
    for (int axis = 0; axis < 3; ++axis) k[axis] = double(m[axis]) * x + double(m[3 + axis]) * y;
    for (size_t i = 0; i < points_.size(); i += 3) {
      const double phase = 2 * std::numbers::pi * (k[0] * points_[i] + k[1] * points_[i + 1] + k[2] * points_[i + 2]);
      sum += std::cos(phase) + std::sin(phase);
    }
    return sum * std::exp(-20 * (x * x + y * y));
  }

 private:
  Values points_;
};

/// Images of blobs at random poses with a CTF and as much noise as makes the SNR 0.1, to score on the base grid at the
/// band that searches start with. Noise has variance 1 at every pixel.
PoseCase noisy_case(int images, int shifts_an_axis) {
  constexpr int side = 64, band = 12;
  Draws draws(11);
  const Blobs blobs(draws, side);
  PoseCase c;
  c.problem.side = side;
  for (int y = 0; y <= band; ++y)
    for (int x = y == 0 ? 1 : -band; x <= band; ++x)
      if (x * x + y * y <= band * band)
        for (const int sign : {1, -1})
          c.problem.pixels.push_back({static_cast<int16_t>(sign * x), static_cast<int16_t>(sign * y)});
  c.images = images, c.shared = c.slices_shared = true;
  c.rotations = 576, c.shifts = shifts_an_axis * shifts_an_axis;
  c.stride = static_cast<int>(c.problem.pixels.size());
  c.unit = 1;
  c.rotation_count = {c.rotations}, c.shift_count = {c.shifts};
  for (int y = 0; y < shifts_an_axis; ++y)
    for (int x = 0; x < shifts_an_axis; ++x) c.moves.push_back({x - shifts_an_axis / 2, y - shifts_an_axis / 2});
  const auto ctf = [](double defocus, double x, double y) {
    return std::sin(defocus * (x * x + y * y) + 0.1);  // of 1 to 2.5 µm: it turns some 100 times at 0.5
  };
  double signal = 0;  // of all pixels of some slice
  const auto matrices = random_rotations(draws, images);
  for (int y = -side / 2; y < side / 2; ++y)
    for (int x = -side / 2; x < side / 2; ++x) {
      const double fx = double(x) / side, fy = double(y) / side;
      signal += std::pow(ctf(250, fx, fy) * blobs.at(matrices.data(), fx, fy), 2);
    }
  const double scale = std::sqrt(0.1 * side * side / signal);
  for (int i = 0; i < c.rotations; ++i) {
    c.nodes.push_back({i / 12, i % 12});
    float m[9];
    so3_matrix(c.nodes.back(), 1, m);
    for (const Pixel& p : c.problem.pixels)
      c.slices.push_back(static_cast<float>(scale * blobs.at(m, double(p.x) / side, double(p.y) / side)));
  }
  for (int b = 0; b < images; ++b) {
    const double defocus = draws.uniform(150, 400), reach = shifts_an_axis / 2.0, tx = draws.uniform(-reach, reach),
                 ty = draws.uniform(-reach, reach);
    Values seen;
    for (const Pixel& p : c.problem.pixels) {
      const double x = double(p.x) / side, y = double(p.y) / side, g = ctf(defocus, x, y);
      c.ctf.push_back(static_cast<float>(g));
      seen.push_back(g * scale * blobs.at(&matrices[size_t(9 * b)], x, y));
    }
    for (size_t p = 0; p < seen.size(); ++p)
      c.pictures.push_back(static_cast<float>(shifted(seen[p], seen[p ^ 1], c.problem.pixels[p], -tx, -ty, side)) +
                           draws.normal());
  }
  return c;
}

/// The best candidate of each of the `keep` best rotations of image b, best first.
std::vector<size_t> survivors(const PoseCase& c, const std::vector<float>& scores, int b, int keep) {
  const auto rotations = size_t(c.rotations), shifts = size_t(c.shifts);
  const float* mine = &scores[size_t(b) * rotations * shifts];
  std::vector<size_t> out;
  for (size_t r = 0; r < rotations; ++r)
    out.push_back(static_cast<size_t>(std::min_element(mine + r * shifts, mine + (r + 1) * shifts) - mine));
  std::sort(out.begin(), out.end(), [&](size_t x, size_t y) { return mine[x] < mine[y]; });
  out.resize(size_t(keep));
  return out;
}

}  // namespace

TEST_CASE("Tensor base level: scores are within the rounding of 16-bit operands over random shapes") {
  const auto device = tensor_device();
  if (!device) return;
  double worst = 0;
  uint64_t taken = 0;
  for (uint64_t number = 0; taken < shapes(60); ++number) {
    const PoseCase c = random_pose_case(number);
    if (!c.slices_shared) continue;
    ++taken;
    CAPTURE(number);
    check(*device, c, worst);
  }
  MESSAGE("worst, of what is allowed " << worst);
}

TEST_CASE("Tensor base level: scores are within the rounding of 16-bit operands at the sizes of a search and beyond") {
  const auto device = tensor_device();
  if (!device) return;
  double worst = 0;
  for (const PoseCaseSize& size :
       {PoseCaseSize{"base grid", 3, 576, 49, 220, true, true, true, true},
        PoseCaseSize{"no CTF, bands that fill no tile", 2, 200, 9, 101, true, true, false, true},
        PoseCaseSize{"no shifts, many images", 120, 200, 1, 50, true, true, true, false},
        PoseCaseSize{"an image in several blocks", 2, 60, 113, 33, true, true, true, false},
        PoseCaseSize{"a long band in pieces", 1, 5, 3, 9000, true, true, true, true},
        PoseCaseSize{"one of everything", 1, 1, 1, 1, true, true, true, true}}) {
    CAPTURE(std::string(size.name));
    check(*device, sized_pose_case(size), worst);
  }
  MESSAGE("worst, of what is allowed " << worst);
}

TEST_CASE("Tensor base level: scores are the same bits twice, and 2^40 times as large for data 2^20 times as large") {
  const auto device = tensor_device();
  if (!device) return;
  PoseCase c = sized_pose_case({"", 3, 50, 7, 60, true, true, true, true});
  PoseCase large = c, small = c;
  for (float& v : large.slices) v *= 0x1p20f;
  for (float& v : large.pictures) v *= 0x1p20f;
  for (float& v : small.slices) v *= 0x1p-20f;
  for (float& v : small.pictures) v *= 0x1p-20f;
  for (const Precision precision : both) {
    c.precision = large.precision = small.precision = precision;
    const auto scores = kernel_scores(*device, c), larger = kernel_scores(*device, large),
               smaller = kernel_scores(*device, small);
    CHECK(kernel_scores(*device, c) == scores);
    for (size_t i = 0; i < scores.size(); ++i) {
      CHECK(larger[i] == 0x1p40f * scores[i]);
      CHECK(smaller[i] == 0x1p-40f * scores[i]);
    }
  }
}

TEST_CASE("The CPU scores in fp32 whatever precision is allowed, and lists of an image's own everywhere") {
  const auto cpu = Device::cpu(1), device = test_device();
  PoseCase shared = sized_pose_case({"", 2, 30, 5, 40, true, true, true, true}),
           own = sized_pose_case({"", 2, 30, 5, 40, false, false, true, true});
  const auto on_cpu = kernel_scores(*cpu, shared), of_lists = kernel_scores(*device, own);
  shared.precision = own.precision = Precision::bf16;
  CHECK(kernel_scores(*cpu, shared) == on_cpu);
  CHECK(kernel_scores(*device, own) == of_lists);
}

// Most images have a best candidate whose runners-up differ by more than the rounding, but not all: of two that are as
// good as each other either may come first, and both survive.
TEST_CASE("Tensor base level: at SNR 0.1 the survivors hold the candidate that is best in fp32") {
  const auto device = tensor_device();
  if (!device) return;
  constexpr int keep = 8;
  const int images = static_cast<int>(shapes(100));
  PoseCase c = noisy_case(images, 3);
  const auto cpu = Device::cpu(2);
  const auto exact = kernel_scores(*cpu, c);
  for (const Precision precision : both) {
    c.precision = precision;
    const auto scores = kernel_scores(*device, c);
    int best_kept = 0, best_first = 0, kept = 0;
    double squares = 0, noise = 0;
    for (size_t i = 0; i < scores.size(); ++i) squares += std::pow(double(scores[i]) - double(exact[i]), 2);
    for (int b = 0; b < images; ++b) {
      const auto want = survivors(c, exact, b, keep), got = survivors(c, scores, b, keep);
      best_first += got[0] == want[0];
      best_kept += std::count(got.begin(), got.end(), want[0]) > 0;
      for (const size_t candidate : want) kept += std::count(got.begin(), got.end(), candidate) > 0;
      for (int r = 0; r < c.rotations; ++r)  // (2 σ |gS|)²
        for (size_t p = 0; p < size_t(c.stride); ++p)
          noise +=
              4 * std::pow(double(c.ctf[size_t(b * c.stride) + p]) * double(c.slices[size_t(r * c.stride) + p]), 2);
    }
    const double error = std::sqrt(squares / double(scores.size())), spread = std::sqrt(noise / (images * c.rotations));
    MESSAGE((precision == Precision::bf16 ? "bf16" : "fp16")
            << ": best kept " << best_kept << ", best first " << best_first << " of " << images
            << ", survivors in common " << 100.0 * kept / (keep * images) << " %, error " << error / spread
            << " of the noise's spread");
    CHECK(best_kept * 100 >= images * 99);
    CHECK(error < 2 * 0.6 * roundoff(precision) * spread);
  }
}
