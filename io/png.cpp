#include "io/png.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <vector>

#include "io/atomic_file.h"

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

/// zlib stream of stored blocks (RFC 1950, 1951).
Bytes stored(const Bytes& raw) {
  Bytes out = {0x78, 0x01};
  uint32_t a = 1, b = 0;
  for (const uint8_t v : raw) {
    a = (a + v) % 65521;
    b = (b + a) % 65521;
  }
  for (size_t at = 0; at < raw.size(); at += 65535) {
    const size_t n = std::min<size_t>(65535, raw.size() - at);
    out.push_back(static_cast<uint8_t>(at + n == raw.size()));
    for (const size_t v : {n, n ^ 0xFFFF}) {
      out.push_back(static_cast<uint8_t>(v & 0xFF));
      out.push_back(static_cast<uint8_t>(v >> 8 & 0xFF));
    }
    out.insert(out.end(), raw.begin() + static_cast<int64_t>(at), raw.begin() + static_cast<int64_t>(at + n));
  }
  put32(out, b << 16 | a);
  return out;
}

}  // namespace

void write_png(const std::string& path, std::span<const uint8_t> rgb, int width, int height) {
  if (width < 1 || height < 1 || width > 32768 || height > 32768 ||
      rgb.size() != size_t{3} * static_cast<size_t>(width) * static_cast<size_t>(height))
    throw std::invalid_argument("write_png: the pixels do not fit the picture's size");
  Bytes png = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'}, header, rows;
  put32(header, static_cast<uint32_t>(width));
  put32(header, static_cast<uint32_t>(height));
  for (const int v : {8, 2, 0, 0, 0}) header.push_back(static_cast<uint8_t>(v));
  const size_t row = size_t{3} * static_cast<size_t>(width);
  for (size_t y = 0; y < static_cast<size_t>(height); ++y) {
    rows.push_back(0);
    rows.insert(rows.end(), rgb.begin() + static_cast<int64_t>(y * row),
                rgb.begin() + static_cast<int64_t>((y + 1) * row));
  }
  chunk(png, "IHDR", header);
  chunk(png, "IDAT", stored(rows));
  chunk(png, "IEND", {});
  write_file(path, std::string_view(reinterpret_cast<const char*>(png.data()), png.size()), "picture");
}

}  // namespace recon::io
