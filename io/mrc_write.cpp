#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "io/finite.h"
#include "io/mrc.h"

namespace recon::io {
namespace {

static_assert(std::endian::native == std::endian::little, "files are written in this machine's byte order");

struct Statistics {
  float minimum = 0, maximum = -1, mean = -2, rms = -1;  // MRC2014's way to say: not determined
};

Statistics statistics_of(std::span<const float> data) {
  double sum = 0;
  float low = data[0], high = data[0];
  for (const float v : data) {
    sum += v;
    low = v < low ? v : low;
    high = v > high ? v : high;
  }
  const double mean = sum / static_cast<double>(data.size());
  double squares = 0;
  for (const float v : data) squares += (v - mean) * (v - mean);
  return {low, high, static_cast<float>(mean),
          static_cast<float>(std::sqrt(squares / static_cast<double>(data.size())))};
}

/// A header of float32 data, little-endian. `volume`: one cube; else nz images.
std::array<std::byte, 1024> make_header(int side, int64_t nz, double pixel_size_angstrom, bool volume,
                                        const Statistics& statistics) {
  std::array<std::byte, 1024> bytes{};
  const auto integer = [&](int word, int32_t value) { std::memcpy(bytes.data() + 4 * (word - 1), &value, 4); };
  const auto real = [&](int word, double value) { integer(word, std::bit_cast<int32_t>(static_cast<float>(value))); };
  const int32_t sections_per_cell = volume ? side : 1;
  integer(1, side), integer(2, side), integer(3, static_cast<int32_t>(nz));
  integer(4, 2);
  integer(8, side), integer(9, side), integer(10, sections_per_cell);
  real(11, side * pixel_size_angstrom), real(12, side * pixel_size_angstrom);
  real(13, sections_per_cell * pixel_size_angstrom);
  for (int word = 14; word <= 16; ++word) real(word, 90);
  for (int i = 0; i < 3; ++i) integer(17 + i, 1 + i);
  real(20, statistics.minimum), real(21, statistics.maximum), real(22, statistics.mean), real(55, statistics.rms);
  integer(23, volume ? 1 : 0);
  integer(28, 20141);
  std::memcpy(bytes.data() + 208, "MAP ", 4);
  std::memcpy(bytes.data() + 212, "\x44\x44\0\0", 4);
  integer(56, 1);
  // No date: the same data gives the same bytes.
  std::memset(bytes.data() + 224, ' ', 80);
  std::memcpy(bytes.data() + 224, "reconstruct", 11);
  return bytes;
}

void check_shape(int side, double pixel_size_angstrom) {
  if (side < 1) throw std::invalid_argument("MRC: the side must be at least 1");
  if (!(std::isfinite(pixel_size_angstrom) && pixel_size_angstrom >= 0))
    throw std::invalid_argument("MRC: the pixel size must be finite and not negative");
}

}  // namespace

void write_volume(const std::string& path, std::span<const float> data, int side, double pixel_size_angstrom) {
  check_shape(side, pixel_size_angstrom);
  if (data.size() != size_t(side) * size_t(side) * size_t(side))
    throw std::invalid_argument("write_volume: " + std::to_string(data.size()) + " voxels are not a cube of side " +
                                std::to_string(side));
  if (const int64_t bad = first_not_finite(data); bad >= 0)
    throw std::invalid_argument("write_volume: voxel " + std::to_string(bad) + " is not finite");
  AtomicFile file(path, "volume");
  file.write(make_header(side, side, pixel_size_angstrom, true, statistics_of(data)));
  file.write(std::as_bytes(data));
  file.commit();
}

MrcStackWriter MrcStackWriter::create(const std::string& path, int side, double pixel_size_angstrom) {
  check_shape(side, pixel_size_angstrom);
  MrcStackWriter writer;
  writer.file_ = std::make_unique<AtomicFile>(path, "stack");
  writer.side_ = side;
  writer.pixel_size_angstrom_ = pixel_size_angstrom;
  writer.file_->write(make_header(side, 0, pixel_size_angstrom, false, {}));
  return writer;
}

void MrcStackWriter::append(std::span<const float> images) {
  const size_t pixels = size_t(side_) * size_t(side_);
  if (!file_) throw std::logic_error("MrcStackWriter: append after finish");
  if (images.size() % pixels != 0) throw std::invalid_argument("MrcStackWriter: not a whole number of images");
  const int64_t count = count_ + static_cast<int64_t>(images.size() / pixels);
  if (count > INT32_MAX) throw std::invalid_argument("MrcStackWriter: an MRC file holds at most 2^31-1 images");
  file_->write(std::as_bytes(images));
  count_ = count;
}

void MrcStackWriter::finish() {
  if (!file_ || count_ == 0) throw std::logic_error("MrcStackWriter: nothing to finish");
  file_->write_at(0, make_header(side_, count_, pixel_size_angstrom_, false, {}));
  file_->commit();
  file_.reset();
}

}  // namespace recon::io
