#include "io/particles.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "io/cs.h"
#include "io/error.h"
#include "io/finite.h"
#include "io/particle_columns.h"
#include "io/stack_pool.h"

namespace recon::io {
namespace {

/// Columns whose numbers are kept as they are while the particle table is read.
constexpr std::string_view kKept[] = {"_rlnRandomSubset", "_rlnMagnification", "_rlnDetectorPixelSize",
                                      "_rlnImagePixelSize"};

std::string shortest(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

/// The one value of a column that must be the same for all particles; 0 if the column is absent.
double common_value(const ParticleColumns& columns, const std::vector<double>& values, std::string_view label,
                    const char* what, const std::string& repair) {
  for (size_t i = 0; i < values.size(); ++i)
    if (!(std::abs(values[i] - values[0]) <= 1e-4 * std::abs(values[0])))
      columns.refuse_value(
          static_cast<int64_t>(i), label, values[i],
          std::string("particles of different ") + what + " (the first has " + shortest(values[0]) + ")", repair);
  return values.empty() ? 0 : values[0];
}

/// Å per pixel by the STAR file; 0 if it does not say.
double star_pixel_size(const ParticleColumns& columns) {
  std::string_view label = "_rlnImagePixelSize";
  std::vector<double> sizes = columns.numbers(label);
  if (sizes.empty() && columns.has("_rlnDetectorPixelSize") && columns.has("_rlnMagnification")) {
    label = "_rlnMagnification";
    sizes = columns.numbers("_rlnDetectorPixelSize");  // µm
    const std::vector<double> magnification = columns.numbers(label);
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (!(magnification[i] > 0))
        columns.refuse_value(static_cast<int64_t>(i), label, magnification[i], "a magnification must be positive",
                             "give --apix");
      sizes[i] = sizes[i] * 1e4 / magnification[i];
    }
  }
  const double size = common_value(columns, sizes, label, "pixel size", "rescale to one size, or give --apix");
  if (!sizes.empty() && !(std::isfinite(size) && size > 1e-3 && size < 1e4))
    columns.refuse_value(0, label, size, "not a pixel size in Angstrom", "give --apix");
  return size;
}

int star_side(const ParticleColumns& columns) {
  constexpr std::string_view label = "_rlnImageSize";
  const double dimensions = common_value(columns, columns.numbers("_rlnImageDimensionality"), "_rlnImageDimensionality",
                                         "dimensionality", "keep the 2-D images");
  if (dimensions != 0 && dimensions != 2)
    columns.refuse_value(0, "_rlnImageDimensionality", dimensions, "the particles are not 2-D images",
                         "project the subtomograms, or extract 2-D stacks");
  const double side = common_value(columns, columns.numbers(label), label, "box size", "rescale to one box size");
  if (columns.has(label) && !(side >= 1 && side <= 1e6 && side == std::floor(side)))
    columns.refuse_value(0, label, side, "not a box size in pixels", "correct it");
  return static_cast<int>(side);
}

/// Opens a stack of the table and checks that its images are squares of the table's side.
MrcHeader open_stack(ParticleTable& table, const std::string& path) {
  MrcHeader header = table.stacks->add(path);
  if (header.nx != header.ny)
    throw InputError({path, "byte 0", "NX, NY", std::to_string(header.nx) + " x " + std::to_string(header.ny),
                      "the images are not square", "extract square particles"});
  if (header.space_group > 230)
    throw InputError({path, "byte 88", "ISPG", std::to_string(header.space_group), "a stack of volumes, not of images",
                      "give the particle images"});
  if (table.side == 0) table.side = static_cast<int>(header.nx);
  if (header.nx != table.side)
    throw InputError({path, "byte 0", "NX", std::to_string(header.nx),
                      "the other particles have a box of " + std::to_string(table.side) + " pixels",
                      "rescale to one box size"});
  for (const std::string& warning : header.warnings)
    if (table.warnings.size() < 100) table.warnings.push_back(printable(path) + ": " + warning);
  return header;
}

}  // namespace

double open_stacks(const std::string& file, const std::string& field, const LoadOptions& options, ParticleTable& table,
                   const std::function<void(int64_t, int64_t)>& refuse) {
  table.stacks = std::make_shared<StackPool>(options.mrc);
  table.files = resolve_image_paths(table.files, file, options.datadir, field);
  std::vector<int64_t> sections;
  double pixel_size = 0;
  for (const std::string& path : table.files) {
    const MrcHeader header = open_stack(table, path);
    if (sections.empty()) pixel_size = header.pixel_size_angstrom;
    sections.push_back(header.nz);
  }
  for (size_t i = 0; i < table.images.size(); ++i)
    if (table.images[i].index >= sections[table.images[i].file])
      refuse(static_cast<int64_t>(i), sections[table.images[i].file]);
  return pixel_size;
}

void settle_pixel_size(const std::string& file, const LoadOptions& options, double by_file, double by_stack,
                       ParticleTable& table) {
  if (options.box_angstrom && table.side > 0) by_file = *options.box_angstrom / table.side;
  table.pixel_size_angstrom = options.pixel_size_angstrom.value_or(by_file > 0 ? by_file : by_stack);
  if (table.pixel_size_angstrom <= 0) {
    if (options.metadata_only) return;
    throw InputError(
        {.file = file, .problem = "no pixel size, neither here nor in the stack", .repair = "give --apix"});
  }
  if (options.pixel_size_angstrom) return;
  if (by_file <= 0) {
    if (!table.source.empty() || table.cs) table.warnings.push_back("the pixel size is taken from the stack's header");
    return;
  }
  // Many programs leave 1.0 in the stack's header: that says nothing.
  if (by_stack <= 0 || by_stack == 1) return;
  const double apart = std::abs(by_stack - by_file) / by_file;
  char text[96];
  std::snprintf(text, sizeof text, "the pixel size is %.6g A here and %.6g A in the stack's header", by_file, by_stack);
  if (apart > 0.1) throw InputError({.file = file, .problem = text, .repair = "say with --apix which is right"});
  if (apart > 0.01) table.warnings.push_back(text);
}

namespace {

ParticleTable load_stack(const std::string& path, const LoadOptions& options) {
  ParticleTable table;
  table.stacks = std::make_shared<StackPool>(options.mrc);
  table.files = {path};
  const MrcHeader header = open_stack(table, path);
  if (header.volume && !path.ends_with(".mrcs"))
    throw InputError({path, "byte 88", "ISPG", std::to_string(header.space_group), "a volume, not a stack of images",
                      "give the particle images, or rename the file to .mrcs if it is a stack"});
  for (int64_t i = 0; i < header.nz; ++i) table.images.push_back({0, static_cast<int32_t>(i)});
  settle_pixel_size(path, options, 0, header.pixel_size_angstrom, table);
  return table;
}

}  // namespace

ParticleTable load_particles(StarDocument document, const LoadOptions& options) {
  ParticleTable table;
  table.source = std::move(document);
  ParticleColumns columns(table.source);
  ImageNames names(columns, table);
  std::vector<ColumnFill> fills;
  plan_poses(columns, table, fills);
  plan_ctf(columns, options, table, fills);
  columns.read_rows(fills, kKept, [&](int64_t row, std::string_view name) { names.add(row, name); });
  table.side = star_side(columns);
  const double by_star = options.pixel_size_angstrom ? 0 : star_pixel_size(columns);
  double by_stack = 0;
  if (!options.metadata_only) {
    by_stack = open_stacks(columns.file(), "_rlnImageName", options, table, [&](int64_t particle, int64_t sections) {
      const ImageRef image = table.images[static_cast<size_t>(particle)];
      columns.refuse(columns.particles(), particle, "_rlnImageName",
                     std::to_string(image.index + 1) + "@" + table.files[image.file],
                     "the stack has only " + std::to_string(sections) + " images",
                     "check that the stack belongs to this file");
    });
  }
  settle_pixel_size(columns.file(), options, by_star, by_stack, table);
  finish_poses(columns, table);
  finish_ctf(columns, options, table);
  if (!options.alternate_halves) load_half_sets(columns, table);
  warn_of_ignored_columns(columns, table);
  table.warnings.insert(table.warnings.end(), columns.warnings.begin(), columns.warnings.end());
  return table;
}

namespace {

ParticleTable load_by_name(const std::string& path, const LoadOptions& options) {
  if (path.ends_with(".star")) return load_particles(StarDocument::parse(path), options);
  if (path.ends_with(".cs")) return load_cs_particles(read_cs(path), path, options);
  if (path.ends_with(".mrcs") || path.ends_with(".mrc") || path.ends_with(".st")) return load_stack(path, options);
  (void)FileSource(path);  // a file that is missing is reported as missing
  throw InputError(
      {.file = path, .problem = "not a particle file by its name", .repair = "give a .star, .cs or .mrcs file"});
}

}  // namespace

ParticleTable load_particles(const std::string& path, const LoadOptions& options) {
  const double given = options.pixel_size_angstrom.value_or(1);
  if (!(std::isfinite(given) && given > 1e-3 && given < 1e4))
    throw InputError({.field = "--apix",
                      .value = std::to_string(given),
                      .problem = "not a pixel size in Angstrom",
                      .repair = "give a number of Angstrom per pixel"},
                     usage);
  if (!options.passthrough.empty() && !path.ends_with(".cs"))
    throw InputError(
        {.file = path, .field = "--passthrough", .problem = "is for a cryoSPARC .cs file", .repair = "leave it out"},
        usage);
  LoadOptions adjusted = options;
  std::optional<CtfFile> ctf;
  if (!options.ctf.empty() && !options.ignore_ctf) {
    ctf = read_ctf_file(options.ctf);
    adjusted.allow_missing_ctf = adjusted.ignore_ctf = true;
    adjusted.box_angstrom = ctf->box_angstrom;
  }
  ParticleTable table = load_by_name(path, adjusted);
  if (ctf) apply_ctf_file(std::move(*ctf), options, table);
  if (!options.poses.empty()) apply_pose_file(options, table);
  if (options.subset.empty()) return table;
  const std::vector<int64_t> rows = read_subset(options.subset, table.size());
  return take_particles(std::move(table), rows);
}

std::optional<std::vector<double>> particle_column(const StarDocument& document, const std::string& label) {
  ParticleColumns columns(document);
  if (!columns.has(label)) return std::nullopt;
  const std::string_view wanted[] = {label};
  columns.read_rows({}, wanted, {});
  return columns.numbers(label);
}

namespace {

/// Reads one run of neighbours and checks its pixels.
void read_run(const ParticleTable& table, ImageRef first, int64_t count, std::span<float> out) {
  table.stacks->get(first.file).read_images(first.index, count, out);
  if (const int64_t bad = first_not_finite(out); bad >= 0) {
    const int64_t pixels = int64_t{table.side} * table.side;
    throw InputError({table.files[first.file], "image " + std::to_string(first.index + bad / pixels + 1), "pixel",
                      std::to_string(bad % pixels), "a NaN or an infinity",
                      "remove this image from the particle file"});
  }
}

/// image(i) for i < n: reads all, joining neighbours.
template <class Image>
void read_joined(const ParticleTable& table, int64_t n, Image image, std::span<float> out) {
  if (!table.stacks) throw std::logic_error("read_particles: the table was loaded without its images");
  const size_t pixels = size_t(table.side) * size_t(table.side);
  if (out.size() != static_cast<size_t>(n) * pixels)
    throw std::out_of_range("read_particles: wrong size of the output");
  for (int64_t i = 0; i < n;) {
    const ImageRef first = image(i);
    int64_t run = 1;
    while (i + run < n && image(i + run).file == first.file && image(i + run).index == first.index + run) ++run;
    read_run(table, first, run, out.subspan(static_cast<size_t>(i) * pixels, static_cast<size_t>(run) * pixels));
    i += run;
  }
}

}  // namespace

void read_particles(const ParticleTable& table, int64_t first, int64_t count, std::span<float> out) {
  if (first < 0 || count < 0 || first > table.size() || count > table.size() - first)
    throw std::out_of_range("read_particles: no such images");
  read_joined(
      table, count, [&](int64_t i) { return table.images[static_cast<size_t>(first + i)]; }, out);
}

void read_particles(const ParticleTable& table, std::span<const int64_t> which, std::span<float> out) {
  for (const int64_t image : which)
    if (image < 0 || image >= table.size()) throw std::out_of_range("read_particles: no such image");
  const auto image = [&](int64_t i) { return table.images[static_cast<size_t>(which[static_cast<size_t>(i)])]; };
  read_joined(table, static_cast<int64_t>(which.size()), image, out);
}

}  // namespace recon::io
