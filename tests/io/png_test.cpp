#include "io/png.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <vector>

#include "io/deflate.h"

using namespace recon::io;

namespace {

using Bytes = std::vector<uint8_t>;

Bytes bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

uint32_t big_endian(const Bytes& b, size_t at) {
  return uint32_t{b[at]} << 24 | uint32_t{b[at + 1]} << 16 | uint32_t{b[at + 2]} << 8 | b[at + 3];
}

/// A reader of one-block zlib streams with codes of their own, as RFC 1951 defines them.
class Inflate {
 public:
  explicit Inflate(Bytes stream) : stream_(std::move(stream)) {}

  Bytes all() {
    at_ = 16;  // the header
    CHECK(number(1) == 1);
    REQUIRE(number(2) == 2);
    const size_t literals = number(5) + 257, distances = number(5) + 1, lengths = number(4) + 4;
    constexpr size_t order[] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    std::vector<uint32_t> of_lengths(19, 0), of_all;
    for (size_t i = 0; i < lengths; ++i) of_lengths[order[i]] = number(3);
    const auto meta = code(of_lengths);
    while (of_all.size() < literals + distances) of_all.push_back(symbol(meta));
    const auto code_of_literals = code({of_all.begin(), of_all.begin() + static_cast<std::ptrdiff_t>(literals)});
    const auto code_of_distances = code({of_all.begin() + static_cast<std::ptrdiff_t>(literals), of_all.end()});
    Bytes out;
    for (uint32_t s = symbol(code_of_literals); s != 256; s = symbol(code_of_literals)) {
      if (s < 256) {
        out.push_back(static_cast<uint8_t>(s));
        continue;
      }
      constexpr uint32_t base[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                   31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
      constexpr int extra[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
      const uint32_t count = base[s - 257] + number(extra[s - 257]);
      REQUIRE(symbol(code_of_distances) == 0);
      for (uint32_t i = 0; i < count; ++i) out.push_back(out.back());
    }
    return out;
  }

 private:
  using Code = std::map<std::pair<int, uint32_t>, uint32_t>;  // length and bits to symbol

  static Code code(const std::vector<uint32_t>& lengths) {
    Code out;
    uint32_t next = 0;
    for (int bits = 1; bits <= 15; ++bits, next <<= 1)
      for (uint32_t s = 0; s < lengths.size(); ++s)
        if (lengths[s] == static_cast<uint32_t>(bits)) out[{bits, next++}] = s;
    return out;
  }
  uint32_t bit() {
    REQUIRE(at_ / 8 < stream_.size());
    const uint32_t b = stream_[at_ / 8] >> at_ % 8 & 1;
    ++at_;
    return b;
  }
  uint32_t number(int count) {
    uint32_t value = 0;
    for (int i = 0; i < count; ++i) value |= bit() << i;
    return value;
  }
  uint32_t symbol(const Code& from) {
    uint32_t bits = 0;
    for (int length = 1; length <= 15; ++length) {
      bits = bits << 1 | bit();
      if (const auto found = from.find({length, bits}); found != from.end()) return found->second;
    }
    FAIL("no code of the stream");
    return 0;
  }

  Bytes stream_;
  size_t at_ = 0;
};

/// The data of all chunks of a kind.
Bytes chunks(const Bytes& png, const std::string& kind) {
  Bytes out;
  for (size_t at = 8; at < png.size(); at += 12 + big_endian(png, at))
    if (std::equal(kind.begin(), kind.end(), png.begin() + static_cast<std::ptrdiff_t>(at) + 4))
      out.insert(out.end(), png.begin() + static_cast<std::ptrdiff_t>(at) + 8,
                 png.begin() + static_cast<std::ptrdiff_t>(at + 8 + big_endian(png, at)));
  return out;
}

/// Pixels from rows with filters (PNG, section 9).
Bytes pixels_of(const Bytes& png, size_t pixel_bytes) {
  const Bytes rows = Inflate(chunks(png, "IDAT")).all();
  const size_t width = pixel_bytes * big_endian(png, 16);
  REQUIRE(rows.size() == (width + 1) * big_endian(png, 20));
  Bytes out;
  for (size_t y = 0; y < rows.size() / (width + 1); ++y)
    for (size_t x = 0; x < width; ++x) {
      const uint8_t filter = rows[y * (width + 1)], left = x >= pixel_bytes ? out[y * width + x - pixel_bytes] : 0,
                    above = y > 0 ? out[(y - 1) * width + x] : 0;
      out.push_back(static_cast<uint8_t>(rows[y * (width + 1) + 1 + x] + (filter == 0   ? 0
                                                                          : filter == 1 ? left
                                                                                        : above)));
    }
  return out;
}

}  // namespace

TEST_CASE("Deflate: what is written is read back by the format's definition") {
  std::vector<Bytes> cases = {{}, {7}, Bytes(1000, 9)};
  Bytes mixed, steep;
  for (int i = 0; i < 5000; ++i) mixed.push_back(static_cast<uint8_t>(i * i % 251));
  for (int run = 1; run < 300; ++run) mixed.insert(mixed.end(), static_cast<size_t>(run), static_cast<uint8_t>(run));
  for (int a = 1, b = 1, i = 0; i < 20; ++i, b += a, a = b - a)  // Fibonacci's frequencies: the longest codes
    for (int j = 0; j < a; ++j) steep.push_back(static_cast<uint8_t>(j % 2 ? 2 * i : 2 * i + 1));
  cases.push_back(mixed);
  cases.push_back(steep);
  for (const Bytes& bytes : cases) CHECK(Inflate(deflate(bytes)).all() == bytes);
  CHECK(deflate(Bytes(100000, 9)).size() < 200);
}

TEST_CASE("Png: a picture's bytes stand in the file as the format says") {
  const std::string path = (std::filesystem::temp_directory_path() / "recon_png_test.png").string();
  Bytes rgb;
  for (int i = 0; i < 3 * 40 * 30; ++i) rgb.push_back(static_cast<uint8_t>(i < 1800 ? 250 : i * 37 % 256));
  write_png(path, rgb, 40, 30);
  const auto b = bytes_of(path);
  std::filesystem::remove(path);
  CHECK(b[1] == 'P');
  CHECK(big_endian(b, 16) == 40);  // width
  CHECK(big_endian(b, 20) == 30);  // height
  CHECK(b[25] == 2);               // RGB
  CHECK(pixels_of(b, 3) == rgb);
  CHECK(big_endian(b, b.size() - 4) == 0xAE426082u);  // the CRC of an empty IEND, as every PNG ends
}

TEST_CASE("Png: an indexed picture keeps its places and its palette") {
  const Bytes palette = {0, 0, 0, 0, 10, 20, 30, 255, 40, 50, 60, 128};
  Bytes pixels;
  for (int i = 0; i < 7 * 9; ++i) pixels.push_back(static_cast<uint8_t>(i % 3));
  const Bytes png = indexed_png(pixels, 7, 9, palette);
  CHECK(pixels_of(png, 1) == pixels);
  CHECK(chunks(png, "PLTE") == Bytes{0, 0, 0, 10, 20, 30, 40, 50, 60});
  CHECK(chunks(png, "tRNS") == Bytes{0, 255, 128});
  CHECK_THROWS_AS(indexed_png(Bytes{3}, 1, 1, palette), std::invalid_argument);
}

TEST_CASE("Png: a size that does not fit the pixels is refused") {
  CHECK_THROWS_AS(write_png("never.png", Bytes(11), 2, 2), std::invalid_argument);
  CHECK_THROWS_AS(write_png("never.png", {}, 0, 2), std::invalid_argument);
}
