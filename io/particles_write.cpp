#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <tuple>

#include "io/atomic_file.h"
#include "io/error.h"
#include "io/particle_columns.h"
#include "io/particles.h"

namespace recon::io {
namespace {

constexpr double kDegreesPerRadian = 57.295779513082320877;

std::string fixed(double value) {
  if (!std::isfinite(value)) throw std::invalid_argument("a STAR file gets finite numbers only");
  char text[352];  // the longest double in fixed notation
  return {text, std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, 6).ptr};
}

/// The shortest text that reads as the same number again.
std::string shortest(float value) {
  if (!std::isfinite(value)) throw std::invalid_argument("a STAR file gets finite numbers only");
  char text[64];
  return {text, std::to_chars(text, text + sizeof text, value, std::chars_format::fixed).ptr};
}

std::string general(double value) {
  if (!std::isfinite(value)) throw std::invalid_argument("a STAR file gets finite numbers only");
  char text[40];
  return {text, std::to_chars(text, text + sizeof text, value, std::chars_format::general, 9).ptr};
}

/// Refuses what shortest() would, before a file is begun.
template <size_t n>
void check_finite(std::span<const std::array<float, n>> rows) {
  for (const auto& row : rows)
    for (const float value : row)
      if (!std::isfinite(value)) throw std::invalid_argument("a STAR file gets finite numbers only");
}

/// One component of the poses as a column.
template <size_t n>
StarCells component(std::span<const std::array<float, n>> rows, size_t axis, double scale = 1) {
  return [=](int64_t row, std::string_view) {
    return shortest(static_cast<float>(rows[static_cast<size_t>(row)][axis] * scale));
  };
}

void check_sizes(int64_t n, std::span<const EulerDeg> euler_deg, std::span<const ShiftPx> shift_px) {
  if (static_cast<int64_t>(euler_deg.size()) != n || static_cast<int64_t>(shift_px.size()) != n)
    throw std::invalid_argument("one pose and one shift a particle are needed");
  check_finite(euler_deg);
  check_finite(shift_px);
}

StarLoop& particle_loop(StarDocument& document) {
  const ParticlePlace place = find_particle_table(document);
  return document.blocks()[place.block].loops[place.loop];
}

/// Image names that are found from wherever the file will lie: as written where they were found under the current
/// folder (a RELION project's way) or are absolute, else with the absolute path of the stack that was found.
class FindableNames {
 public:
  explicit FindableNames(const ParticleTable& table) : table_(table) {
    for (const std::string& file : table.files) absolute_.push_back(std::filesystem::absolute(file).string());
  }
  std::string operator()(int64_t row, std::string_view name) const {
    const ImageRef image = table_.images[static_cast<size_t>(row)];
    int64_t index = 0;
    std::string_view stack;
    const bool known = split_image_name(name, index, stack) && index == int64_t{image.index} + 1;
    if (known && stack == table_.files[image.file]) return std::string(name);
    return (known ? std::string(name.substr(0, name.find('@') + 1)) : std::to_string(image.index + 1) + "@") +
           absolute_[image.file];
  }

 private:
  const ParticleTable& table_;
  std::vector<std::string> absolute_;
};

void make_names_findable(StarLoop& loop, const ParticleTable& table) {
  const FindableNames names(table);
  const auto column = static_cast<size_t>(loop.column("_rlnImageName"));
  StarRows rows(loop);
  bool changed = false;
  for (int64_t row = 0; !changed && rows.next(); ++row) {
    const std::string_view name = rows.cells()[column];
    changed = names(row, name) != name;
  }
  if (changed) loop.set_column("_rlnImageName", names);
}

/// Angles and origins of a particle table, in the units that its file has.
void set_poses(StarLoop& loop, bool modern, const ParticleTable& table, std::span<const EulerDeg> euler_deg,
               std::span<const ShiftPx> shift_px) {
  const char* angles[] = {"_rlnAngleRot", "_rlnAngleTilt", "_rlnAnglePsi"};
  for (size_t axis = 0; axis < 3; ++axis) loop.set_column(angles[axis], component(euler_deg, axis));
  if (modern && !(table.pixel_size_angstrom > 0))
    throw std::invalid_argument("write_particles_star: origins in Angstrom need a pixel size");
  const char* angstrom[] = {"_rlnOriginXAngst", "_rlnOriginYAngst"};
  const char* pixel[] = {"_rlnOriginX", "_rlnOriginY"};
  for (size_t axis = 0; axis < 2; ++axis) {
    // A file that has both kinds keeps both, and they agree.
    if (modern || loop.column(angstrom[axis]) >= 0)
      loop.set_column(angstrom[axis], component(shift_px, axis, table.pixel_size_angstrom));
    if (!modern || loop.column(pixel[axis]) >= 0) loop.set_column(pixel[axis], component(shift_px, axis));
  }
}

/// A new 3.1 file, put together row by row.
class SimpleStar {
 public:
  /// `microscope`: with voltage, Cs and amplitude contrast in the optics table.
  SimpleStar(int side, double pixel_size_angstrom, bool microscope)
      : side_(side), pixel_size_angstrom_(pixel_size_angstrom), microscope_(microscope) {
    if (side < 1 || !(std::isfinite(pixel_size_angstrom) && pixel_size_angstrom > 0))
      throw std::invalid_argument("a STAR file needs a box size and a pixel size");
  }

