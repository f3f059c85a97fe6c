#include "engine/analyze/picture.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/runtime/check.h"

namespace recon {
namespace {

struct Field {
  std::span<const float> data;
  int side;

  float at(double x, double y, double z) const {
    const double limit = side - 1.001;
    x = std::clamp(x, 0.0, limit), y = std::clamp(y, 0.0, limit), z = std::clamp(z, 0.0, limit);
    const int ix = static_cast<int>(x), iy = static_cast<int>(y), iz = static_cast<int>(z);
    const double fx = x - ix, fy = y - iy, fz = z - iz;
    double sum = 0;
    for (int c = 0; c < 8; ++c) {
      const int dx = c & 1, dy = c >> 1 & 1, dz = c >> 2;
      const auto index = (static_cast<size_t>(iz + dz) * static_cast<size_t>(side) + static_cast<size_t>(iy + dy)) *
                             static_cast<size_t>(side) +
                         static_cast<size_t>(ix + dx);
      sum += (dx ? fx : 1 - fx) * (dy ? fy : 1 - fy) * (dz ? fz : 1 - fz) * data[index];
    }
    return static_cast<float>(sum);
  }
};

std::array<double, 3> background(double v) { return {250 - 10 * v, 251 - 8 * v, 253 - 5 * v}; }

/// Colour of the ray through (x, y), from the top of the box down.
std::array<double, 3> trace(const Field& field, double x, double y, double level, double v) {
  constexpr double step = 0.5;
  for (double z = field.side - 1; z > 0; z -= step) {
    if (field.at(x, y, z) < level) continue;
    double above = z + step, below = z;
    for (int i = 0; i < 6; ++i) {
      const double middle = (above + below) / 2;
      (field.at(x, y, middle) < level ? above : below) = middle;
    }
    const double h = 0.7;
    const double nx = field.at(x - h, y, below) - field.at(x + h, y, below),
                 ny = field.at(x, y - h, below) - field.at(x, y + h, below),
                 nz = field.at(x, y, below - h) - field.at(x, y, below + h),
                 n = std::sqrt(nx * nx + ny * ny + nz * nz) + 1e-12;
    const double light = std::max(0.0, (-0.45 * nx + 0.55 * ny + 0.70 * nz) / n);
    const double depth = 0.65 + 0.35 * below / field.side, shade = (0.30 + 0.70 * light) * depth;
    const double gloss = 45 * std::pow(light, 24);
    return {std::min(255.0, 105 * shade * 1.45 + gloss), std::min(255.0, 150 * shade * 1.45 + gloss),
            std::min(255.0, 190 * shade * 1.32 + gloss)};
  }
  return background(v);
}

}  // namespace

Picture render_surface(std::span<const float> volume, int side, int size, double sigmas) {
  expect(static_cast<int64_t>(volume.size()) == int64_t{side} * side * side && size > 0,
         "picture: the volume is not a cube");
  double sum = 0, squares = 0;
  for (const float v : volume) sum += v, squares += double(v) * v;
  const double n = static_cast<double>(volume.size()), mean = sum / n;
  const double level = mean + sigmas * std::sqrt(std::max(0.0, squares / n - mean * mean));
  const Field field{volume, side};
  Picture out{size, size, std::vector<uint8_t>(size_t{3} * static_cast<size_t>(size) * static_cast<size_t>(size))};
  for (int row = 0; row < size; ++row)
    for (int column = 0; column < size; ++column) {
      std::array<double, 3> colour{};
      for (int s = 0; s < 4; ++s) {  // four samples a pixel
        const double x = (column + 0.25 + 0.5 * (s & 1)) / size * side - 0.5,
                     y = (row + 0.25 + 0.5 * (s >> 1)) / size * side - 0.5;
        const auto c = trace(field, x, side - 1 - y, level, double(row) / size);
        for (size_t i = 0; i < 3; ++i) colour[i] += c[i] / 4;
      }
      for (size_t i = 0; i < 3; ++i)
        out.rgb[3 * (static_cast<size_t>(row) * static_cast<size_t>(size) + static_cast<size_t>(column)) + i] =
            static_cast<uint8_t>(std::clamp(colour[i], 0.0, 255.0));
    }
  return out;
}

Picture montage(const std::vector<Picture>& pictures, int columns) {
  expect(!pictures.empty() && columns > 0, "picture: nothing to put together");
  const int width = pictures[0].width, height = pictures[0].height, count = static_cast<int>(pictures.size());
  const int across = std::min(columns, count), down = (count + columns - 1) / columns;
  Picture out{across * width, down * height, {}};
  out.rgb.assign(size_t{3} * static_cast<size_t>(out.width) * static_cast<size_t>(out.height), 252);
  for (int i = 0; i < count; ++i) {
    const Picture& p = pictures[static_cast<size_t>(i)];
    expect(p.width == width && p.height == height, "picture: a montage needs pictures of one size");
    for (int y = 0; y < height; ++y)
      std::copy_n(
          p.rgb.begin() + int64_t{3} * y * width, 3 * width,
          out.rgb.begin() + 3 * ((int64_t{i / columns} * height + y) * out.width + int64_t{i % columns} * width));
  }
  return out;
}

}  // namespace recon
