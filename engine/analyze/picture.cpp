#include "engine/analyze/picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

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

/// Of a surface where a ray meets it: its brightness in the light and the depth, and its highlight.
struct Meeting {
  double shade, gloss;
};

/// For each cell of four neighbouring columns along z the highest voxel of the level: trilinear density above it is
/// lower. −1 where there is none.
std::vector<int> tops_of(std::span<const float> volume, int side, double level) {
  std::vector<int> columns(static_cast<size_t>(side) * static_cast<size_t>(side), -1), tops = columns;
  for (size_t at = 0; at < volume.size(); ++at)
    if (volume[at] >= level) columns[at % columns.size()] = static_cast<int>(at / columns.size());
  const auto width = static_cast<size_t>(side);
  for (size_t y = 0; y + 1 < width; ++y)
    for (size_t x = 0; x + 1 < width; ++x) {
      const size_t at = y * width + x;
      tops[at] = std::max({columns[at], columns[at + 1], columns[at + width], columns[at + width + 1]});
    }
  return tops;
}

/// The ray through (x, y), from the top of the box down.
std::optional<Meeting> trace(const Field& field, const std::vector<int>& tops, double x, double y, double level) {
  constexpr double step = 0.5;
  const auto cell = [&](double v) { return static_cast<int>(std::clamp(v, 0.0, field.side - 1.001)); };
  const int highest = tops[static_cast<size_t>(cell(y) * field.side + cell(x))];
  if (highest < 0) return {};
  // As if from the top of the box, but for the steps above anything to be met.
  const double top = field.side - 1, skipped = std::max(0.0, std::floor((top - highest - 1) / step) * step);
  for (double z = top - skipped; z > 0; z -= step) {
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
    const double depth = 0.65 + 0.35 * below / field.side;
    return Meeting{(0.30 + 0.70 * light) * depth, std::pow(light, 24)};
  }
  return {};
}

/// Calls `pixel(index, row, meetings)` with what the four rays of each pixel meet.
template <class Pixel>
void for_pixels(std::span<const float> volume, int side, int size, double sigmas, const Pixel& pixel) {
  expect(static_cast<int64_t>(volume.size()) == int64_t{side} * side * side && size > 0,
         "picture: the volume is not a cube");
  const double level = surface_level(volume, sigmas);
  const Field field{volume, side};
  const std::vector<int> tops = tops_of(volume, side, level);
  for (int row = 0; row < size; ++row)
    for (int column = 0; column < size; ++column) {
      std::array<std::optional<Meeting>, 4> meetings;
      for (int s = 0; s < 4; ++s) {
        const double x = (column + 0.25 + 0.5 * (s & 1)) / size * side - 0.5,
                     y = (row + 0.25 + 0.5 * (s >> 1)) / size * side - 0.5;
        meetings[static_cast<size_t>(s)] = trace(field, tops, x, side - 1 - y, level);
      }
      pixel(static_cast<size_t>(row) * static_cast<size_t>(size) + static_cast<size_t>(column), row, meetings);
    }
}

std::array<double, 3> colour_of(const std::optional<Meeting>& meeting, double v) {
  if (!meeting) return {250 - 10 * v, 251 - 8 * v, 253 - 5 * v};
  const double shade = meeting->shade, gloss = 45 * meeting->gloss;
  return {std::min(255.0, 105 * shade * 1.45 + gloss), std::min(255.0, 150 * shade * 1.45 + gloss),
          std::min(255.0, 190 * shade * 1.32 + gloss)};
}

}  // namespace

double surface_level(std::span<const float> volume, double sigmas) {
  double sum = 0, squares = 0;
  for (const float v : volume) sum += v, squares += double(v) * v;
  const double n = static_cast<double>(volume.size()), mean = sum / n;
  return mean + sigmas * std::sqrt(std::max(0.0, squares / n - mean * mean));
}

Picture render_surface(std::span<const float> volume, int side, int size, double sigmas) {
  Picture out{size, size, std::vector<uint8_t>(size_t{3} * static_cast<size_t>(size) * static_cast<size_t>(size))};
  for_pixels(volume, side, size, sigmas, [&](size_t index, int row, const auto& meetings) {
    std::array<double, 3> colour{};
    for (const auto& meeting : meetings)
      for (size_t i = 0; i < 3; ++i) colour[i] += colour_of(meeting, double(row) / size)[i] / 4;
    for (size_t i = 0; i < 3; ++i) out.rgb[3 * index + i] = static_cast<uint8_t>(std::clamp(colour[i], 0.0, 255.0));
  });
  return out;
}

Shading shade_surface(std::span<const float> volume, int side, int size, double sigmas) {
  const size_t pixels = static_cast<size_t>(size) * static_cast<size_t>(size);
  Shading out{.hits = std::vector<uint8_t>(pixels, 0), .light = std::vector<float>(pixels, 0)};
  for_pixels(volume, side, size, sigmas, [&](size_t index, int, const auto& meetings) {
    double light = 0;
    for (const auto& meeting : meetings)
      if (meeting) ++out.hits[index], light += 0.8 * meeting->shade + 0.2 * meeting->gloss;
    if (out.hits[index] > 0) out.light[index] = static_cast<float>(std::clamp(light / out.hits[index], 0.0, 1.0));
  });
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
