#include "engine/data/dataset.h"

#include <algorithm>
#include <cmath>
#include <future>
#include <numeric>

#include "engine/geometry/lattice.h"
#include "engine/geometry/rotation.h"
#include "kernels/fourier/fourier.h"
#include "kernels/table/table.h"

namespace recon {
namespace {

constexpr int64_t chunk_images = 256, scale_chunk_images = 32;
using Reader = std::function<void(int64_t first, int64_t count, std::span<float> out)>;

/// 1/std of the un-windowed Hartley images.
float hartley_scale(Device& device, int side, int64_t count, const Reader& read, const std::function<void()>& between) {
  const int64_t area = int64_t{side} * side, stride = std::max<int64_t>(1, count / 1000);
  const int64_t sampled = (count + stride - 1) / stride, chunk = std::min(scale_chunk_images, sampled);
  Buffer<float> images(device, chunk, area);
  std::vector<float> host(static_cast<size_t>(chunk * area));
  double sum = 0, squares = 0, n = 0;
  for (int64_t first = 0; first < sampled; first += chunk) {
    if (between) between();
    const View<float> some = images.rows(0, std::min(chunk, sampled - first));
    for (int64_t i = 0; i < some.rows; ++i)
      read((first + i) * stride, 1, std::span(host).subspan(static_cast<size_t>(i * area), static_cast<size_t>(area)));
    images.upload(std::span(host).first(static_cast<size_t>(some.size())));
    hartley(device, Hartley2d{.images = some, .hartley = some, .side = side});
    device.download(host.data(), some.data, static_cast<size_t>(some.size()) * sizeof(float));
    for (const float v : std::span(host).first(static_cast<size_t>(some.size()))) {
      sum += v;
      squares += double(v) * v;
    }
    n += static_cast<double>(some.size());
  }
  const double variance = n > 0 ? squares / n - sum / n * (sum / n) : 0;
  return variance > 0 ? static_cast<float>(1 / std::sqrt(variance)) : 1.0f;
}

void flip_phases(Device& device, const Dataset& data, View<float> images, int64_t first,
                 View<const CtfParameters> ctf) {
  Buffer<float> values(device, images.rows, images.cols);
  evaluate_ctf(device, EvaluateCtf{.parameters = {ctf.data + first, 1, images.rows},
                                   .pixels = data.pixels.view(),
                                   .out = values.view(),
                                   .side = data.side,
                                   .pixel_size_angstrom = static_cast<float>(data.pixel_size_angstrom)});
  phase_flip(device, PhaseFlip{.in = images, .ctf = values.view(), .out = images});
}

/// Where prepared chunks of images go.
class Keeper {
 public:
  Keeper(Device& device, Dataset& data, int64_t chunk, const PreparationConfig& config) : device_(device), data_(data) {
    const int64_t count = data.count, pixels = data.pixel_count();
    const size_t bytes = static_cast<size_t>(count * pixels) * (config.half_precision ? 2 : 4);
    const bool on_device =
        config.placement == Placement::device || (config.placement == Placement::automatic && fits(bytes));
    if (on_device && !config.half_precision) {
      data.images = Buffer<float>(device, count, pixels);
      return;
    }
    passing_ = Buffer<float>(device, chunk, pixels);
    if (config.half_precision) halves_ = std::make_shared<Buffer<uint16_t>>(device, on_device ? count : chunk, pixels);
    if (on_device) {
      data.halves = halves_;
    } else {
      host_ = std::make_shared_for_overwrite<float[]>(static_cast<size_t>(count * pixels));
      data.host_images = host_;
    }
  }

  /// Where images first … first + n are prepared.
  View<float> place(int64_t first, int64_t n) const {
    return passing_.empty() ? data_.images.rows(first, n) : passing_.rows(0, n);
  }
  /// They are.
  void keep(int64_t first, View<float> images) {
    if (halves_) {
      const View<uint16_t> to = halves_->rows(host_ ? 0 : first, images.rows);
      narrow(device_, Narrow{.from = images, .to = to});
      if (!host_) return;
      std::vector<int32_t> all(static_cast<size_t>(images.rows));
      std::iota(all.begin(), all.end(), 0);
      const Buffer<int32_t> rows(device_, all);
      widen_rows(device_, WidenRows{.from = to, .rows = rows.view(), .to = images});
    }
    if (host_)
      device_.download(host_.get() + first * images.cols, images.data,
                       static_cast<size_t>(images.size()) * sizeof(float));
  }

 private:
  bool fits(size_t bytes) const {
    const DeviceState* state = device_.state_or_null();
    return !state || bytes <= state->free_bytes() / 2;
  }
  Device& device_;
  Dataset& data_;
  Buffer<float> passing_;
  std::shared_ptr<Buffer<uint16_t>> halves_;
  std::shared_ptr<float[]> host_;
};

/// The images a chunk at a time: while one is worked on, the next is read.
class ReadAhead {
 public:
  ReadAhead(const Reader& read, int64_t count, int64_t chunk, int64_t area)
      : read_(read), count_(count), chunk_(chunk), area_(area) {
    begin();
  }
  /// Valid until the next call. Throws what reading threw.
  std::span<const float> next() {
    reading_.get();
    std::swap(here_, coming_);
    begin();
    return here_;
  }

