#include "engine/analyze/report_pictures.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "engine/analyze/markup.h"
#include "engine/analyze/picture.h"
#include "io/png.h"
#include "kernels/runtime/check.h"

namespace recon {
namespace {

constexpr int surface_size = 200, largest_side = 96, largest_slice = 72;

struct Cube {
  std::vector<float> data;
  int side;
  float at(int x, int y, int z) const {
    return data[(static_cast<size_t>(z) * static_cast<size_t>(side) + static_cast<size_t>(y)) *
                    static_cast<size_t>(side) +
                static_cast<size_t>(x)];
  }
};

/// Means of blocks of factor³ voxels about the centre; what does not fill a block at the rim is left out.
Cube binned(std::span<const float> volume, int side, int most) {
  const int factor = (side + most - 1) / most, out_side = side / factor, first = (side - factor * out_side) / 2;
  Cube out{
      std::vector<float>(static_cast<size_t>(out_side) * static_cast<size_t>(out_side) * static_cast<size_t>(out_side)),
      out_side};
  const auto from = [&](int block, int i) { return static_cast<size_t>(first + factor * block + i); };
  const auto row = static_cast<size_t>(side);
  size_t at = 0;
  for (int z = 0; z < out_side; ++z)
    for (int y = 0; y < out_side; ++y)
      for (int x = 0; x < out_side; ++x, ++at) {
        double sum = 0;
        for (int c = 0; c < factor; ++c)
          for (int b = 0; b < factor; ++b)
            for (int a = 0; a < factor; ++a) sum += volume[(from(z, c) * row + from(y, b)) * row + from(x, a)];
        out.data[at] = static_cast<float>(sum / (factor * factor * factor));
      }
  return out;
}

using Colour = std::array<double, 4>;

Colour between(std::span<const Colour> stops, double part) {
  const double at = std::clamp(part, 0.0, 1.0) * static_cast<double>(stops.size() - 1);
  const auto i = std::min(stops.size() - 2, static_cast<size_t>(at));
  Colour out;
  for (size_t j = 0; j < 4; ++j) out[j] = stops[i][j] + (at - static_cast<double>(i)) * (stops[i + 1][j] - stops[i][j]);
  return out;
}

void append(std::vector<uint8_t>& palette, const Colour& colour) {
  for (const double v : colour) palette.push_back(static_cast<uint8_t>(std::lround(std::clamp(v, 0.0, 255.0))));
}

// Places of the surface's palette: nothing, 200 of full pixels, 18 for each number of rays out of four.
constexpr int full_levels = 200, part_levels = 18;

std::vector<uint8_t> surface_palette() {
  constexpr std::array<Colour, 4> stops = {
      {{26, 40, 60, 255}, {74, 118, 166, 255}, {138, 184, 222, 255}, {240, 247, 252, 255}}};
  std::vector<uint8_t> palette = {0, 0, 0, 0};
  for (int i = 0; i < full_levels; ++i) append(palette, between(stops, i / (full_levels - 1.0)));
  for (int hits = 1; hits < 4; ++hits)
    for (int i = 0; i < part_levels; ++i) {
      Colour colour = between(stops, i / (part_levels - 1.0));
      colour[3] = 255 * hits / 4.0;
      append(palette, colour);
    }
  return palette;
}

std::string surface_of(const Cube& cube) {
  const Shading shading = shade_surface(cube.data, cube.side, surface_size);
  std::vector<uint8_t> pixels(shading.hits.size(), 0);
  for (size_t i = 0; i < pixels.size(); ++i) {
    const int hits = shading.hits[i];
    const double light = shading.light[i];
    if (hits == 4) pixels[i] = static_cast<uint8_t>(1 + std::lround(light * (full_levels - 1)));
    if (hits > 0 && hits < 4)
      pixels[i] =
          static_cast<uint8_t>(1 + full_levels + (hits - 1) * part_levels + std::lround(light * (part_levels - 1)));
  }
  return base64(io::indexed_png(pixels, surface_size, surface_size, surface_palette()));
}

std::string slices_of(const Cube& cube) {
  const int n = cube.side, middle = n / 2, gap = 2, width = 3 * n + 2 * gap;
  std::vector<float> values;
  for (int b = 0; b < n; ++b)
    for (int a = 0; a < n; ++a)
      for (const float v : {cube.at(a, b, middle), cube.at(a, middle, b), cube.at(middle, a, b)}) values.push_back(v);
  std::vector<float> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const auto percentile = [&](double p) {
    return sorted[static_cast<size_t>(p * static_cast<double>(sorted.size() - 1))];
  };
  const double low = percentile(0.005), high = std::max<double>(percentile(0.998), low + 1e-30);
  std::vector<uint8_t> palette = {0, 0, 0, 0}, pixels(static_cast<size_t>(width * n), 0);
  for (int i = 0; i < 64; ++i) append(palette, {4.0 * i + 1, 4.0 * i + 1, 4.0 * i + 2, 255});
  size_t at = 0;
  for (int b = 0; b < n; ++b)
    for (int a = 0; a < n; ++a)
      for (int panel = 0; panel < 3; ++panel, ++at) {
        const double part = std::clamp((values[at] - low) / (high - low), 0.0, 1.0);
        const int row = n - 1 - b;  // y, and z, point up as in the picture of the surface
        pixels[static_cast<size_t>(row * width + panel * (n + gap) + a)] =
            static_cast<uint8_t>(1 + std::lround(63 * part));
      }
  return base64(io::indexed_png(pixels, width, n, palette));
}

VolumeFigures figures_of(const Cube& cube) {
  const double level = surface_level(cube.data), middle = cube.side / 2.0, rim = 0.9 * middle;
  std::vector<uint8_t> open(cube.data.size(), 0);
  double above = 0, at_rim = 0, largest = 0;
  const int n = cube.side;
  const auto index = [n](int x, int y, int z) { return static_cast<size_t>((z * n + y) * n + x); };
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x) {
        if (cube.at(x, y, z) < level) continue;
        open[index(x, y, z)] = 1;
        ++above;
        if (std::hypot(x - middle, y - middle, z - middle) > rim) ++at_rim;
      }
  std::vector<size_t> stack;
  for (size_t seed = 0; seed < open.size(); ++seed) {
    if (!open[seed]) continue;
    double size = 0;
    open[seed] = 0;
    stack = {seed};
    while (!stack.empty()) {
      const auto here = static_cast<int>(stack.back());
      stack.pop_back();
      ++size;
      const int place[3] = {here % n, here / n % n, here / n / n}, stride[3] = {1, n, n * n};
      for (int axis = 0; axis < 3; ++axis)
        for (const int side : {-1, 1}) {
          if (place[axis] + side < 0 || place[axis] + side >= n) continue;
          const auto next = static_cast<size_t>(here + side * stride[axis]);
          if (!open[next]) continue;
          open[next] = 0;
          stack.push_back(next);
        }
    }
    largest = std::max(largest, size);
  }
  if (above == 0) return {};
  return {.one_piece = largest / above, .at_rim = at_rim / above};
}

/// From pale to deep on a light page; the page's style turns the lightness about on a dark one.
constexpr std::array<Colour, 5> density_stops = {
    {{196, 214, 232, 255}, {127, 174, 214, 255}, {66, 122, 184, 255}, {58, 66, 148, 255}, {52, 14, 82, 255}}};

std::vector<uint8_t> density_palette() {
  std::vector<uint8_t> palette = {0, 0, 0, 0};
  for (int i = 0; i < 255; ++i) append(palette, between(density_stops, i / 254.0));
  return palette;
}

}  // namespace

