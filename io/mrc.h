#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/atomic_file.h"
#include "io/byte_source.h"

namespace recon::io {

/// Whether the bytes of mode 0 have a sign. The standard says signed; IMOD's own stamp in the header may say otherwise
/// and is believed by `automatic`; old files of other programs need the user's word.
enum class Mode0 { automatic, as_signed, as_unsigned };

struct MrcOptions {
  Mode0 mode0 = Mode0::automatic;
};

/// What the 1024 bytes of an MRC2014 header say, checked against the file's size: nx·ny·nz pixels are there.
struct MrcHeader {
  int64_t nx = 0, ny = 0, nz = 0;
  int mode = 2;                    ///< 0 int8, 1 int16, 2 float32, 6 uint16, 12 float16
  double pixel_size_angstrom = 0;  ///< CELLA / M along x; 0: the file does not say
  bool volume = false;             ///< the header claims one volume (space group 1..230) and it is a cube
  bool big_endian = false;
  bool mode0_signed = true;
  int64_t data_offset = 0;  ///< bytes: 1024 and the extended header
  int space_group = 0;      ///< 0 images, 1 volume, 401..630 stack of volumes
  std::array<int, 3> start = {0, 0, 0};
  std::array<double, 3> origin = {0, 0, 0};              ///< Å
  float minimum = 0, maximum = -1, mean = -2, rms = -1;  ///< as written, never trusted
  std::vector<std::string> labels;
  std::vector<std::string> warnings;  ///< oddities that were accepted

  int64_t pixels_per_image() const { return nx * ny; }
  int bytes_per_pixel() const { return mode == 0 ? 1 : mode == 2 ? 4 : 2; }
};

/// Reads and checks a header without touching the pixels. Throws InputError (65) naming field, value and byte.
MrcHeader parse_mrc_header(const ByteSource& source, const MrcOptions& options = {});

/// An open MRC file of images or one volume. Copies share the open file; all members are const and thread-safe.
class MrcFile {
 public:
  /// Throws InputError: 66 if it cannot be opened, 65 if it is not a readable MRC file.
  static MrcFile open(const std::string& path, const MrcOptions& options = {});
  static MrcFile open(std::shared_ptr<const ByteSource> source, const MrcOptions& options = {});
  const MrcHeader& header() const { return header_; }
  const std::string& name() const { return source_->name(); }
  const ByteSource& source() const { return *source_; }

  /// Sections first .. first+count-1 as float, out: [count, ny, nx]. Any mode and endianness; no pixel is checked.
  /// Throws std::out_of_range for sections that do not exist or a wrong size of `out`, InputError or IoError when the
  /// file changed or fails.
  void read_images(int64_t first, int64_t count, std::span<float> out) const;

 private:
  MrcFile(std::shared_ptr<const ByteSource> source, MrcHeader header)
      : source_(std::move(source)), header_(std::move(header)) {}
  std::shared_ptr<const ByteSource> source_;
  MrcHeader header_;
};

/// Converts `count` stored pixels of the given mode to float. `raw` holds count·bytes_per_pixel bytes.
void convert_pixels(std::span<const std::byte> raw, const MrcHeader& header, std::span<float> out);

/// A cubic map, data [z][y][x].
struct Volume {
  int side = 0;
  double pixel_size_angstrom = 0;  ///< 0: unknown
  std::vector<float> data;
};

/// Throws InputError if the file is not a cube or holds a NaN or an infinity.
Volume read_volume(const std::string& path);

/// Writes a float32 map, data [side, side, side], with true statistics; atomic. Throws std::invalid_argument for a
/// wrong size or a voxel that is not finite, IoError as AtomicFile.
void write_volume(const std::string& path, std::span<const float> data, int side, double pixel_size_angstrom);

/// Writes a stack of float32 images as they come; the file appears under its name with finish().
class MrcStackWriter {
 public:
  /// pixel_size_angstrom 0: unknown. Throws IoError (73).
  static MrcStackWriter create(const std::string& path, int side, double pixel_size_angstrom);
  /// images: [any number, side, side]. Throws std::invalid_argument for a part of an image, IoError (74).
  void append(std::span<const float> images);
  /// Images appended so far.
  int64_t count() const { return count_; }
  /// Throws IoError (74), and std::logic_error if nothing was appended.
  void finish();

 private:
  MrcStackWriter() = default;
  std::unique_ptr<AtomicFile> file_;
  int side_ = 0;
  double pixel_size_angstrom_ = 0;
  int64_t count_ = 0;
};

}  // namespace recon::io
