#include "io/png.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <vector>

#include "io/atomic_file.h"
#include "io/deflate.h"

namespace recon::io {
namespace {

using Bytes = std::vector<uint8_t>;

void put32(Bytes& out, uint32_t v) {
  for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<uint8_t>(v >> shift));
}

/// CRC-32 of PNG (ISO 3309), bitwise table.
uint32_t crc32(std::span<const uint8_t> bytes) {
  static const auto table = [] {
    std::array<uint32_t, 256> t{};
    for (uint32_t n = 0; n < 256; ++n) {
      uint32_t c = n;
      for (int k = 0; k < 8; ++k) c = c & 1 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
      t[n] = c;
    }
    return t;
  }();
  uint32_t c = 0xFFFFFFFFu;
  for (const uint8_t b : bytes) c = table[(c ^ b) & 0xFF] ^ (c >> 8);
  return ~c;
}

void chunk(Bytes& png, const char* type, std::span<const uint8_t> data) {
  put32(png, static_cast<uint32_t>(data.size()));
  const size_t start = png.size();
  for (int i = 0; i < 4; ++i) png.push_back(static_cast<uint8_t>(type[i]));
  png.insert(png.end(), data.begin(), data.end());
  put32(png, crc32(std::span(png).subspan(start)));
}

/// Rows as PNG wants them: each with the filter (none, difference to the left, to above) of least absolute sum.
Bytes filtered(std::span<const uint8_t> pixels, size_t row_bytes, size_t pixel_bytes) {
  Bytes out, row(row_bytes), best;
  for (size_t first = 0; first < pixels.size(); first += row_bytes) {
    int64_t least = INT64_MAX;
    for (const int filter : {0, 1, 2}) {
      int64_t sum = 0;
      for (size_t i = 0; i < row_bytes; ++i) {
        const int left = i >= pixel_bytes ? pixels[first + i - pixel_bytes] : 0;
        const int above = first > 0 ? pixels[first + i - row_bytes] : 0;
        row[i] = static_cast<uint8_t>(pixels[first + i] - (filter == 0 ? 0 : filter == 1 ? left : above));
        sum += row[i] < 128 ? row[i] : 256 - row[i];
      }
      if (sum >= least) continue;
      least = sum;
      best = row;
      best.insert(best.begin(), static_cast<uint8_t>(filter));
    }
    out.insert(out.end(), best.begin(), best.end());
  }
  return out;
}

void expect_size(size_t bytes, int width, int height, size_t pixel_bytes) {
  if (width < 1 || height < 1 || width > 32768 || height > 32768 ||
      bytes != pixel_bytes * static_cast<size_t>(width) * static_cast<size_t>(height))
    throw std::invalid_argument("png: the pixels do not fit the picture's size");
}

enum class Colours : uint8_t { rgb = 2, palette = 3 };

Bytes begun(int width, int height, Colours colours) {
  Bytes png = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'}, header;
  put32(header, static_cast<uint32_t>(width));
  put32(header, static_cast<uint32_t>(height));
  for (const int v : {8, static_cast<int>(colours), 0, 0, 0}) header.push_back(static_cast<uint8_t>(v));
  chunk(png, "IHDR", header);
  return png;
}

}  // namespace

std::vector<uint8_t> indexed_png(std::span<const uint8_t> pixels, int width, int height,
                                 std::span<const uint8_t> palette) {
  expect_size(pixels.size(), width, height, 1);
  const size_t colours = palette.size() / 4;
  if (palette.size() % 4 != 0 || colours > 256 || *std::max_element(pixels.begin(), pixels.end()) >= colours)
    throw std::invalid_argument("png: the pixels do not fit the palette");
  Bytes png = begun(width, height, Colours::palette), rgb, opacity;
  for (size_t i = 0; i < palette.size(); ++i) (i % 4 == 3 ? opacity : rgb).push_back(palette[i]);
  chunk(png, "PLTE", rgb);
  chunk(png, "tRNS", opacity);
  chunk(png, "IDAT", deflate(filtered(pixels, static_cast<size_t>(width), 1)));
  chunk(png, "IEND", {});
  return png;
}

void write_png(const std::string& path, std::span<const uint8_t> rgb, int width, int height) {
  expect_size(rgb.size(), width, height, 3);
  Bytes png = begun(width, height, Colours::rgb);
  chunk(png, "IDAT", deflate(filtered(rgb, size_t{3} * static_cast<size_t>(width), 3)));
  chunk(png, "IEND", {});
  write_file(path, std::string_view(reinterpret_cast<const char*>(png.data()), png.size()), "picture");
}

}  // namespace recon::io
