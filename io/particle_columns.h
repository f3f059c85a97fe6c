#pragma once
#include <algorithm>
#include <array>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/particles.h"
#include "io/star.h"

namespace recon::io {

/// Where a document's particle table is: block and loop.
struct ParticlePlace {
  size_t block = 0, loop = 0;
};

/// The table of data_particles, else data_images, else data_, else of the first block with _rlnImageName. Throws
/// InputError (65) if there is none or its block is there twice.
ParticlePlace find_particle_table(const StarDocument& document);

/// A column of the particle table whose numbers go to places `stride` floats apart, one a particle.
struct ColumnFill {
  std::string_view label;
  float* first;
  size_t stride;
  double scale;      ///< file's unit to ours
  double low, high;  ///< the numbers that can be true, in the file's unit
  const char* range;
};

/// Hash of texts, to find views in tables of strings.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
template <class Value>
using TextMap = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;

/// The tables of a particle STAR file and the rules by which a quantity is found in them.
class ParticleColumns {
 public:
  /// Finds the particle table and the optics table. Throws InputError.
  explicit ParticleColumns(const StarDocument& document);
  /// Reads the particle table, in one pass: joins it to the optics table, fills the columns that it has, keeps the
  /// numbers of `labels` for numbers(), and calls image_name(row, _rlnImageName) if there is that column. Throws
  /// InputError.
  void read_rows(std::span<const ColumnFill> fills, std::span<const std::string_view> labels,
                 const std::function<void(int64_t row, std::string_view name)>& image_name);

  const StarLoop& particles() const { return *particles_; }
  const StarLoop* optics() const { return optics_; }
  bool has(std::string_view label) const { return particles_->column(label) >= 0 || optics_column(label) >= 0; }
  int optics_column(std::string_view label) const { return optics_ ? optics_->column(label) : -1; }
  /// Optics row of every particle, after read_rows; empty if there is no optics table.
  const std::vector<uint32_t>& optics_row() const { return optics_row_; }
  /// Calls visit(row, cell) for a column of the optics table and the rows that some particle uses.
  void for_each_used_optics_row(std::string_view label,
                                const std::function<void(int64_t row, std::string_view cell)>& visit) const;
  /// Warnings met while joining.
  std::vector<std::string> warnings;

  /// A finite number from a cell. Throws InputError naming line, label and value.
  double number(const StarLoop& loop, int64_t row, std::string_view label, std::string_view cell) const;
  /// The column as numbers, one a particle: from the particle table, else from the optics table by group. Empty if
  /// neither has it. After read_rows.
  std::vector<double> numbers(std::string_view label) const;
  [[noreturn]] void refuse(const StarLoop& loop, int64_t row, std::string_view label, std::string_view value,
                           const std::string& problem, const std::string& repair) const;
  /// The same for a particle's value, wherever it stands: the line is the optics table's if the column is there.
  [[noreturn]] void refuse_value(int64_t particle, std::string_view label, double value, const std::string& problem,
                                 const std::string& repair) const;
  /// The same for a value that cannot be true.
  [[noreturn]] void refuse_range(int64_t particle, std::string_view label, double value, const char* range) const;
  /// Throws the InputError for a column that must be there.
  [[noreturn]] void refuse_missing(std::string_view label, const std::string& why, const std::string& repair) const;
  const std::string& file() const { return file_; }

 private:
  void find_optics(const StarBlock& block);