VolumeLook look_at(std::span<const float> volume, int side) {
  expect(side > 0 && static_cast<int64_t>(volume.size()) == int64_t{side} * side * side, "report: not a cube");
  const Cube cube = binned(volume, side, largest_side);
  VolumeLook look{.surface = surface_of(cube), .slices = {}, .figures = figures_of(cube)};
  look.slices = slices_of(binned(volume, side, largest_slice));
  return look;
}

DensityRaster density_raster(std::span<const float> plane) {
  DensityRaster out;
  const size_t points = plane.size() / 2;
  expect(points > 0, "report: no points");
  out.cells = points < 6000 ? 120 : 200;
  const auto cells = static_cast<size_t>(out.cells);
  for (size_t axis = 0; axis < 2; ++axis) {
    std::vector<float> values;
    for (size_t i = 0; i < points; ++i) values.push_back(plane[2 * i + axis]);
    std::sort(values.begin(), values.end());
    const auto last = static_cast<double>(points - 1);
    const double low = values[static_cast<size_t>(0.002 * last)],
                 high = values[static_cast<size_t>(std::ceil(0.998 * last))];
    const double margin = 0.12 * (high - low) + 1e-6 * std::max({1.0, std::abs(low), std::abs(high)});
    out.low[axis] = std::max<double>(low - margin, values.front() - 0.2 * margin);
    out.high[axis] = std::min<double>(high + margin, values.back() + 0.2 * margin);
  }
  std::vector<double> counts(cells * cells, 0);
  out.cell_of.resize(2 * points);
  for (size_t i = 0; i < points; ++i) {
    const auto place = [&](size_t axis) {
      const double part = (plane[2 * i + axis] - out.low[axis]) / (out.high[axis] - out.low[axis]);
      return static_cast<uint8_t>(std::clamp(part * out.cells, 0.0, out.cells - 1.0));
    };
    out.cell_of[2 * i] = place(0);
    out.cell_of[2 * i + 1] = static_cast<uint8_t>(out.cells - 1 - place(1));
    ++counts[out.cell_of[2 * i + 1] * cells + out.cell_of[2 * i]];
  }
  const double most = std::log1p(*std::max_element(counts.begin(), counts.end()));
  std::vector<uint8_t> pixels(counts.size(), 0);
  for (size_t i = 0; i < counts.size(); ++i)
    if (counts[i] > 0) pixels[i] = static_cast<uint8_t>(60 + std::lround(195 * std::log1p(counts[i]) / most));
  out.png = base64(io::indexed_png(pixels, out.cells, out.cells, density_palette()));
  return out;
}

