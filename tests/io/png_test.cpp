#include "io/png.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

namespace {

std::vector<uint8_t> bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

uint32_t big_endian(const std::vector<uint8_t>& b, size_t at) {
  return uint32_t{b[at]} << 24 | uint32_t{b[at + 1]} << 16 | uint32_t{b[at + 2]} << 8 | b[at + 3];
}

}  // namespace

TEST_CASE("Png: a picture's bytes stand in the file as the format says") {
  const std::string path = (std::filesystem::temp_directory_path() / "recon_png_test.png").string();
  const std::vector<uint8_t> rgb = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  recon::io::write_png(path, rgb, 2, 2);
  const auto b = bytes_of(path);
  std::filesystem::remove(path);
  REQUIRE(b.size() == 8 + 25 + 12 + 2 + 5 + 14 + 4 + 12);
  CHECK(b[1] == 'P');
  CHECK(big_endian(b, 16) == 2);  // width
  CHECK(big_endian(b, 20) == 2);  // height
  const size_t row = 8 + 25 + 8 + 2 + 5;
  CHECK(b[row] == 0);  // no filter
  for (size_t i = 0; i < 6; ++i) CHECK(b[row + 1 + i] == rgb[i]);
  for (size_t i = 0; i < 6; ++i) CHECK(b[row + 8 + i] == rgb[6 + i]);
  CHECK(big_endian(b, b.size() - 4) == 0xAE426082u);  // the CRC of an empty IEND, as every PNG ends
}

TEST_CASE("Png: a size that does not fit the pixels is refused") {
  CHECK_THROWS_AS(recon::io::write_png("never.png", std::vector<uint8_t>(11), 2, 2), std::invalid_argument);
  CHECK_THROWS_AS(recon::io::write_png("never.png", {}, 0, 2), std::invalid_argument);
}
