#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "io/error.h"
#include "io/mrc.h"

namespace recon::io {
namespace {

constexpr int64_t kHeaderBytes = 1024;
constexpr int64_t kImodStamp = 1146047817;  // "IMOD", the value of word 39 in files that IMOD wrote

/// The 256 words of a header; word numbers are MRC2014's, from 1.
class Words {
 public:
  explicit Words(std::span<const std::byte, kHeaderBytes> bytes) : bytes_(bytes) {}
  bool swapped = false;

  int32_t integer(int word) const {
    uint32_t value;
    std::memcpy(&value, bytes_.data() + 4 * (word - 1), 4);
    return static_cast<int32_t>(swapped ? __builtin_bswap32(value) : value);
  }
  float real(int word) const { return std::bit_cast<float>(integer(word)); }
  std::string text(int64_t byte, size_t length) const {
    return std::string(reinterpret_cast<const char*>(bytes_.data()) + byte, length);
  }

 private:
  std::span<const std::byte, kHeaderBytes> bytes_;
};

std::string at_word(int word) { return "byte " + std::to_string(4 * (word - 1)); }

[[noreturn]] void refuse(const ByteSource& source, int word, const char* field, const std::string& value,
                         const std::string& problem, const std::string& repair) {
  throw InputError({source.name(), word ? at_word(word) : "", field, value, problem, repair});
}

bool readable_mode(int mode) { return mode == 0 || mode == 1 || mode == 2 || mode == 6 || mode == 12; }
bool known_mode(int mode) { return readable_mode(mode) || mode == 3 || mode == 4 || mode == 16 || mode == 101; }

/// Names the format of a file that was renamed to .mrc, if its first bytes give it away.
const char* other_format(const std::string& head) {
  if (head.starts_with("\x1f\x8b")) return "gzip-compressed";
  if (head.starts_with("BZh")) return "bzip2-compressed";
  if (head.starts_with("\x28\xb5\x2f\xfd")) return "zstd-compressed";
  if (head.starts_with("\xfd"
                       "7zXZ"))
    return "xz-compressed";
  if (head.starts_with("\x89HDF")) return "an HDF5 file";
  if (head.starts_with(std::string("II*\0", 4)) || head.starts_with(std::string("MM\0*", 4))) return "a TIFF file";
  if (head.starts_with("II+")) return "a BigTIFF (EER) file";
  if (head.starts_with("\x93NUMPY")) return "a numpy file";
  return nullptr;
}

/// Sets the byte order from the machine stamp, or, where that is absent or plainly wrong, from which order makes sense.
void find_byte_order(Words& words, MrcHeader& header) {
  const std::string stamp = words.text(212, 4);
  const auto byte = [&](int i) { return static_cast<unsigned char>(stamp[static_cast<size_t>(i)]); };
  const bool little = byte(0) == 0x44 && (byte(1) == 0x44 || byte(1) == 0x41);
  const bool big = byte(0) == 0x11 && byte(1) == 0x11;
  const auto sane = [&](bool swapped) {
    words.swapped = swapped;
    return known_mode(words.integer(4)) && words.integer(1) > 0 && words.integer(2) > 0 && words.integer(3) > 0;
  };
  const bool stamped = big;
  const bool swapped = sane(stamped) ? stamped : sane(!stamped) ? !stamped : stamped;
  words.swapped = header.big_endian = swapped;
  if (!little && !big)
    header.warnings.push_back(std::string("no usable machine stamp (byte 212); read as ") +
                              (swapped ? "big-endian" : "little-endian"));
  else if (swapped != stamped)
    header.warnings.push_back(std::string("the machine stamp (byte 212) is wrong: only ") +
                              (swapped ? "big-endian" : "little-endian") + " numbers make sense");
}

void read_mode(const ByteSource& source, const Words& words, const MrcOptions& options, MrcHeader& header) {
  header.mode = words.integer(4);
  if (!readable_mode(header.mode)) {
    const char* name = header.mode == 3     ? "complex int16, a transform"
                       : header.mode == 4   ? "complex float32, a transform"
                       : header.mode == 16  ? "RGB, a picture"
                       : header.mode == 101 ? "4-bit, packed movie frames"
                                            : "unknown";
    refuse(source, 4, "MODE", std::to_string(header.mode), std::string("the pixel type is not readable (") + name + ")",
           "convert to mode 2 (float32); readable are 0, 1, 2, 6 and 12");
  }
  const bool imod = words.integer(39) == kImodStamp;
  header.mode0_signed = options.mode0 == Mode0::as_signed ||
                        (options.mode0 == Mode0::automatic && (!imod || (words.integer(40) & 1) != 0));
}

void read_sizes(const ByteSource& source, const Words& words, MrcHeader& header) {
  const char* names[] = {"NX", "NY", "NZ"};
  for (int axis = 0; axis < 3; ++axis)
    if (words.integer(1 + axis) < 1)
      refuse(source, 1 + axis, names[axis], std::to_string(words.integer(1 + axis)), "a size must be at least 1",
             "the header is damaged; copy or convert the file again");
  header.nx = words.integer(1), header.ny = words.integer(2), header.nz = words.integer(3);

  const int64_t extended = words.integer(24);
  if (extended < 0 || extended > source.size() - kHeaderBytes)
    refuse(source, 24, "NSYMBT", std::to_string(extended),
           "the extended header does not fit into the file of " + std::to_string(source.size()) + " bytes",
           "the header is damaged; copy or convert the file again");
  header.data_offset = kHeaderBytes + extended;

  const std::string shape =
      std::to_string(header.nx) + " x " + std::to_string(header.ny) + " x " + std::to_string(header.nz);
  int64_t image_bytes = 0, data_bytes = 0;
  const bool fits = checked_multiply(header.nx, header.ny, image_bytes) &&
                    checked_multiply(image_bytes, header.bytes_per_pixel(), image_bytes) &&
                    checked_multiply(image_bytes, header.nz, data_bytes);
  const int64_t present = source.size() - header.data_offset;
  if (!fits || data_bytes > present)
    refuse(source, 1, "NX, NY, NZ", shape,
           "the file holds " + std::to_string(present) + " bytes of pixels, the header asks for " +
               (fits ? std::to_string(data_bytes) : "more than 2^63") +
               (fits ? ": " + std::to_string(present / image_bytes) + " of " + std::to_string(header.nz) +
                           " sections are whole"
                     : ""),
           "the file was cut or its header is damaged; copy it again");
  if (data_bytes < present)
    header.warnings.push_back(std::to_string(present - data_bytes) + " bytes follow the last pixel; ignored");
}

void check_axes(const ByteSource& source, const Words& words, MrcHeader& header) {
  const std::array<int, 3> axes = {words.integer(17), words.integer(18), words.integer(19)};
  if (axes == std::array{1, 2, 3}) return;
  if (axes == std::array{0, 0, 0}) {
    header.warnings.push_back("the axis order (MAPC, MAPR, MAPS, byte 64) is not given; read as x, y, z");
    return;
  }
  refuse(source, 17, "MAPC, MAPR, MAPS",
         std::to_string(axes[0]) + ", " + std::to_string(axes[1]) + ", " + std::to_string(axes[2]),
         "the axes are not stored in the order x, y, z", "rewrite the file with axes 1, 2, 3");
}

/// CELLA / M, or 0 with a warning if the header gives no usable number.
void read_pixel_size(const Words& words, MrcHeader& header) {
  const double cell = words.real(11), intervals = words.integer(8);
  if (cell == 0) return;
  const double size = cell / intervals;
  if (!(std::isfinite(size) && size > 1e-6 && size < 1e6)) {
    header.warnings.push_back("the cell (CELLA, byte 40) over " + std::to_string(words.integer(8)) +
                              " intervals gives no pixel size; taken as unknown");
    return;
  }
  header.pixel_size_angstrom = size;
  const double along_y = double(words.real(12)) / words.integer(9);
  if (!(std::abs(along_y - size) <= 0.01 * size))
    header.warnings.push_back("pixels are not square (byte 44); the size along x is used");
  for (int word = 14; word <= 16; ++word)
    if (words.real(word) != 90.0f && words.real(word) != 0.0f) {
      header.warnings.push_back("cell angles (CELLB, byte 52) are not 90 degrees; ignored");
      break;
    }
}

void read_rest(const Words& words, MrcHeader& header) {
  header.space_group = words.integer(23);
  header.volume =
      header.space_group >= 1 && header.space_group <= 230 && header.nx == header.ny && header.ny == header.nz;
  for (int i = 0; i < 3; ++i) {
    header.start[static_cast<size_t>(i)] = words.integer(5 + i);
    const float origin = words.real(50 + i);
    header.origin[static_cast<size_t>(i)] = std::isfinite(origin) ? origin : 0;
  }
  header.minimum = words.real(20), header.maximum = words.real(21), header.mean = words.real(22);
  header.rms = words.real(55);
  if (words.text(208, 3) != "MAP") header.warnings.push_back("no 'MAP ' at byte 208: an old file, or not an MRC file");
  const int labels = std::clamp(words.integer(56), 0, 10);
  for (int i = 0; i < labels; ++i) {
    std::string label = words.text(224 + 80 * i, 80);
    label.erase(std::find(label.begin(), label.end(), '\0'), label.end());
    label.erase(label.find_last_not_of(' ') + 1);
    if (!label.empty()) header.labels.push_back(printable(label));
  }
}

}  // namespace

MrcHeader parse_mrc_header(const ByteSource& source, const MrcOptions& options) {
  if (source.size() < kHeaderBytes)
    throw InputError(
        {.file = source.name(),
         .problem = "not an MRC file: " + std::to_string(source.size()) + " bytes, less than the 1024 of a header",
         .repair = "the file was cut or is something else; copy it again"});
  std::array<std::byte, kHeaderBytes> bytes;
  source.read_at(0, bytes);
  Words words(bytes);
  if (const char* format = other_format(words.text(0, 8)))
    throw InputError({.file = source.name(),
                      .problem = std::string("not an MRC file but ") + format,
                      .repair = "decompress or convert it to MRC first"});
  MrcHeader header;
  find_byte_order(words, header);
  read_mode(source, words, options, header);
  read_sizes(source, words, header);
  check_axes(source, words, header);
  read_pixel_size(words, header);
  read_rest(words, header);
  return header;
}

}  // namespace recon::io