DirectionRaster direction_raster(std::span<const float> matrices) {
  const size_t images = matrices.size() / 9;
  expect(images > 0, "report: no poses");
  // Patches of equal area: rings of equal height, sectors of equal angle.
  const auto rings = static_cast<size_t>(std::clamp(std::sqrt(static_cast<double>(images) / 16), 2.0, 36.0)),
             sectors = 2 * rings;
  std::vector<double> counts(rings * sectors, 0);
  const auto patch = [&](double height, double turn) {
    const auto ring =
        std::min(rings - 1, static_cast<size_t>(std::max(0.0, (height + 1) / 2 * static_cast<double>(rings))));
    const auto sector =
        static_cast<size_t>(std::max(0.0, (turn / (2 * std::numbers::pi) + 0.5) * static_cast<double>(sectors)));
    return ring * sectors + std::min(sectors - 1, sector);
  };
  for (size_t i = 0; i < images; ++i)
    ++counts[patch(matrices[9 * i + 8], std::atan2(matrices[9 * i + 7], matrices[9 * i + 6]))];
  const double even = static_cast<double>(images) / static_cast<double>(counts.size());
  DirectionRaster out{.png = {}, .width = 240, .most = *std::max_element(counts.begin(), counts.end()) / even};
  const int height = out.width / 2;
  std::vector<uint8_t> pixels(static_cast<size_t>(out.width * height), 0);
  for (int row = 0; row < height; ++row)
    for (int column = 0; column < out.width; ++column) {
      const double y = 1 - (row + 0.5) / height * 2,
                   x = (column + 0.5) / out.width * 4 - 2;  // the ellipse of radii 2, 1
      if (x * x / 4 + y * y >= 1) continue;
      const double angle = std::asin(y), latitude = std::asin((2 * angle + std::sin(2 * angle)) / std::numbers::pi);
      const double turn = std::numbers::pi * x / (2 * std::cos(angle));
      const double part = counts[patch(std::sin(latitude), turn)] / even / std::max(out.most, 1.0);
      pixels[static_cast<size_t>(row * out.width + column)] = static_cast<uint8_t>(1 + std::lround(254 * part));
    }
  out.png = base64(io::indexed_png(pixels, out.width, height, density_palette()));
  return out;
}

std::string density_gradient() {
  std::string out = "linear-gradient(90deg";
  for (const Colour& c : density_stops)
    out += ",rgb(" + number_text(c[0]) + "," + number_text(c[1]) + "," + number_text(c[2]) + ")";
  return out + ")";
}

}  // namespace recon
