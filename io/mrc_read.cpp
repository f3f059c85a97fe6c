#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "io/error.h"
#include "io/finite.h"
#include "io/half.h"
#include "io/mrc.h"

namespace recon::io {
namespace {

constexpr int64_t kChunkPixels = int64_t{1} << 17;  // raw pixels of one conversion stay in the cache

/// out[i] = convert(stored i), with the stored word's bytes put into this machine's order first.
template <class Word, bool swap, class Convert>
void convert_words(const std::byte* raw, std::span<float> out, Convert convert) {
  for (size_t i = 0; i < out.size(); ++i) {
    Word word;
    std::memcpy(&word, raw + i * sizeof(Word), sizeof(Word));
    if constexpr (swap && sizeof(Word) == 2) word = static_cast<Word>(__builtin_bswap16(word));
    if constexpr (swap && sizeof(Word) == 4) word = static_cast<Word>(__builtin_bswap32(word));
    out[i] = convert(word);
  }
}

template <bool swap>
void convert_mode(const std::byte* raw, const MrcHeader& header, std::span<float> out) {
  switch (header.mode) {
    case 0:
      if (header.mode0_signed)
        return convert_words<uint8_t, swap>(raw, out, [](uint8_t v) { return float(static_cast<int8_t>(v)); });
      return convert_words<uint8_t, swap>(raw, out, [](uint8_t v) { return float(v); });
    case 1:
      return convert_words<uint16_t, swap>(raw, out, [](uint16_t v) { return float(static_cast<int16_t>(v)); });
    case 6:
      return convert_words<uint16_t, swap>(raw, out, [](uint16_t v) { return float(v); });
    case 12:
      return convert_words<uint16_t, swap>(raw, out, from_half);
    default:
      return convert_words<uint32_t, swap>(raw, out, [](uint32_t v) { return std::bit_cast<float>(v); });
  }
}

}  // namespace

void convert_pixels(std::span<const std::byte> raw, const MrcHeader& header, std::span<float> out) {
  if (raw.size() != out.size() * static_cast<size_t>(header.bytes_per_pixel()))
    throw std::invalid_argument("convert_pixels: sizes disagree");
  header.big_endian ? convert_mode<true>(raw.data(), header, out) : convert_mode<false>(raw.data(), header, out);
}

MrcFile MrcFile::open(const std::string& path, const MrcOptions& options) {
  return open(std::make_shared<FileSource>(path), options);
}

MrcFile MrcFile::open(std::shared_ptr<const ByteSource> source, const MrcOptions& options) {
  MrcHeader header = parse_mrc_header(*source, options);
  return {std::move(source), std::move(header)};
}

void MrcFile::read_images(int64_t first, int64_t count, std::span<float> out) const {
  if (first < 0 || count < 0 || first > header_.nz || count > header_.nz - first)
    throw std::out_of_range("read_images: sections " + std::to_string(first) + " to " + std::to_string(first + count) +
                            " of " + std::to_string(header_.nz));
  const int64_t pixels = count * header_.pixels_per_image();
  if (static_cast<int64_t>(out.size()) != pixels) throw std::out_of_range("read_images: wrong size of the output");
  const int64_t width = header_.bytes_per_pixel();
  const int64_t begin = header_.data_offset + first * header_.pixels_per_image() * width;
  if (header_.mode == 2 && !header_.big_endian) return source_->read_at(begin, std::as_writable_bytes(out));

  std::vector<std::byte> raw(static_cast<size_t>(std::min(pixels, kChunkPixels) * width));
  for (int64_t done = 0; done < pixels; done += kChunkPixels) {
    const int64_t part = std::min(kChunkPixels, pixels - done);
    const auto chunk = std::span(raw).first(static_cast<size_t>(part * width));
    source_->read_at(begin + done * width, chunk);
    convert_pixels(chunk, header_, out.subspan(static_cast<size_t>(done), static_cast<size_t>(part)));
  }
}

Volume read_volume(const std::string& path) {
  const MrcFile file = MrcFile::open(path);
  const MrcHeader& header = file.header();
  if (header.nx != header.ny || header.ny != header.nz)
    throw InputError({path, "byte 0", "NX, NY, NZ",
                      std::to_string(header.nx) + " x " + std::to_string(header.ny) + " x " + std::to_string(header.nz),
                      "a map must be a cube", "pad or crop the map to a cube"});
  Volume volume{static_cast<int>(header.nx), header.pixel_size_angstrom, {}};
  volume.data.resize(static_cast<size_t>(header.nx * header.ny * header.nz));
  file.read_images(0, header.nz, volume.data);
  if (const int64_t bad = first_not_finite(volume.data); bad >= 0)
    throw InputError({path, "voxel " + std::to_string(bad), "", "", "the map holds a NaN or an infinity",
                      "rewrite the map without it"});
  return volume;
}

}  // namespace recon::io