  /// Number of the optics group of these microscope values, from 1.
  int group_of(const Ctf& ctf) {
    const auto key = std::tuple(ctf.voltage_kv, ctf.spherical_aberration_mm, ctf.amplitude_contrast);
    const auto [found, fresh] = groups_.emplace(key, static_cast<int>(groups_.size()) + 1);
    if (fresh) {
      const std::string number = std::to_string(found->second), size = fixed(pixel_size_angstrom_);
      optics_ += "opticsGroup" + number + " " + number + " " + size + " ";
      if (microscope_)
        optics_ += general(ctf.voltage_kv) + " " + general(ctf.spherical_aberration_mm) + " " +
                   general(ctf.amplitude_contrast) + " ";
      optics_ += size + " " + std::to_string(side_) + " 2\n";
    }
    return found->second;
  }

  void label(const std::string& name) { labels_ += "_" + name + " #" + std::to_string(++columns_) + "\n"; }
  void cell(const std::string& text) { rows_ += text + " "; }
  void end_row() { rows_.back() = '\n'; }

  std::string text() const {
    std::string text = "\n# version 30001\n\ndata_optics\n\nloop_\n";
    std::vector<std::string> names = {"OpticsGroupName", "OpticsGroup", "MicrographOriginalPixelSize"};
    if (microscope_) names.insert(names.end(), {"Voltage", "SphericalAberration", "AmplitudeContrast"});
    names.insert(names.end(), {"ImagePixelSize", "ImageSize", "ImageDimensionality"});
    int number = 0;
    for (const std::string& name : names) text += "_rln" + name + " #" + std::to_string(++number) + "\n";
    return text + optics_ + "\n\n# version 30001\n\ndata_particles\n\nloop_\n" + labels_ + rows_ + "\n";
  }