  std::string file_;
  const StarLoop* particles_ = nullptr;
  const StarLoop* optics_ = nullptr;
  int group_column_ = -1;  // of the particle table, -1 if nothing joins the tables
  TextMap<uint32_t> row_of_group_;
  std::vector<uint32_t> optics_row_;  // of every particle; empty if there is no optics table
  std::vector<bool> used_;            // rows of the optics table
  mutable std::unordered_map<std::string_view, std::vector<double>> prefetched_;
};

/// Finds the stacks that image names point to, trying in order: as written, `datadir`, the STAR file's folder and its
/// parents up to a RELION project (a folder with default_pipeline.star), then the bare file name in datadir and in the
/// STAR file's folder. Throws MissingFiles (66) with all that are missing; `field` is
/// where the names stand.
std::vector<std::string> resolve_image_paths(const std::vector<std::string>& written, const std::string& star_path,
                                             const std::string& datadir, const std::string& field);

/// Resolves and opens the table's stacks and checks that they hold its images. `refuse(particle, sections)` throws for
/// an image beyond its stack. Gives the first header's pixel size.
double open_stacks(const std::string& file, const std::string& field, const LoadOptions& options, ParticleTable& table,
                   const std::function<void(int64_t particle, int64_t sections)>& refuse);

/// Settles the pixel size: what the user says, else what the metadata say, else what the stack says (0: nothing).
void settle_pixel_size(const std::string& file, const LoadOptions& options, double by_file, double by_stack,
                       ParticleTable& table);

/// Shifts beyond this many pixels are refused.
constexpr double kMostShift = 1e6;
/// Poses as a table keeps them.
template <size_t n>
std::array<float, n> narrow(const std::array<double, n>& pose) {
  std::array<float, n> out;
  std::copy(pose.begin(), pose.end(), out.begin());
  return out;
}

/// Warnings of poses that are all the same, may be radians, or lie far off.
void warn_of_odd_poses(ParticleTable& table);

/// Particles of a cryoSPARC table that was read from `path`.
ParticleTable load_cs_particles(CsTable table, const std::string& path, const LoadOptions& options);

/// CTF rows as cryoDRGN keeps them: box (pixels), pixel size (A), defocus U and V (A), angle (degrees), voltage (kV),
/// Cs (mm), amplitude contrast, phase shift (degrees).
struct CtfFile {
  std::string file;
  double box_angstrom = 0;  ///< of the images that the rows were made for
  std::vector<Ctf> ctf;
};
/// .pkl or .npy, [N, 9]. Throws InputError.
CtfFile read_ctf_file(const std::string& path);
/// Each puts the file's values, one a particle, into the table. Throws InputError for another number of them.
void apply_ctf_file(CtfFile file, const LoadOptions& options, ParticleTable& table);
void apply_pose_file(const LoadOptions& options, ParticleTable& table);

/// A document with what is known of the particles, but for their poses. Throws std::invalid_argument without box or
/// pixel size.
StarDocument new_star_document(const ParticleTable& table, StarVersion version);

/// The number at the start of an image name `000012@stack.mrcs`, and the stack's name. False if it is no such name.
bool split_image_name(std::string_view name, int64_t& index_from_1, std::string_view& stack);

/// Takes the image names of a particle table, row by row: images and the stacks as they are written.
class ImageNames {
 public:
  /// Throws InputError if there is no such column.
  ImageNames(const ParticleColumns& columns, ParticleTable& table);
  void add(int64_t row, std::string_view name);

 private:
  const ParticleColumns& columns_;
  ParticleTable& table_;
  TextMap<uint32_t> number_of_;
  std::string last_stack_;
  uint32_t last_file_ = 0;
};

/// Fill the table's parts; each throws InputError. plan_... says what is read of the particle table, finish_... does
/// the rest when it has been read.
void plan_poses(const ParticleColumns& columns, ParticleTable& table, std::vector<ColumnFill>& fills);
void finish_poses(const ParticleColumns& columns, ParticleTable& table);
void plan_ctf(const ParticleColumns& columns, const LoadOptions& options, ParticleTable& table,
              std::vector<ColumnFill>& fills);
void finish_ctf(const ParticleColumns& columns, const LoadOptions& options, ParticleTable& table);
void load_half_sets(const ParticleColumns& columns, ParticleTable& table);
void warn_of_ignored_columns(const ParticleColumns& columns, ParticleTable& table);

}  // namespace recon::io
