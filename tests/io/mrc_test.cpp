#include "io/mrc.h"

#include <cmath>
#include <limits>
#include <thread>

#include "tests/io/support.h"

using namespace recon::io;
using test::MrcBytes;

namespace {

std::vector<float> read_all_images(const std::string& bytes, const MrcOptions& options = {}) {
  const auto source = std::make_shared<MemorySource>(std::as_bytes(std::span(bytes)), "memory");
  const MrcFile file = MrcFile::open(source, options);
  std::vector<float> out(static_cast<size_t>(file.header().nz * file.header().pixels_per_image()));
  file.read_images(0, file.header().nz, out);
  return out;
}

/// Half-precision value by its definition.
float half_value(uint16_t half) {
  const int exponent = half >> 10 & 31, mantissa = half & 1023;
  const float sign = half & 0x8000 ? -1.0f : 1.0f;
  if (exponent == 31) return mantissa ? std::nanf("") : sign * std::numeric_limits<float>::infinity();
  return sign * (exponent ? std::ldexp(float(1024 + mantissa), exponent - 25) : std::ldexp(float(mantissa), -24));
}

}  // namespace

TEST_CASE("every mode reads the same in both byte orders") {
  const std::vector<float> signed8 = {-128, -1, 0, 127}, signed16 = {-32768, -2, 3, 32767};
  const std::vector<float> unsigned16 = {0, 1, 32768, 65535}, real = {-1.5f, 0, 3e38f, 1e-40f};
  MrcBytes mode0(2, 2, 1, 0, 1), mode1(2, 2, 1, 1, 2), mode2(2, 2, 1), mode6(2, 2, 1, 6, 2), mode12(2, 2, 1, 12, 2);
  const uint16_t halves[] = {0x3c00, 0xc000, 0x0001, 0x7bff};
  for (size_t i = 0; i < 4; ++i) {
    mode0.pixel(i, static_cast<int8_t>(signed8[i]));
    mode1.pixel(i, static_cast<int16_t>(signed16[i]));
    mode2.pixel(i, real[i]);
    mode6.pixel(i, static_cast<uint16_t>(unsigned16[i]));
    mode12.pixel(i, halves[i]);
  }
  const std::vector<float> half = {1, -2, 0x1p-24f, 65504};
  for (const bool big : {false, true}) {
    CAPTURE(big);
    if (big) {
      mode0.to_big_endian(1), mode1.to_big_endian(2), mode2.to_big_endian(4);
      mode6.to_big_endian(2), mode12.to_big_endian(2);
    }
    CHECK(read_all_images(mode0.bytes) == signed8);
    CHECK(read_all_images(mode1.bytes) == signed16);
    CHECK(read_all_images(mode2.bytes) == real);
    CHECK(read_all_images(mode6.bytes) == unsigned16);
    CHECK(read_all_images(mode12.bytes) == half);
  }
}

TEST_CASE("all 65536 half-precision numbers convert exactly") {
  MrcBytes file(256, 256, 1, 12, 2);
  for (size_t i = 0; i < 65536; ++i) file.pixel(i, static_cast<uint16_t>(i));
  const std::vector<float> got = read_all_images(file.bytes);
  int wrong = 0;
  for (size_t i = 0; i < 65536; ++i) {
    const float expected = half_value(static_cast<uint16_t>(i));
    const bool same = std::isnan(expected) ? std::isnan(got[i])
                                           : got[i] == expected && std::signbit(got[i]) == std::signbit(expected);
    wrong += !same;
  }
  CHECK(wrong == 0);
}

TEST_CASE("mode 0 is signed by default, unsigned when asked or when IMOD says so") {
  MrcBytes file(2, 2, 1, 0, 1);
  for (size_t i = 0; i < 4; ++i) file.pixel(i, static_cast<uint8_t>(200));
  CHECK(read_all_images(file.bytes)[0] == -56);
  CHECK(read_all_images(file.bytes, {Mode0::as_unsigned})[0] == 200);
  file.word(39, 1146047817).word(40, 0);
  CHECK(read_all_images(file.bytes)[0] == 200);
  file.word(40, 1);
  CHECK(read_all_images(file.bytes)[0] == -56);
  file.word(40, 0);
  CHECK(read_all_images(file.bytes, {Mode0::as_signed})[0] == -56);
}