 private:
  int side_;
  double pixel_size_angstrom_;
  bool microscope_;
  std::map<std::tuple<float, float, float>, int> groups_;
  std::string optics_, labels_, rows_;
  int columns_ = 0;
};

void add_ctf_cells(SimpleStar& star, const Ctf& ctf) {
  star.cell(fixed(ctf.defocus_u_angstrom));
  star.cell(fixed(ctf.defocus_v_angstrom));
  star.cell(fixed(ctf.defocus_angle_rad * kDegreesPerRadian));
  star.cell(fixed(ctf.phase_shift_rad * kDegreesPerRadian));
  star.cell(fixed(ctf.b_factor_angstrom2));
  star.cell(fixed(ctf.scale));
}

/// CTF columns of a particle table, and of the optics table where it has the same for all particles.
void set_ctf_columns(StarLoop& loop, StarBlock* optics, const std::vector<Ctf>& ctf) {
  const auto set = [&](const char* label, const auto& value) {
    const std::string first = fixed(value(ctf.front()));
    const bool same =
        std::all_of(ctf.begin(), ctf.end(), [&](const Ctf& one) { return value(one) == value(ctf.front()); });
    for (size_t i = 0; optics && same && i < optics->loops.size(); ++i)
      if (StarLoop& shared = optics->loops[i]; shared.column(label) >= 0)
        shared.set_column(label, [first](int64_t, std::string_view) { return first; });
    loop.set_column(
        label, [&ctf, value](int64_t row, std::string_view) { return fixed(value(ctf[static_cast<size_t>(row)])); });
  };
  set("_rlnDefocusU", [](const Ctf& c) { return c.defocus_u_angstrom; });
  set("_rlnDefocusV", [](const Ctf& c) { return c.defocus_v_angstrom; });
  set("_rlnDefocusAngle", [](const Ctf& c) { return c.defocus_angle_rad * kDegreesPerRadian; });
  set("_rlnPhaseShift", [](const Ctf& c) { return c.phase_shift_rad * kDegreesPerRadian; });
  set("_rlnVoltage", [](const Ctf& c) { return c.voltage_kv; });
  set("_rlnSphericalAberration", [](const Ctf& c) { return c.spherical_aberration_mm; });
  set("_rlnAmplitudeContrast", [](const Ctf& c) { return c.amplitude_contrast; });
}

/// Columns of a new file; empty ones are left out.
struct NewRows {
  std::vector<std::string> names;  ///< images
  std::span<const EulerDeg> euler_deg = {};
  std::span<const ShiftPx> shift_px = {};
  std::span<const Ctf> ctf = {};
  std::span<const int> half_set = {};
};

std::string new_star(const NewRows& rows, int side, double pixel_size_angstrom, bool microscope) {
  SimpleStar star(side, pixel_size_angstrom, microscope);
  star.label("rlnImageName");
  const auto labels = [&](bool wanted, std::initializer_list<const char*> names) {
    for (const char* name : names)
      if (wanted) star.label(name);
  };
  labels(!rows.euler_deg.empty(), {"rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"});
  labels(!rows.shift_px.empty(), {"rlnOriginXAngst", "rlnOriginYAngst"});
  labels(!rows.ctf.empty(),
         {"rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift", "rlnCtfBfactor", "rlnCtfScalefactor"});
  labels(true, {"rlnOpticsGroup"});
  labels(!rows.half_set.empty(), {"rlnRandomSubset"});
  for (size_t i = 0; i < rows.names.size(); ++i) {
    star.cell(star_quote(rows.names[i]));
    if (!rows.euler_deg.empty())
      for (const float angle : rows.euler_deg[i]) star.cell(shortest(angle));
    if (!rows.shift_px.empty())
      for (const float shift : rows.shift_px[i]) star.cell(shortest(static_cast<float>(shift * pixel_size_angstrom)));
    if (!rows.ctf.empty()) add_ctf_cells(star, rows.ctf[i]);
    star.cell(std::to_string(star.group_of(rows.ctf.empty() ? Ctf{} : rows.ctf[i])));
    if (!rows.half_set.empty()) star.cell(std::to_string(rows.half_set[i]));
    star.end_row();
  }
  return star.text();
}

/// The same in the form of RELION 3.0: one table, and a pixel size that is given as detector pixel and magnification.
std::string old_star(const NewRows& rows, double pixel_size_angstrom) {
  if (!(pixel_size_angstrom > 0)) throw std::invalid_argument("a STAR file needs a pixel size");
  std::string text = "\ndata_\n\nloop_\n";
  int number = 0;
  const auto label = [&](bool wanted, std::initializer_list<const char*> names) {
    for (const char* name : names)
      if (wanted) text += std::string("_") + name + " #" + std::to_string(++number) + "\n";
  };
  label(true, {"rlnImageName", "rlnMagnification", "rlnDetectorPixelSize"});
  label(!rows.ctf.empty(), {"rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnDefocusU",
                            "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift", "rlnCtfBfactor", "rlnCtfScalefactor"});
  label(!rows.half_set.empty(), {"rlnRandomSubset"});
  for (size_t i = 0; i < rows.names.size(); ++i) {
    text += star_quote(rows.names[i]) + " 10000.000000 " + fixed(pixel_size_angstrom);  // um = A * 10000 / 1e4
    if (!rows.ctf.empty()) {
      const Ctf& c = rows.ctf[i];
      for (const float value : {c.voltage_kv, c.spherical_aberration_mm, c.amplitude_contrast})
        text.append(" ").append(general(value));
      for (const double value :
           {double(c.defocus_u_angstrom), double(c.defocus_v_angstrom), c.defocus_angle_rad * kDegreesPerRadian,
            c.phase_shift_rad * kDegreesPerRadian, double(c.b_factor_angstrom2), double(c.scale)})
        text.append(" ").append(fixed(value));
    }
    if (!rows.half_set.empty()) text.append(" ").append(std::to_string(rows.half_set[i]));
    text += "\n";
  }
  return text;
}

/// The document to write a table into: its own, or a new one with what is known of particles without one.
StarDocument document_of(const ParticleTable& table) {
  return table.source.empty() ? new_star_document(table, StarVersion::v3_1) : table.source;
}

}  // namespace

