// Hartley transforms on the CPU: KissFFT along lines, half spectrum. Two real lines go through one complex transform,
// which takes little longer than KissFFT's own of one real line. Plans and line buffers are cached per side and thread;
// centring is an index shift (D is even, so shift and inverse shift are the same half turn).
#include "kernels/fourier/fourier.h"

#include <kiss_fft.h>

#include <complex>
#include <map>

#include "kernels/cpu.h"

namespace recon::cpu {
namespace {

using Complex = std::complex<float>;

/// Plans of one side and buffers of one thread.
class LinePlans {
 public:
  explicit LinePlans(int side) : side_(side), half_(side / 2), in_(static_cast<size_t>(side)), out_(in_.size()) {
    lines_ = kiss_fft_alloc(side, 0, nullptr, nullptr);
    if (!lines_) throw DeviceError("out of memory for the plan of a Hartley transform");
  }
  ~LinePlans() { kiss_fft_free(lines_); }
  LinePlans(const LinePlans&) = delete;
  LinePlans& operator=(const LinePlans&) = delete;

  /// Real lines a and b, one after the other and read from their centres, to their half spectra `[2][half + 1]`
  /// (k = 0 .. D/2): those of a + ib are Z(k) = A(k) + iB(k), and A(-k), B(-k) are the conjugates of A(k), B(k).
  void rows(const float* lines, Complex* spectra) {
    for (int i = 0; i < half_; ++i) {
      in_[static_cast<size_t>(i)] = {lines[i + half_], lines[side_ + i + half_]};
      in_[static_cast<size_t>(i + half_)] = {lines[i], lines[side_ + i]};
    }
    transform();
    for (int k = 0; k <= half_; ++k) {
      const Complex z = out_[static_cast<size_t>(k)], mirrored = out_[static_cast<size_t>(k == 0 ? 0 : side_ - k)];
      spectra[k] = {0.5f * (z.real() + mirrored.real()), 0.5f * (z.imag() - mirrored.imag())};
      spectra[half_ + 1 + k] = {0.5f * (z.imag() + mirrored.imag()), 0.5f * (mirrored.real() - z.real())};
    }
  }

  /// Transforms the strided line `data[0], data[stride], ...`, read from its centre when `centred`. The result holds
  /// k = 0 .. D-1 (mod D) and stays valid until the next call.
  const Complex* line(const Complex* data, int64_t stride, bool centred) {
    const int shift = centred ? half_ : 0;
    for (int i = 0; i < side_; ++i)
      in_[static_cast<size_t>(i)] = data[stride * (i + shift < side_ ? i + shift : i + shift - side_)];
    transform();
    return out_.data();
  }

  /// A buffer of one image's half spectrum `[side, half + 1]`.
  Complex* image() {
    if (image_.empty()) image_.resize(static_cast<size_t>(side_) * static_cast<size_t>(half_ + 1));
    return image_.data();
  }

 private:
  void transform() {
    kiss_fft(lines_, reinterpret_cast<const kiss_fft_cpx*>(in_.data()), reinterpret_cast<kiss_fft_cpx*>(out_.data()));
  }
  int side_, half_;
  kiss_fft_cfg lines_ = nullptr;
  std::vector<Complex> in_, out_, image_;
};

LinePlans& plans(int side) {
  static thread_local std::map<int, LinePlans> cache;
  return cache.try_emplace(side, side).first->second;
}

float minus(Complex f) { return f.real() - f.imag(); }  // H(k)
float plus(Complex f) { return f.real() + f.imag(); }   // H(-k), since F(-k) is the conjugate of F(k)

void transform_image(const float* image, float* hartley, int side) {
  LinePlans& plan = plans(side);
  const int half = side / 2, width = half + 1;
  Complex* spectrum = plan.image();
  for (int y = 0; y < side; y += 2) plan.rows(image + int64_t(y) * side, spectrum + int64_t(y) * width);
  for (int kx = 0; kx < width; ++kx) {
    const Complex* line = plan.line(spectrum + kx, width, true);
    for (int i = 0; i < side; ++i) {
      const int row = i < half ? i + half : i - half;  // the row of frequency ky = i (mod D)
      if (kx < half) hartley[int64_t(row) * side + half + kx] = minus(line[i]);
      if (kx > 0) hartley[int64_t(row == 0 ? 0 : side - row) * side + half - kx] = plus(line[i]);
    }
  }
}

/// Transforms the lines along y of every plane z, in place: spectrum [z][y][kx].
void transform_y(ThreadPool& threads, Complex* spectrum, int side) {
  const int width = side / 2 + 1;
  threads.run(side, [&](int64_t z, int) {
    LinePlans& plan = plans(side);
    Complex* plane = spectrum + z * side * width;
    for (int kx = 0; kx < width; ++kx) {
      const Complex* line = plan.line(plane + kx, width, true);
      for (int ky = 0; ky < side; ++ky) plane[int64_t(ky) * width + kx] = line[ky];
    }
  });
}

}  // namespace

void hartley2d(Device& device, const Hartley2d& a) {
  device.threads().run(a.images.rows,
                       [&](int64_t n, int) { transform_image(a.images.row(n), a.hartley.row(n), a.side); });
}

void hartley3d(Device& device, const Hartley3d& a) {
  const int side = a.side, half = side / 2, width = half + 1;
  const int64_t planes = int64_t(side) * side;
  Complex* spectrum = reinterpret_cast<Complex*>(device.workspace(static_cast<size_t>(planes * width * 2)));
  device.threads().for_range(planes / 2, 2 * side, [&](int64_t first, int64_t last) {
    for (int64_t row = 2 * first; row < 2 * last; row += 2)
      plans(side).rows(a.volume.data + row * side, spectrum + row * width);
  });
  transform_y(device.threads(), spectrum, side);
  device.threads().run(side, [&](int64_t ky, int) {
    LinePlans& plan = plans(side);
    const int64_t y = ky < half ? ky + half : ky - half, mirrored_y = y == 0 ? 0 : side - y;
    for (int kx = 0; kx < width; ++kx) {
      const Complex* line = plan.line(spectrum + ky * width + kx, int64_t(side) * width, true);
      for (int i = 0; i < side; ++i) {
        const int64_t z = i < half ? i + half : i - half, mirrored_z = z == 0 ? 0 : side - z;
        if (kx < half) a.hartley.data[(z * side + y) * side + half + kx] = minus(line[i]);
        if (kx > 0) a.hartley.data[(mirrored_z * side + mirrored_y) * side + half - kx] = plus(line[i]);
      }
    }
  });
}

}  // namespace recon::cpu
