#include "engine/backproject/backproject.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/analyze/fsc.h"
#include "kernels/fourier/fourier.h"
#include "kernels/runtime/host_access.h"

namespace recon {
namespace {

constexpr int64_t batch_images = 128;
constexpr double plain_constant = 1e-3;  // of the mean weight of a shell: only keeps stray voxels from being amplified
constexpr int64_t slab_planes = 8;       // a task owns so many planes of the grid: no two tasks add to one voxel

/// What a slab adds of a batch.
struct SlabJob {
  const float* images;   // [count, P], centred, times CTF
  const float* squares;  // [count, P], CTF²; null: 1
  const Pixel* pixels;
  int64_t pixel_count;
  std::span<const Matrix3> rotations;
  const uint8_t* half_set;
  int padded, oversampling;
};

/// Adds value and weight to the 8 neighbours of (x, y, z), grid units from the centre, those in planes [first, last).
void add_trilinear(float* data, float* weights, int padded, int64_t first, int64_t last, double x, double y, double z,
                   float value, float weight) {
  const double fx = std::floor(x), fy = std::floor(y), fz = std::floor(z);
  const auto x0 = static_cast<int64_t>(fx) + padded / 2, y0 = static_cast<int64_t>(fy) + padded / 2;
  const auto z0 = static_cast<int64_t>(fz) + padded / 2;
  if (x0 < 0 || y0 < 0 || x0 + 1 >= padded || y0 + 1 >= padded) return;
  const auto tx = static_cast<float>(x - fx), ty = static_cast<float>(y - fy), tz = static_cast<float>(z - fz);
  for (int64_t k = std::max(z0, first); k < std::min(z0 + 2, last); ++k) {
    const float wz = k == z0 ? 1 - tz : tz;
    for (int64_t j = 0; j < 2; ++j) {
      const float wy = wz * (j == 0 ? 1 - ty : ty), left = wy * (1 - tx), right = wy * tx;
      const int64_t at = (k * padded + y0 + j) * padded + x0;
      data[at] += left * value;
      data[at + 1] += right * value;
      weights[at] += left * weight;
      weights[at + 1] += right * weight;
    }
  }
}

void insert_image(const SlabJob& job, int64_t image, int64_t first, int64_t last, float* data, float* weights) {
  const Matrix3& r = job.rotations[static_cast<size_t>(image)];
  const double scale = job.oversampling;
  const double bottom = static_cast<double>(first - job.padded / 2 - 1),
               top = static_cast<double>(last - job.padded / 2);
  const float* values = job.images + image * job.pixel_count;
  const float* squares = job.squares ? job.squares + image * job.pixel_count : nullptr;
  for (int64_t p = 0; p < job.pixel_count; ++p) {
    const double kx = scale * job.pixels[p].x, ky = scale * job.pixels[p].y;
    const double z = r[2] * kx + r[5] * ky;  // Rᵀ(kx, ky, 0)
    if (z < bottom || z >= top) continue;
    add_trilinear(data, weights, job.padded, first, last, r[0] * kx + r[3] * ky, r[1] * kx + r[4] * ky, z, values[p],
                  squares ? squares[p] : 1.0f);
  }
}

/// Runs body(plane, first voxel of the plane) over all planes of a cube.
template <class Body>
void for_planes(Device& device, int side, const Body& body) {
  device.threads().run(side, [&](int64_t plane, int) { body(plane, plane * side * side); });
}

/// Runs body(voxel, shell of the voxel in units of 1/D) over the oversampled grid, in order.
template <class Body>
void for_grid(int padded, int oversampling, const Body& body) {
  int64_t at = 0;
  const int half = padded / 2;
  for (int z = -half; z < half; ++z)
    for (int y = -half; y < half; ++y)
      for (int x = -half; x < half; ++x, ++at) {
        const double r = std::sqrt(double(x) * x + double(y) * y + double(z) * z) / oversampling;
        body(at, static_cast<size_t>(r + 0.5));
      }
}

/// sinc(x/M)² at x = −D/2 .. D/2 − 1: what trilinear insertion multiplies the map by, an axis.
std::vector<float> trilinear_window(int side, int padded) {
  std::vector<float> window(static_cast<size_t>(side));
  for (int i = 0; i < side; ++i) {
    const double t = std::numbers::pi * (i - side / 2) / padded, s = t == 0 ? 1 : std::sin(t) / t;
    window[static_cast<size_t>(i)] = static_cast<float>(s * s);
  }
  return window;
}

/// Multiplies shell i by gain[i] and zeroes |k| >= D/2: no image says anything there, and the gridding correction has
/// smeared a little over the edge.
void filter_shells(Device& device, View<float> volume, int side, const std::vector<double>& gain) {
  hartley(device, Hartley3d{.volume = volume, .hartley = volume, .side = side});
  const int half = side / 2;
  const double scale = 1.0 / (double(side) * side * side);
  {
    const auto values = host_update(device, volume);
    for_planes(device, side, [&](int64_t plane, int64_t at) {
      for (int64_t y = -half; y < half; ++y)
        for (int64_t x = -half; x < half; ++x, ++at) {
          const int64_t z = plane - half, squared = x * x + y * y + z * z;
          const auto shell = static_cast<size_t>(std::sqrt(static_cast<double>(squared)) + 0.5);
          values[at] = squared < int64_t(half) * half ? static_cast<float>(scale * gain[shell] * values[at]) : 0;
        }
    });
  }
  hartley(device, Hartley3d{.volume = volume, .hartley = volume, .side = side});
}

}  // namespace

Backprojection::Backprojection(Device& device, int side, const BackprojectOptions& options)
    : device_(device), side_(side), padded_(side * options.oversampling), options_(options) {
  expect(side > 0 && side % 2 == 0, "back-projection: the side must be even");
  expect(options.oversampling >= 1 && options.oversampling <= 8, "back-projection: oversampling out of [1, 8]");
  const auto voxels = static_cast<size_t>(padded_) * static_cast<size_t>(padded_) * static_cast<size_t>(padded_);
  for (Sums& sums : sums_) {
    sums.data.assign(voxels, 0);
    sums.weight.assign(voxels, 0);
  }
}

void Backprojection::insert(const BackprojectImages& a) {
  const int64_t count = a.images.rows;
  expect(a.images.cols == a.pixels.size(), "back-projection: images must be [count, pixels]");
  expect(static_cast<int64_t>(a.rotations.size()) == count, "back-projection: one rotation an image");
  expect(a.shifts.empty() || a.shifts.rows == count, "back-projection: one shift an image");
  expect(a.ctf.empty() || a.ctf.size() == count, "back-projection: one CTF an image");
  expect(a.half_set.empty() || static_cast<int64_t>(a.half_set.size()) == count,
         "back-projection: one half set an image");
  for (int64_t first = 0; first < count; first += batch_images)
    insert_batch(a, first, std::min(batch_images, count - first));
}

void Backprojection::insert_batch(const BackprojectImages& a, int64_t first, int64_t count) {
  const int64_t pixels = a.pixels.size();
  Buffer<float> centred(device_, count, pixels), ctf;
  shift_images(device_, {.images = a.images.slice_rows(first, count),
                         .source = {},
                         .shifts = a.shifts.empty() ? a.shifts : a.shifts.slice_rows(first, count),
                         .pixels = a.pixels,
                         .out = centred.view(),
                         .side = side_});
  if (!a.ctf.empty()) {
    ctf = Buffer<float>(device_, count, pixels);
    evaluate_ctf(device_, {.parameters = {a.ctf.data + first, 1, count},
                           .source = {},
                           .pixels = a.pixels,
                           .out = ctf.view(),
                           .side = side_,
                           .pixel_size_angstrom = a.pixel_size_angstrom});
  }
  const auto values = host_update(device_, centred.view()), squares = host_update(device_, ctf.view());
  if (!a.ctf.empty())
    device_.threads().for_range(count * pixels, 1 << 14, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) {
        values[i] *= squares[i];
        squares[i] *= squares[i];
      }
    });
  const auto places = host_read(device_, a.pixels);
  std::vector<uint8_t> halves(static_cast<size_t>(count));
  for (int64_t n = 0; n < count; ++n)
    halves[static_cast<size_t>(n)] =
        a.half_set.empty() ? static_cast<uint8_t>((inserted_ + n) & 1) : a.half_set[static_cast<size_t>(first + n)];
  const SlabJob job{values.data(),
                    squares.data(),
                    places.data(),
                    pixels,
                    a.rotations.subspan(static_cast<size_t>(first), static_cast<size_t>(count)),
                    halves.data(),
                    padded_,
                    options_.oversampling};
  device_.threads().run((padded_ + slab_planes - 1) / slab_planes, [&](int64_t slab, int) {
    const int64_t from = slab * slab_planes, to = std::min<int64_t>(padded_, from + slab_planes);
    for (int64_t n = 0; n < count; ++n) {
      Sums& sums = sums_[job.half_set[n] & 1];
      insert_image(job, n, from, to, sums.data.data(), sums.weight.data());
    }
  });
  inserted_ += count;
}