StarDocument new_star_document(const ParticleTable& table, StarVersion version) {
  NewRows rows{.names = {}, .ctf = table.ctf, .half_set = table.half_set};
  for (const ImageRef& image : table.images)
    rows.names.push_back(std::to_string(image.index + 1) + "@" + table.files[image.file]);
  const std::string text = version == StarVersion::v3_0
                               ? old_star(rows, table.pixel_size_angstrom)
                               : new_star(rows, table.side, table.pixel_size_angstrom, table.has_ctf);
  return StarDocument::parse_text(text, "particles");
}

void write_particles_star(const std::string& path, const ParticleTable& table, std::span<const EulerDeg> euler_deg,
                          std::span<const ShiftPx> shift_px, const std::vector<ExtraColumn>& extra_columns) {
  if (!euler_deg.empty() || !shift_px.empty()) check_sizes(table.size(), euler_deg, shift_px);
  StarDocument document = document_of(table);
  StarLoop& loop = particle_loop(document);
  make_names_findable(loop, table);
  if (!euler_deg.empty()) set_poses(loop, document.find("optics") != nullptr, table, euler_deg, shift_px);
  if (table.ctf_replaced && !table.source.empty()) set_ctf_columns(loop, document.find("optics"), table.ctf);
  for (const auto& [label, values] : extra_columns) {
    if (static_cast<int64_t>(values.size()) != table.size())
      throw std::invalid_argument("write_particles_star: one value a particle");
    loop.set_column(
        label, [&values = values](int64_t row, std::string_view) { return general(values[static_cast<size_t>(row)]); });
  }
  document.write(path);
}

void write_particles(const std::string& path, const ParticleTable& table,
                     const std::vector<ExtraColumn>& extra_columns) {
  const bool star = path.ends_with(".star");
  if (!star && !path.ends_with(".cs"))
    throw InputError(
        {.file = path, .problem = "not a particle file by its name", .repair = "write to a .star or .cs file"}, usage);
  const bool as_they_are = !table.poses_replaced && (star ? !table.source.empty() : table.cs != nullptr);
  const bool none = as_they_are || !table.has_poses;
  const std::span<const EulerDeg> euler = none ? decltype(euler){} : table.euler_deg;
  const std::span<const ShiftPx> shift = none ? decltype(shift){} : table.shift_px;
  if (star) return write_particles_star(path, table, euler, shift, extra_columns);
  std::vector<ExtraColumn> fields = extra_columns;
  for (auto& [label, values] : fields)
    if (label.starts_with("_cdrgnZ")) label = "cdrgn/z" + label.substr(7);
  write_particles_cs(path, table, euler, shift, fields);
}

void write_simple_star(const std::string& path, const std::string& stack_name, int64_t n, int side,
                       double pixel_size_angstrom, std::span<const EulerDeg> euler_deg,
                       std::span<const ShiftPx> shift_px, std::span<const Ctf> ctf, std::span<const int> half_set) {
  const auto fits = [&](size_t size) { return size == 0 || static_cast<int64_t>(size) == n; };
  if (n < 1 || !fits(euler_deg.size()) || !fits(shift_px.size()) || !fits(ctf.size()) || !fits(half_set.size()))
    throw std::invalid_argument("write_simple_star: one entry a particle, or none");
  NewRows rows{.names = {}, .euler_deg = euler_deg, .shift_px = shift_px, .ctf = ctf, .half_set = half_set};
  for (int64_t i = 1; i <= n; ++i) {
    char number[24];
    std::snprintf(number, sizeof number, "%06lld", static_cast<long long>(i));
    rows.names.push_back(number + ("@" + stack_name));
  }
  write_file(path, new_star(rows, side, pixel_size_angstrom, true), "star");
}

}  // namespace recon::io