TEST_CASE("the pixel size is the cell over the intervals, and 0 when the header does not say") {
  CHECK(parse_mrc_header(test::memory(MrcBytes(4, 4, 3).bytes)).pixel_size_angstrom == 2);
  CHECK(parse_mrc_header(test::memory(MrcBytes(4, 4, 3).real(11, 0).bytes)).pixel_size_angstrom == 0);
  for (const float cell : {-8.0f, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    const MrcHeader header = parse_mrc_header(test::memory(MrcBytes(4, 4, 3).real(11, cell).bytes));
    CHECK(header.pixel_size_angstrom == 0);
    CHECK(header.warnings.size() == 1);
  }
}

TEST_CASE("old headers are read with a warning for each thing that is missing") {
  MrcBytes plain(4, 4, 3);
  std::memset(plain.bytes.data() + 208, 0, 8);
  plain.word(17, 0).word(18, 0).word(19, 0);
  const MrcHeader header = parse_mrc_header(test::memory(plain.bytes));
  CHECK(header.warnings ==
        std::vector<std::string>{"no usable machine stamp (byte 212); read as little-endian",
                                 "the axis order (MAPC, MAPR, MAPS, byte 64) is not given; read as x, y, z",
                                 "no 'MAP ' at byte 208: an old file, or not an MRC file"});
  MrcBytes big(4, 4, 3);
  big.to_big_endian(4);
  std::memset(big.bytes.data() + 212, 0, 4);
  CHECK(parse_mrc_header(test::memory(big.bytes)).big_endian);
  std::memcpy(big.bytes.data() + 212, "\x44\x44", 2);
  CHECK(parse_mrc_header(test::memory(big.bytes)).warnings ==
        std::vector<std::string>{"the machine stamp (byte 212) is wrong: only big-endian numbers make sense"});
  CHECK(read_all_images(big.bytes)[47] == 47);
}

TEST_CASE("an extended header is skipped and bytes after the last pixel are reported") {
  MrcBytes file(2, 2, 1);
  file.word(24, 64);
  file.bytes.insert(1024, 64, 'x');
  CHECK(read_all_images(file.bytes) == std::vector<float>{0, 1, 2, 3});
  file.bytes += "0123456789";
  CHECK(parse_mrc_header(test::memory(file.bytes)).warnings ==
        std::vector<std::string>{"10 bytes follow the last pixel; ignored"});
}

TEST_CASE("any run of images reads the same as the whole") {
  MrcBytes file(300, 300, 5, 1, 2);  // larger than one conversion chunk
  for (size_t i = 0; i < 5 * 90000; ++i) file.pixel(i, static_cast<int16_t>(i * 7919 % 65536));
  const std::vector<float> all = read_all_images(file.bytes);
  const auto source = std::make_shared<MemorySource>(std::as_bytes(std::span(file.bytes)), "memory");
  const MrcFile open = MrcFile::open(source);
  for (int64_t first = 0; first < 5; ++first)
    for (int64_t count = 0; first + count <= 5; ++count) {
      std::vector<float> part(static_cast<size_t>(count) * 90000);
      open.read_images(first, count, part);
      CHECK(std::equal(part.begin(), part.end(), all.begin() + first * 90000));
    }
  std::vector<float> out(90000);
  CHECK_THROWS_AS(open.read_images(5, 1, out), std::out_of_range);
  CHECK_THROWS_AS(open.read_images(-1, 1, out), std::out_of_range);
  CHECK_THROWS_AS(open.read_images(0, 2, out), std::out_of_range);
}

TEST_CASE("threads that share an open file read what one thread reads") {
  test::TempDir dir;
  test::spit(dir / "s.mrcs", MrcBytes(16, 16, 64).bytes);
  const MrcFile file = MrcFile::open(dir / "s.mrcs");
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::vector<float> image(256);
      for (int64_t i = 0; i < 64; ++i) {
        const int64_t which = (i * 17 + t * 5) % 64;
        file.read_images(which, 1, image);
        wrong += image[0] != float(which * 256) || image[255] != float(which * 256 + 255);
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("a written volume comes back bit by bit, with true statistics") {
  test::TempDir dir;
  std::vector<float> data(6 * 6 * 6);
  for (size_t i = 0; i < data.size(); ++i) data[i] = std::sin(float(i));
  write_volume(dir / "v.mrc", data, 6, 1.25);
  const Volume back = read_volume(dir / "v.mrc");
  CHECK(back.side == 6);
  CHECK(back.pixel_size_angstrom == doctest::Approx(1.25).epsilon(1e-7));
  CHECK(back.data == data);
  const MrcHeader header = MrcFile::open(dir / "v.mrc").header();
  CHECK(header.volume);
  CHECK(header.warnings.empty());
  CHECK(header.labels == std::vector<std::string>{"reconstruct"});
  CHECK(header.minimum == *std::min_element(data.begin(), data.end()));
  CHECK(header.maximum == *std::max_element(data.begin(), data.end()));
  CHECK_THROWS_AS(write_volume(dir / "w.mrc", std::span(data).first(5), 6, 1), std::invalid_argument);
  data[7] = std::nanf("");
  CHECK_THROWS_AS(write_volume(dir / "v.mrc", data, 6, 1), std::invalid_argument);
  CHECK(read_volume(dir / "v.mrc").data == back.data);
}

TEST_CASE("a stack appears under its name with finish, whole, and not without it") {
  test::TempDir dir;
  const std::string path = dir / "s.mrcs";
  std::vector<float> images(3 * 16);
  for (size_t i = 0; i < images.size(); ++i) images[i] = float(i) - 20;
  {
    MrcStackWriter dropped = MrcStackWriter::create(path, 4, 2);
    dropped.append(images);
    CHECK_FALSE(std::filesystem::exists(path));
  }
  CHECK(std::filesystem::is_empty(dir.path()));
  MrcStackWriter writer = MrcStackWriter::create(path, 4, 2.5);
  writer.append(std::span(images).first(16));
  writer.append(std::span(images).subspan(16));
  CHECK_THROWS_AS(writer.append(std::span(images).first(5)), std::invalid_argument);
  CHECK(writer.count() == 3);
  writer.finish();
  const MrcFile file = MrcFile::open(path);
  CHECK(file.header().nz == 3);
  CHECK_FALSE(file.header().volume);
  CHECK(file.header().pixel_size_angstrom == doctest::Approx(2.5));
  std::vector<float> back(images.size());
  file.read_images(0, 3, back);
  CHECK(back == images);
}

TEST_CASE("a file that shrinks while open gives an error that names the byte") {
  test::TempDir dir;
  const std::string path = dir / "s.mrcs";
  test::spit(path, MrcBytes(4, 4, 3).bytes);
  const MrcFile file = MrcFile::open(path);
  std::filesystem::resize_file(path, 1024 + 80);
  std::vector<float> image(16);
  CHECK(test::replaced(test::failure([&] { file.read_images(1, 1, image); }), dir.path(), "DIR") ==
        "65 DIR/s.mrcs: byte 1088: the file ends too early: 64 bytes expected here, 16 found; repair: the file was cut "
        "or "
        "changed while being read; copy it again");
}
