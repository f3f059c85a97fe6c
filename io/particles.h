#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "io/mrc.h"
#include "io/star.h"

namespace recon::io {

/// Contrast transfer function of one image, as its metadata give it. Defocus positive for underfocus.
struct Ctf {
  float defocus_u_angstrom = 0;
  float defocus_v_angstrom = 0;
  float defocus_angle_rad = 0;
  float voltage_kv = 300;
  float spherical_aberration_mm = 2.7f;
  float amplitude_contrast = 0.1f;
  float phase_shift_rad = 0;
  float b_factor_angstrom2 = 0;
  float scale = 1;
  bool operator==(const Ctf&) const = default;
};

/// Where one image lies.
struct ImageRef {
  uint32_t file = 0;  ///< into ParticleTable::files
  int32_t index = 0;  ///< in the stack, from 0
  bool operator==(const ImageRef&) const = default;
};

/// Poses, in single precision: 1e-5 degrees, as the images of 10^7 particles and more need not be known better.
using EulerDeg = std::array<float, 3>;  ///< rot, tilt, psi (RELION's ZYZ)
using ShiftPx = std::array<float, 2>;   ///< x, y to apply to the image to centre it (RELION's origin)

/// Open stacks, shared by the copies of a table; hands out files to any thread and keeps a bounded number open.
class StackPool;
class CsTable;

/// The particles of a data set: where the images are and what is known of each. Vectors of absent things are empty.
struct ParticleTable {
  int side = 0;                    ///< pixels; 0 only if metadata_only and the STAR file does not say
  double pixel_size_angstrom = 0;  ///< 0 only if metadata_only and nothing says
  std::vector<ImageRef> images;
  std::vector<std::string> files;  ///< resolved paths
  bool has_ctf = false, has_poses = false, has_half_sets = false;
  std::vector<Ctf> ctf;
  std::vector<EulerDeg> euler_deg;
  std::vector<ShiftPx> shift_px;
  std::vector<int> half_set;  ///< 1 or 2
  /// Poses or CTF come from elsewhere than the particle file: its own are overwritten when the table is written.
  bool poses_replaced = false, ctf_replaced = false;
  std::vector<std::string> warnings;
  StarDocument source;                ///< empty for a bare stack and for a .cs file
  std::shared_ptr<const CsTable> cs;  ///< of a .cs file, passthrough fields included
  int contrast_sign = 0;  ///< blob/sign of a .cs: -1 particles darker than their surroundings, 1 brighter, 0 unknown
  std::shared_ptr<StackPool> stacks;

