#pragma once
#include <array>
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

/// The tables of a particle STAR file and the rules by which a quantity is found in them.
class ParticleColumns {
 public:
  /// Finds the particle table and joins the optics table to it. Throws InputError.
  explicit ParticleColumns(const StarDocument& document);

  const StarLoop& particles() const { return *particles_; }
  const StarLoop* optics() const { return optics_; }
  bool has(std::string_view label) const { return particles_->column(label) >= 0 || optics_column(label) >= 0; }
  int optics_column(std::string_view label) const { return optics_ ? optics_->column(label) : -1; }
  /// Rows of the optics table that some particle uses, in order.
  const std::vector<int64_t>& used_optics_rows() const { return used_rows_; }
  /// Optics row of every particle; empty if there is no optics table.
  const std::vector<uint32_t>& optics_row() const { return optics_row_; }
  /// Warnings met while joining.
  std::vector<std::string> warnings;

  /// A finite number from a cell. Throws InputError naming line, label and value.
  double number(const StarLoop& loop, int64_t row, std::string_view label, std::string_view cell) const;
  /// The column as numbers, one a particle: from the particle table, else from the optics table by group. Empty if
  /// neither has it.
  std::vector<double> numbers(std::string_view label) const;
  /// Reads the given columns of the particle table in one pass over its text; numbers() then has them at hand, once.
  void prefetch(std::span<const std::string_view> labels);
  [[noreturn]] void refuse(const StarLoop& loop, int64_t row, std::string_view label, std::string_view value,
                           const std::string& problem, const std::string& repair) const;
  /// The same for a particle's value, wherever it stands: the line is the optics table's if the column is there.
  [[noreturn]] void refuse_value(int64_t particle, std::string_view label, double value, const std::string& problem,
                                 const std::string& repair) const;
  /// Throws the InputError for a column that must be there.
  [[noreturn]] void refuse_missing(std::string_view label, const std::string& why, const std::string& repair) const;
  const std::string& file() const { return file_; }

 private:
  void join_optics(const StarBlock& block);

  std::string file_;
  const StarLoop* particles_ = nullptr;
  const StarLoop* optics_ = nullptr;
  std::vector<uint32_t> optics_row_;
  std::vector<int64_t> used_rows_;
  mutable std::unordered_map<std::string_view, std::vector<double>> prefetched_;
};

/// Finds the stacks that image names point to, trying in order: as written, `datadir`, the STAR file's folder and its
/// parents up to a RELION project (a folder with default_pipeline.star), then the bare file name in datadir and in the
/// STAR file's folder. Throws MissingFiles (66) with all that are missing.
std::vector<std::string> resolve_image_paths(const std::vector<std::string>& written, const std::string& star_path,
                                             const std::string& datadir);

/// The number at the start of an image name `000012@stack.mrcs`, and the stack's name. False if it is no such name.
bool split_image_name(std::string_view name, int64_t& index_from_1, std::string_view& stack);

/// Fill the table's parts; each throws InputError.
void load_image_names(const ParticleColumns& columns, ParticleTable& table);
void load_poses(const ParticleColumns& columns, ParticleTable& table);
void load_ctf(const ParticleColumns& columns, const LoadOptions& options, ParticleTable& table);
void load_half_sets(const ParticleColumns& columns, ParticleTable& table);
void warn_of_ignored_columns(const ParticleColumns& columns, ParticleTable& table);

}  // namespace recon::io