/// The Wiener filter of the whole set, SSNR = 2·FSC/(1 − FSC) of its halves: constant = mean weight / SSNR in each
/// division, but at most the mean weight, and the rest of the damping as a gain a shell after the map is cropped. (All
/// of it in the division was tried: a damped shell then fills with what the crop leaks from its neighbours.)
Backprojection::Filter Backprojection::wiener_filter(const Sums& sums, const std::vector<double>& fsc) const {
  Filter filter = plain_filter(sums);
  for (size_t shell = 0; shell < filter.gain.size(); ++shell) {
    const double correlation = std::clamp(fsc[std::clamp<size_t>(shell, 1, fsc.size()) - 1], 1e-3, 0.999);
    const double noise = 0.5 * (1 - correlation) / correlation, divided = std::min(noise, 1.0);
    filter.constant[shell] *= divided / plain_constant;
    filter.gain[shell] = (1 + divided) / (1 + noise);
  }
  return filter;
}

Backprojection::Filter Backprojection::plain_filter(const Sums& sums) const {
  const auto shells = static_cast<size_t>(side_ / 2 + 1);
  std::vector<double> total(shells, 0), count(shells, 0);
  for_grid(padded_, options_.oversampling, [&](int64_t at, size_t shell) {
    if (shell >= shells) return;
    total[shell] += sums.weight[static_cast<size_t>(at)];
    ++count[shell];
  });
  for (size_t i = 0; i < shells; ++i) total[i] *= plain_constant / std::max(count[i], 1.0);
  return {.constant = std::move(total), .gain = std::vector<double>(shells, 1.0)};
}

