#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <unordered_map>

#include "io/cs.h"
#include "io/error.h"
#include "io/particle_columns.h"
#include "io/rotation.h"

// Particles out of a cryoSPARC table: which fields mean what.
namespace recon::io {
namespace {

/// A table and the name of its file, for messages.
struct CsSource {
  const CsTable& table;
  const std::string& file;

  [[noreturn]] void refuse(int64_t row, const std::string& field, const std::string& value, const std::string& problem,
                           const std::string& repair) const {
    throw InputError({file, "row " + std::to_string(row + 1), field, value, problem, repair});
  }
  /// A field of numbers with so many components; nullptr if there is none.
  const CsColumn* numbers(const std::string& name, int64_t components) const {
    const CsColumn* column = table.find(name);
    if (!column) return nullptr;
    if (column->components() != components || column->field.kind == 'S' || column->field.kind == 'V')
      throw InputError({.file = file,
                        .field = name,
                        .problem = "not " + std::to_string(components) + " numbers a row",
                        .repair = "give a .cs file that cryoSPARC wrote"});
    return column;
  }
  double finite(const CsColumn& column, int64_t row, int64_t component = 0) const {
    const double value = column.number(row, component);
    if (!std::isfinite(value))
      refuse(row, column.field.name, std::to_string(value), "not a finite number", "remove the particle");
    return value;
  }
  [[noreturn]] void missing(const std::string& field, const std::string& why) const {
    throw InputError({.file = file,
                      .field = field,
                      .problem = "the field is missing: " + why,
                      .repair = "join the file that holds it with --passthrough"});
  }
};

struct CsCtfField {
  const char* name;
  float Ctf::*member;
  bool needed;
  double low, high;
};
constexpr CsCtfField kCtf[] = {{"ctf/df1_A", &Ctf::defocus_u_angstrom, true, -1e6, 1e6},
                               {"ctf/df2_A", &Ctf::defocus_v_angstrom, true, -1e6, 1e6},
                               {"ctf/df_angle_rad", &Ctf::defocus_angle_rad, true, -1e4, 1e4},
                               {"ctf/accel_kv", &Ctf::voltage_kv, true, 10, 2000},
                               {"ctf/cs_mm", &Ctf::spherical_aberration_mm, true, -0.1, 20},
                               {"ctf/amp_contrast", &Ctf::amplitude_contrast, true, 0, 1},
                               {"ctf/phase_shift_rad", &Ctf::phase_shift_rad, false, -1e4, 1e4},
                               {"ctf/bfactor", &Ctf::b_factor_angstrom2, false, -1e5, 1e5},
                               {"ctf/scale", &Ctf::scale, false, 0, 1e6}};

void load_names(const CsSource& cs, ParticleTable& table) {
  const CsColumn* path = cs.table.find("blob/path");
  const CsColumn* index = cs.numbers("blob/idx", 1);
  if (!path || path->field.kind != 'S' || path->components() != 1)
    cs.missing("blob/path", "nothing says where the images are");
  if (!index) cs.missing("blob/idx", "nothing says which image of a stack a particle is");
  std::unordered_map<std::string_view, uint32_t> number_of;
  for (int64_t row = 0; row < cs.table.rows(); ++row) {
    std::string_view name = path->text(row);
    if (name.starts_with('>')) name.remove_prefix(1);  // marks imported files
    const double number = index->number(row);
    if (name.empty() || name.find('\0') != std::string_view::npos)
      cs.refuse(row, "blob/path", std::string(name), "not a path", "correct or remove the particle");
    if (!(number >= 0 && number < std::numeric_limits<int32_t>::max()))
      cs.refuse(row, "blob/idx", std::to_string(number), "not an image number from 0", "correct the number");
    const auto [found, fresh] = number_of.emplace(name, static_cast<uint32_t>(table.files.size()));
    if (fresh) table.files.emplace_back(name);
    table.images.push_back({found->second, static_cast<int32_t>(number)});
  }
}

/// The one value of a field that must be the same for all particles; 0 without the field.
double common(const CsSource& cs, const std::string& field, int64_t components, const char* what,
              const std::string& repair) {
  const CsColumn* column = cs.numbers(field, components);
  if (!column) return 0;
  const double first = cs.finite(*column, 0);
  for (int64_t row = 0; row < cs.table.rows(); ++row)
    for (int64_t i = 0; i < components; ++i)
      if (const double value = cs.finite(*column, row, i); std::abs(value - first) > 1e-4 * std::abs(first))
        cs.refuse(row, field, std::to_string(value),
                  std::string("another ") + what + " than the first particle's " + std::to_string(first), repair);
  return first;
}

void load_cs_ctf(const CsSource& cs, const LoadOptions& options, ParticleTable& table) {
  if (options.ignore_ctf) return;
  const std::map<std::string, std::optional<double>> given = {{"ctf/accel_kv", options.voltage_kv},
                                                              {"ctf/cs_mm", options.spherical_aberration_mm},
                                                              {"ctf/amp_contrast", options.amplitude_contrast}};
  if (!cs.table.find("ctf/df1_A") && options.allow_missing_ctf) return;
  table.ctf.resize(static_cast<size_t>(table.size()));
  for (const CsCtfField& field : kCtf) {
    const auto option = given.find(field.name);
    std::optional<double> value;
    if (option != given.end()) value = option->second;
    const CsColumn* column = cs.numbers(field.name, 1);
    if (!column && !value && field.needed) cs.missing(field.name, "the CTF is incomplete without it");
    if (!column && !value) continue;
    for (int64_t row = 0; row < table.size(); ++row) {
      const double number = value.has_value() ? value.value() : cs.finite(*column, row);
      if (!(number >= field.low && number <= field.high))
        cs.refuse(row, field.name, std::to_string(number), "out of range", "estimate the CTF again, or leave it out");
      table.ctf[static_cast<size_t>(row)].*field.member = static_cast<float>(number);
    }
  }
  table.has_ctf = true;
}

/// The fields of one particle's alignment: a group of fields, and the class in it.
struct Alignment {
  std::string group;
  int64_t classes = 1;  ///< pose, shift and posterior are arrays over so many
  const CsColumn *pose = nullptr, *shift = nullptr, *posterior = nullptr, *pixel = nullptr;
};

std::optional<Alignment> alignment_of(const CsSource& cs, const std::string& group, bool multiple) {
  const CsColumn* pose = cs.table.find(group + "/pose");
  if (!pose) return std::nullopt;
  Alignment found{.group = group, .classes = multiple ? pose->components() / 3 : 1};
  found.pose = cs.numbers(group + "/pose", 3 * std::max<int64_t>(1, found.classes));
  found.shift = cs.numbers(group + "/shift", 2 * found.classes);
  found.posterior = cs.numbers(group + "/class_posterior", found.classes);
  if (!found.shift) cs.missing(group + "/shift", "a pose needs a shift");
  if (multiple && !found.posterior) cs.missing(group + "/class_posterior", "nothing says which class is meant");
  if (const CsColumn* pixel = cs.table.find(group + "/psize_A"))
    found.pixel = cs.numbers(group + "/psize_A", pixel->components() == 1 ? 1 : found.classes);
  return found;
}

/// alignments3D, else the classes of a heterogeneous job, of which the most probable one counts.
std::vector<Alignment> alignments(const CsSource& cs) {
  if (auto one = alignment_of(cs, "alignments3D", false)) return {*one};
  if (auto many = alignment_of(cs, "alignments3D_multi", true)) return {*many};
  std::vector<Alignment> classes;
  for (int k = 0; k < 1000; ++k) {
    auto one = alignment_of(cs, "alignments_class_" + std::to_string(k), false);
    if (!one) break;
    if (!one->posterior) cs.missing(one->group + "/class_posterior", "nothing says which class is meant");
    classes.push_back(*one);
  }
  return classes;
}

void load_cs_poses(const CsSource& cs, ParticleTable& table) {
  const std::vector<Alignment> groups = alignments(cs);
  if (groups.empty()) return;
  const CsColumn* blob = cs.numbers("blob/psize_A", 1);
  table.has_poses = true;
  for (int64_t row = 0; row < table.size(); ++row) {
    const Alignment* best = &groups.front();
    int64_t of = 0;
    double most = -1;
    for (const Alignment& group : groups)
      for (int64_t k = 0; group.posterior && k < group.classes; ++k)
        if (const double p = cs.finite(*group.posterior, row, k); p > most) most = p, best = &group, of = k;
    std::array<double, 3> pose;
    for (int64_t i = 0; i < 3; ++i) pose[static_cast<size_t>(i)] = cs.finite(*best->pose, row, 3 * of + i);
    table.euler_deg.push_back(narrow(euler_of_matrix(matrix_of_cryosparc_pose(pose))));
    const CsColumn* pixel = best->pixel ? best->pixel : blob;
    // Shifts are pixels of the images that were aligned, which may have been binned.
    const double size = pixel ? cs.finite(*pixel, row, pixel->components() > 1 ? of : 0) : table.pixel_size_angstrom;
    if (!(size > 0) || !(table.pixel_size_angstrom > 0))
      cs.refuse(row, best->group + "/psize_A", std::to_string(size), "no pixel size to scale the shifts by",
                "join the file that holds it with --passthrough, or give --apix");
    const double scale = size / table.pixel_size_angstrom;
    std::array<double, 2> shift;
    for (int64_t i = 0; i < 2; ++i) {
      double& component = shift[static_cast<size_t>(i)];
      component = cs.finite(*best->shift, row, 2 * of + i) * scale;
      if (!(std::abs(component) <= kMostShift))
        cs.refuse(row, best->group + "/shift", std::to_string(component), "a shift lies between -1e6 and 1e6 pixels",
                  "remove the particle");
    }
    table.shift_px.push_back(narrow(shift));
  }
  warn_of_odd_poses(table);
}

void load_cs_halves(const CsSource& cs, ParticleTable& table) {
  const CsColumn* split = cs.numbers("alignments3D/split", 1);
  if (!split) return;
  bool both[2] = {false, false};
  for (int64_t row = 0; row < table.size(); ++row) {
    const double half = split->number(row);
    if (half != 0 && half != 1)
      cs.refuse(row, "alignments3D/split", std::to_string(half), "a half set is 0 or 1", "give --alternate-halves");
    both[static_cast<size_t>(half)] = true;
    table.half_set.push_back(1 + static_cast<int>(half));
  }
  table.has_half_sets = both[0] && both[1];
  if (!table.has_half_sets) table.half_set.clear();
}

void read_contrast(const CsSource& cs, ParticleTable& table) {
  const CsColumn* sign = cs.numbers("blob/sign", 1);
  if (!sign) return;
  const auto of = [&](int64_t row) { return sign->number(row) < 0 ? -1 : 1; };
  table.contrast_sign = of(0);
  for (int64_t row = 1; row < table.size(); ++row)
    if (of(row) != table.contrast_sign)
      cs.refuse(row, "blob/sign", std::to_string(sign->number(row)), "particles of both contrasts in one file",
                "invert one kind of them first");
}

void warn_of_ignored_fields(const CsSource& cs, ParticleTable& table) {
  std::string names;
  for (const char* name : {"ctf/shift_A", "ctf/tilt_A", "ctf/trefoil_A", "ctf/tetra_A", "ctf/anisomag"}) {
    const CsColumn* column = cs.table.find(name);
    bool any = false;
    for (int64_t row = 0; column && row < cs.table.rows() && !any; ++row)
      for (int64_t i = 0; i < column->components(); ++i) any = any || std::abs(column->number(row, i)) > 1e-9;
    if (any) names.append(names.empty() ? "" : ", ").append(name);
  }
  if (!names.empty()) table.warnings.push_back("higher-order aberrations are ignored: " + names);
}

}  // namespace

ParticleTable load_cs_particles(CsTable read, const std::string& path, const LoadOptions& options) {
  for (const std::string& other : options.passthrough) read.join(read_cs(other), path, other);
  if (read.rows() == 0)
    throw InputError({.file = path, .problem = "the table has no rows", .repair = "give a file with particles"});
  ParticleTable table;
  table.cs = std::make_shared<const CsTable>(std::move(read));
  const CsSource cs{*table.cs, path};
  load_names(cs, table);
  const double side = common(cs, "blob/shape", 2, "box size", "rescale to one box size");
  if (side < 0 || side > 1e6) cs.refuse(0, "blob/shape", std::to_string(side), "not a box size", "correct it");
  table.side = static_cast<int>(side);
  const double by_file =
      options.pixel_size_angstrom ? 0 : common(cs, "blob/psize_A", 1, "pixel size", "rescale to one, or give --apix");
  double by_stack = 0;
  if (!options.metadata_only)
    by_stack = open_stacks(path, "blob/path", options, table, [&](int64_t row, int64_t sections) {
      cs.refuse(row, "blob/idx", std::to_string(table.images[static_cast<size_t>(row)].index),
                "the stack has only " + std::to_string(sections) + " images, counted from 0",
                "check that the stack belongs to this file");
    });
  settle_pixel_size(path, options, by_file, by_stack, table);
  load_cs_poses(cs, table);
  load_cs_ctf(cs, options, table);
  if (!options.alternate_halves) load_cs_halves(cs, table);
  read_contrast(cs, table);
  warn_of_ignored_fields(cs, table);
  return table;
}

}  // namespace recon::io