 private:
  void begin() {
    const int64_t first = first_, n = std::min(chunk_, count_ - first);
    if (n <= 0) return;
    first_ += n;
    coming_.resize(static_cast<size_t>(n * area_));
    reading_ = std::async(std::launch::async, [this, first, n] { read_(first, n, coming_); });
  }
  const Reader& read_;
  const int64_t count_, chunk_, area_;
  int64_t first_ = 0;
  std::vector<float> here_, coming_;
  std::future<void> reading_;  // after what it writes to: it is waited for first
};

Dataset prepare_from(Device& device, int side, double pixel_size, int64_t count, const Reader& read,
                     const std::vector<CtfParameters>& ctf, const PreparationConfig& config,
                     const std::function<void()>& between) {
  Dataset data;
  data.side = side;
  data.pixel_size_angstrom = pixel_size;
  data.count = count;
  data.host_pixels = circular_pixels(side, config.band > 0 ? std::min(config.band, side / 2.0) : side / 2.0);
  data.pixels = Buffer<Pixel>(device, data.host_pixels);
  data.scale = hartley_scale(device, side, count, read, between) * (config.invert ? -1.0f : 1.0f);
  const int64_t area = int64_t{side} * side, chunk = std::min(chunk_images, count);
  Buffer<float> real(device, chunk, area);
  Keeper keeper(device, data, chunk, config);
  Buffer<CtfParameters> parameters;
  if (!ctf.empty() && config.ctf != CtfMode::none) parameters = Buffer<CtfParameters>(device, ctf);
  ReadAhead ahead(read, count, chunk, area);
  for (int64_t first = 0; first < count; first += chunk) {
    if (between) between();
    const std::span<const float> images = ahead.next();
    const int64_t n = static_cast<int64_t>(images.size()) / area;
    real.upload(images);
    const View<float> some = real.rows(0, n), out = keeper.place(first, n);
    if (config.window)
      window_images(
          device,
          WindowImages{.images = some, .side = side, .inner = config.window_inner, .outer = config.window_outer});
    hartley(device, Hartley2d{.images = some, .hartley = some, .side = side});
    gather_pixels(
        device,
        GatherPixels{.hartley = some, .pixels = data.pixels.view(), .out = out, .side = side, .scale = data.scale});
    if (config.ctf == CtfMode::phase_flip && !parameters.empty())
      flip_phases(device, data, out, first, parameters.view());
    keeper.keep(first, out);
  }
  if (config.ctf == CtfMode::model) data.ctf = std::move(parameters);
  return data;
}

}  // namespace

Dataset prepare(Device& device, const io::ParticleTable& particles, const PreparationConfig& config,
                const std::function<void()>& between) {
  return prepare_from(
      device, particles.side, particles.pixel_size_angstrom, particles.size(),
      [&](int64_t first, int64_t count, std::span<float> out) { io::read_particles(particles, first, count, out); },
      ctf_parameters(particles), config, between);
}

Dataset prepare(Device& device, int side, double pixel_size_angstrom, std::vector<float> images,
                const std::vector<CtfParameters>& ctf, const PreparationConfig& config) {
  const int64_t area = int64_t{side} * side, count = static_cast<int64_t>(images.size()) / area;
  return prepare_from(device, side, pixel_size_angstrom, count,
                      [&](int64_t first, int64_t n, std::span<float> out) {
                        std::copy_n(images.begin() + first * area, n * area, out.begin());
                      },
                      ctf, config, {});
}

std::vector<CtfParameters> ctf_parameters(const io::ParticleTable& particles) {
  std::vector<CtfParameters> out;
  for (const io::Ctf& c : particles.ctf)
    out.push_back({.defocus_u_angstrom = c.defocus_u_angstrom,
                   .defocus_v_angstrom = c.defocus_v_angstrom,
                   .defocus_angle_rad = c.defocus_angle_rad,
                   .voltage_kv = c.voltage_kv,
                   .spherical_aberration_mm = c.spherical_aberration_mm,
                   .amplitude_contrast = c.amplitude_contrast,
                   .phase_shift_rad = c.phase_shift_rad,
                   .b_factor_angstrom2 = c.b_factor_angstrom2,
                   .scale = c.scale});
  return out;
}

void given_poses(const io::ParticleTable& particles, std::vector<float>& matrices, std::vector<float>& shifts) {
  matrices.clear();
  shifts.clear();
  for (size_t i = 0; i < particles.euler_deg.size(); ++i) {
    const auto& e = particles.euler_deg[i];
    for (const double v : euler_to_matrix({e[0], e[1], e[2]})) matrices.push_back(static_cast<float>(v));
    for (const double v : particles.shift_px[i]) shifts.push_back(static_cast<float>(v));
  }
}

}  // namespace recon