  int64_t size() const { return static_cast<int64_t>(images.size()); }
};

struct LoadOptions {
  std::string datadir = {};  ///< folder that image paths may be relative to
  /// What the user says overrules the file.
  std::optional<double> pixel_size_angstrom = {}, amplitude_contrast = {}, voltage_kv = {};
  std::optional<double> spherical_aberration_mm = {};
  std::vector<std::string> passthrough = {};  ///< .cs: files whose fields are joined by uid
  std::string poses = {};                     ///< .pkl, .npy, .star or .cs with a pose for every image, row by row
  std::string ctf = {};                       ///< .pkl or .npy with a CTF for every image, row by row
  std::string subset = {};                    ///< the images to keep: read_subset
  /// Extent of the box, A: over the side it is the pixel size, where none is given. Set by the loader from `ctf`.
  std::optional<double> box_angstrom = {};
  bool allow_missing_ctf = true;  ///< false: a file without CTF columns is an error
  bool ignore_ctf = false;        ///< read as if there were no CTF columns
  bool alternate_halves = false;  ///< half sets are odd and even images, whatever _rlnRandomSubset says
  bool metadata_only = false;     ///< do not look for the images: `files` holds the names as written
  MrcOptions mrc = {};
};

/// Loads a RELION 3.0, 3.1, 4 or 5 particle STAR file, a cryoSPARC .cs file, or a bare .mrcs/.mrc stack (then without
/// poses and CTF), with what the options' files add. Every stack is opened and every index checked against it. Throws
/// InputError (65, 66) naming line, column and value.
ParticleTable load_particles(const std::string& path, const LoadOptions& options = {});

/// The same from a parsed document; its name() is where relative paths start from.
ParticleTable load_particles(StarDocument document, const LoadOptions& options = {});

/// A column of a document's particle table as numbers, or of its optics table by group; nothing without the column.
/// Throws InputError for a cell that is no finite number.
std::optional<std::vector<double>> particle_column(const StarDocument& document, const std::string& label);

/// The given rows of a table in the given order, its source document or .cs fields included.
ParticleTable take_particles(ParticleTable table, std::span<const int64_t> rows);

/// Rows to keep, from 0: a list of numbers, or of a yes or no for each of `count` rows, in a .npy or .pkl file; or a
/// .txt file of a number a line, from 1, as report.html saves a selection. Throws InputError for one that is not there
/// or stands twice, or if nothing is left.
std::vector<int64_t> read_subset(const std::string& path, int64_t count);

/// Images first .. first+count-1, out: [count, side, side]. Runs of neighbours in a stack are read in one piece.
/// Thread-safe. Throws InputError (65) naming file and image for a NaN or infinite pixel or a stack that changed,
/// std::out_of_range for a wrong range or size.
void read_particles(const ParticleTable& table, int64_t first, int64_t count, std::span<float> out);

/// The chosen images in the order given, out: [which.size(), side, side].
void read_particles(const ParticleTable& table, std::span<const int64_t> which, std::span<float> out);

/// A column to add to a STAR file: label and one number a particle.
using ExtraColumn = std::pair<std::string, std::vector<double>>;

/// Writes the table's STAR file again with the given poses: every block, column and cell of the input stays as it is,
/// the pose columns are replaced or added (origins in Å where the file has an optics table, else in pixels), and image
/// names that were found neither as an absolute path nor under the current folder get the absolute path, so that they
/// are found from `path` too. A bare stack and a .cs table get a new RELION 3.1 file, with CTF and half sets.
/// `euler_deg` [n] rot, tilt, psi; `shift_px` [n]; both empty: the poses stay as they are. Throws std::invalid_argument
/// for wrong sizes or numbers that are not finite, IoError as AtomicFile.
void write_particles_star(const std::string& path, const ParticleTable& table, std::span<const EulerDeg> euler_deg,
                          std::span<const ShiftPx> shift_px, const std::vector<ExtraColumn>& extra_columns = {});

/// Writes a cryoSPARC .cs file: the table's own fields (of a table that was no .cs: uid, blob/* and ctf/*), with
/// alignments3D/{pose,shift,psize_A} replaced or added unless the poses are empty. Throws as write_particles_star.
void write_particles_cs(const std::string& path, const ParticleTable& table, std::span<const EulerDeg> euler_deg,
                        std::span<const ShiftPx> shift_px, const std::vector<ExtraColumn>& extra_columns = {});

/// The pixel size of the table, and of what write_particles writes; lengths in Angstrom and shifts in pixels stay.
void set_pixel_size(ParticleTable& table, double pixel_size_angstrom);

/// Makes the table speak of images 1..n of another stack of the same field of view: side and pixel size change, shifts
/// stay the same length in Angstrom. What write_particles then writes says so too; the images cannot be read any more.
void move_particles(ParticleTable& table, const std::string& stack, int side, double pixel_size_angstrom);

/// Puts a table into the form of RELION 3.0 (one table) or of 3.1 and later (with an optics table), from what is known
/// of the particles. A table of that form stays as it is; else the other columns of its particle table are kept as
/// they are, and those of its optics table become columns of the particle table. Its other blocks are dropped.
enum class StarVersion { v3_0, v3_1 };
void set_star_version(ParticleTable& table, StarVersion version);

/// Writes the table to a .star or .cs file, by its name, with every column or field of the particle file as it is; what
/// the table says otherwise (poses, CTF) is replaced, the extra columns are added (`_cdrgnZ1` in a .cs: `cdrgn/z1`).
/// Throws InputError (64) for another kind of file, else as write_particles_star.
void write_particles(const std::string& path, const ParticleTable& table,
                     const std::vector<ExtraColumn>& extra_columns = {});

/// Writes a RELION 3.1 STAR file for images 1..n of one stack. Empty spans leave their columns out; particles of
/// different voltage, Cs or amplitude contrast get optics groups of their own. Throws as write_particles_star.
void write_simple_star(const std::string& path, const std::string& stack_name, int64_t n, int side,
                       double pixel_size_angstrom, std::span<const EulerDeg> euler_deg,
                       std::span<const ShiftPx> shift_px, std::span<const Ctf> ctf = {},
                       std::span<const int> half_set = {});

}  // namespace recon::io
