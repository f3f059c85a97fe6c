// The products of a slice with an image at all shifts, by an inverse FFT. With a = gX(k), b = gX(−k), A = S(k) a +
// S(−k) b and B = S(k) g(k) X(−k) − S(−k) g(−k) X(k), the product is Re Σ (A − iB) e^{iφ} over pairs, φ = 2π k·n/N.
//
// Cost a slice: N lines along x of 5 N log₂ N flops, as many along y as there are shifts in x, and some 8 flops a
// pixel; at 440 pixels, N = 24, 7 × 7 shifts 20 thousand flops for 43 thousand of the product. But lines of 24 numbers
// run at a twelfth of a product's rate: 5.6 times as long as the product in all, which it would equal at some 280
// shifts, half of those that the grid has.
#include <kiss_fft.h>

#include <cmath>
#include <complex>
#include <limits>
#include <vector>

#include "kernels/pose/pose_rows_cpu.h"
#include "kernels/pose/variants/pose_variants_cpu.h"

namespace recon::cpu {
namespace {

using Complex = std::complex<float>;

int wrapped(int64_t value, int period) { return static_cast<int>((value % period + period) % period); }

/// The plan, the grid of frequencies and where pairs stand on it.
class ShiftTransform {
 public:
  ShiftTransform(View<const Pixel> pixels, int period)
      : period_(period),
        grid_(static_cast<size_t>(period) * static_cast<size_t>(period)),
        lines_(grid_.size()),
        column_(static_cast<size_t>(period)),
        used_(static_cast<size_t>(period)),
        plan_(kiss_fft_alloc(period, 1, nullptr, nullptr)) {
    if (!plan_) throw DeviceError("out of memory for the plan of a transform");
    for (int64_t j = 0; j < pixels.size() / 2; ++j) {
      const int row = wrapped(pixels[2 * j].y, period);
      places_.push_back(static_cast<size_t>(row * period + wrapped(pixels[2 * j].x, period)));
      used_[static_cast<size_t>(row)] = true;
    }
  }
  ~ShiftTransform() { kiss_fft_free(plan_); }
  ShiftTransform(const ShiftTransform&) = delete;
  ShiftTransform& operator=(const ShiftTransform&) = delete;

  /// Of a slice and an image that is weighted by its CTF: `straight` at the same pixels, `crossed` at their opposites.
  void correlate(const float* slice, const float* straight, const float* crossed) {
    std::fill(grid_.begin(), grid_.end(), Complex());
    for (size_t j = 0; j < places_.size(); ++j) {
      const float s = slice[2 * j], o = slice[2 * j + 1];
      grid_[places_[j]] +=
          Complex(s * straight[2 * j] + o * straight[2 * j + 1], o * crossed[2 * j + 1] - s * crossed[2 * j]);
    }
    for (size_t row = 0; row < used_.size(); ++row)
      if (used_[row]) transform(&grid_[row * used_.size()], 1, &lines_[row * used_.size()]);
    done_ = -1;
  }
  /// ⟨S, g S(t)X⟩ at a shift; quickest where calls with one x follow each other.
  float at(ShiftNode shift) {
    const int x = wrapped(shift.x, period_);
    if (x != done_) transform(&lines_[static_cast<size_t>(x)], period_, column_.data());
    done_ = x;
    return column_[static_cast<size_t>(wrapped(shift.y, period_))].real();
  }

 private:
  void transform(const Complex* from, int stride, Complex* to) {
    kiss_fft_stride(plan_, reinterpret_cast<const kiss_fft_cpx*>(from), reinterpret_cast<kiss_fft_cpx*>(to), stride);
  }

  int period_, done_ = -1;
  std::vector<Complex> grid_, lines_, column_;
  std::vector<bool> used_;
  std::vector<size_t> places_;
  kiss_fft_cfg plan_;
};

}  // namespace

int pose_fft_period(const PoseScore& a) {
  const double period = a.side / double(a.shift_unit_px);
  return std::abs(period - std::round(period)) < 1e-5 * period && period < 1024 ? static_cast<int>(std::round(period))
                                                                                : 0;
}

void pose_score_fft(Device& device, const PoseScore& a) {
  const int64_t pixels = a.pixels.size(), capacity = a.nodes.shifts.cols;
  device.threads().run(a.images.rows, [&](int64_t b, int) {
    const int64_t list = a.nodes.shared ? 0 : b;
    const int rotations = a.nodes.rotation_count[list], shifts = a.nodes.shift_count[list];
    const float *image = a.images.row(b), *ctf = a.ctf.empty() ? nullptr : a.ctf.row(b);
    const float* slices = a.slices.row(a.slices_shared ? 0 : b * a.nodes.rotations.cols);
    std::vector<float> straight(static_cast<size_t>(pixels)), crossed(straight);
    for (size_t p = 0; p < straight.size(); ++p) {
      const float g = ctf ? ctf[p] : 1.0f;
      straight[p] = g * image[p], crossed[p] = g * image[p ^ 1];
    }
    ShiftTransform transform(a.pixels, pose_fft_period(a));
    const double image_norm = weighted_norm(image, nullptr, pixels);
    std::fill(a.scores.row(b), a.scores.row(b) + a.scores.cols, std::numeric_limits<float>::infinity());
    std::vector<int> order(static_cast<size_t>(shifts));
    for (int t = 0; t < shifts; ++t) order[static_cast<size_t>(t)] = t;
    const ShiftNode* nodes = a.nodes.shifts.row(list);
    std::stable_sort(order.begin(), order.end(), [nodes](int s, int t) { return nodes[s].x < nodes[t].x; });
    for (int r = 0; r < rotations; ++r) {
      const float offset = static_cast<float>(image_norm + weighted_norm(slices + r * pixels, ctf, pixels));
      transform.correlate(slices + r * pixels, straight.data(), crossed.data());
      for (const int t : order) a.scores(b, r * capacity + t) = offset - 2 * transform.at(nodes[t]);
    }
  });
}

}  // namespace recon::cpu