/// Division, not iterated density compensation (Pipe & Menon 1999): tried with RELION's blob of radius 1.9 (1, 3 and 10
/// rounds) and with the trilinear kernel (3, 10, 20); both converge to the same map, FSC equal to 5e-4 in every shell
/// of ribo64, at 10 to 40 times the time. What is left of 1 − FSC on clean data falls with oversampling 3.
std::vector<float> Backprojection::solve(const Sums& sums, const Filter& filter, const Backprojection* left_out) {
  const int m = padded_, offset = (m - side_) / 2;
  Buffer<float> grid(device_, int64_t(m) * m, m), volume(device_, int64_t(side_) * side_, side_);
  {
    const auto divided = host_write(device_, grid.view());
    for_grid(m, options_.oversampling, [&](int64_t at, size_t shell) {
      const size_t i = static_cast<size_t>(at);
      float data = sums.data[i], weight = sums.weight[i];
      if (left_out)
        for (const Sums& own : left_out->sums_) data -= own.data[i], weight -= own.weight[i];
      // What a difference leaves of a voxel that only the others met is rounding.
      const bool known = shell < filter.constant.size() && weight > 1e-4f * sums.weight[i];
      divided[at] = known ? static_cast<float>(data / (weight + filter.constant[shell])) : 0.0f;
    });
  }
  hartley(device_, Hartley3d{.volume = grid.view(), .hartley = grid.view(), .side = m});
  const auto window = trilinear_window(side_, m);
  const double scale = 1.0 / (double(m) * m * m);
  {
    const auto from = host_read(device_, grid.view());
    const auto to = host_write(device_, volume.view());
    for_planes(device_, side_, [&](int64_t z, int64_t at) {
      for (int64_t y = 0; y < side_; ++y)
        for (int64_t x = 0; x < side_; ++x, ++at) {
          const double correction = double(window[size_t(z)]) * window[size_t(y)] * window[size_t(x)];
          const float value = from[((z + offset) * m + y + offset) * m + x + offset];
          to[at] = static_cast<float>(scale * value / correction);
        }
    });
  }
  filter_shells(device_, volume.view(), side_, filter.gain);
  return volume.download();
}

std::vector<float> Backprojection::without(const Backprojection& part, const std::vector<double>& gain) {
  Filter filter = plain_filter(sums_[0]);
  expect(part.padded_ == padded_ && gain.size() == filter.gain.size(), "back-projection: sizes differ");
  filter.gain = gain;
  return solve(sums_[0], filter, &part);
}

BackprojectResult Backprojection::finish() {
  expect(inserted_ > 0, "back-projection: no image was inserted");
  BackprojectResult result;
  result.half_a = solve(sums_[0], plain_filter(sums_[0]));
  result.half_b = solve(sums_[1], plain_filter(sums_[1]));
  result.fsc = fourier_shell_correlation(device_, result.half_a, result.half_b, side_);
  Sums& all = sums_[0];  // the halves are done: their sum takes the place of the first
  for (size_t i = 0; i < all.data.size(); ++i) {
    all.data[i] += sums_[1].data[i];
    all.weight[i] += sums_[1].weight[i];
  }
  result.volume = solve(all, options_.regularise ? wiener_filter(all, result.fsc) : plain_filter(all));
  return result;
}

}  // namespace recon
