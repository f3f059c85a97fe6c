#include <algorithm>
#include <cstdio>
#include <unordered_set>

#include "io/cs.h"
#include "io/particle_columns.h"
#include "io/particles.h"

namespace recon::io {
namespace {

std::string decimal(double value) {
  char text[352];
  std::snprintf(text, sizeof text, "%.6f", value);
  return text;
}

/// Replaces a column in every table of the document that has it.
void set_where_present(StarDocument& document, const char* label, const std::string& value) {
  for (StarBlock& block : document.blocks())
    for (StarLoop& loop : block.loops)
      if (loop.column(label) >= 0) loop.set_column(label, [value](int64_t, std::string_view) { return value; });
}

/// RELION 3.0 gives the pixel size as detector pixel (um) over magnification.
void set_magnification(StarDocument& document, double pixel_size_angstrom) {
  const ParticlePlace place = find_particle_table(document);
  StarLoop& loop = document.blocks()[place.block].loops[place.loop];
  auto detector = particle_column(document, "_rlnDetectorPixelSize");
  if (!detector || loop.column("_rlnMagnification") < 0) return;
  const auto sizes = std::make_shared<const std::vector<double>>(std::move(*detector));
  loop.set_column("_rlnMagnification", [sizes, pixel_size_angstrom](int64_t row, std::string_view) {
    return decimal((*sizes)[static_cast<size_t>(row)] * 1e4 / pixel_size_angstrom);
  });
}

/// Columns that set_star_version writes itself.
const std::unordered_set<std::string_view>& known_columns() {
  static const std::unordered_set<std::string_view> names = {"_rlnImageName",         "_rlnAngleRot",
                                                             "_rlnAngleTilt",         "_rlnAnglePsi",
                                                             "_rlnOriginX",           "_rlnOriginY",
                                                             "_rlnOriginXAngst",      "_rlnOriginYAngst",
                                                             "_rlnDefocusU",          "_rlnDefocusV",
                                                             "_rlnDefocusAngle",      "_rlnPhaseShift",
                                                             "_rlnCtfBfactor",        "_rlnCtfScalefactor",
                                                             "_rlnVoltage",           "_rlnSphericalAberration",
                                                             "_rlnAmplitudeContrast", "_rlnMagnification",
                                                             "_rlnDetectorPixelSize", "_rlnImagePixelSize",
                                                             "_rlnImageSize",         "_rlnImageDimensionality",
                                                             "_rlnOpticsGroup",       "_rlnOpticsGroupName",
                                                             "_rlnRandomSubset"};
  return names;
}

using OtherColumns = std::vector<std::pair<std::string, StarCells>>;

/// The columns of a document's particle table that are not among those, and then of its optics table.
OtherColumns other_columns(const StarDocument& document) {
  ParticleColumns columns(document);
  columns.read_rows({}, {}, {});
  const StarLoop& loop = columns.particles();
  OtherColumns others;
  std::vector<std::shared_ptr<std::vector<std::string>>> values;
  std::vector<size_t> places;
  for (size_t i = 0; i < loop.labels().size(); ++i) {
    if (known_columns().contains(loop.labels()[i])) continue;
    const auto cells = values.emplace_back(std::make_shared<std::vector<std::string>>());
    places.push_back(i);
    others.emplace_back(loop.labels()[i],
                        [cells](int64_t row, std::string_view) { return (*cells)[static_cast<size_t>(row)]; });
  }
  loop.for_each_row([&](int64_t, auto cells) {
    for (size_t i = 0; i < places.size(); ++i) values[i]->emplace_back(cells[places[i]]);
  });
  if (!columns.optics()) return others;
  const auto group = std::make_shared<const std::vector<uint32_t>>(columns.optics_row());
  for (const std::string& label : columns.optics()->labels()) {
    if (known_columns().contains(label) || loop.column(label) >= 0) continue;
    const auto cells = std::make_shared<std::vector<std::string>>(static_cast<size_t>(columns.optics()->rows()));
    columns.for_each_used_optics_row(
        label, [&](int64_t row, std::string_view cell) { (*cells)[static_cast<size_t>(row)] = cell; });
    others.emplace_back(
        label, [cells, group](int64_t row, std::string_view) { return (*cells)[(*group)[static_cast<size_t>(row)]]; });
  }
  return others;
}

}  // namespace

void set_pixel_size(ParticleTable& table, double pixel_size_angstrom) {
  table.pixel_size_angstrom = pixel_size_angstrom;
  if (!table.source.empty()) {
    set_where_present(table.source, "_rlnImagePixelSize", decimal(pixel_size_angstrom));
    set_magnification(table.source, pixel_size_angstrom);
  }
  if (!table.cs) return;
  CsTable cs = *table.cs;
  // Shifts without a pixel size of their own are in pixels of the images.
  if (cs.find("alignments3D/shift") && !cs.find("alignments3D/psize_A")) table.poses_replaced = true;
  cs.set_floats("blob/psize_A", {}, std::vector<double>(static_cast<size_t>(table.size()), pixel_size_angstrom));
  table.cs = std::make_shared<const CsTable>(std::move(cs));
}

void move_particles(ParticleTable& table, const std::string& stack, int side, double pixel_size_angstrom) {
  const double factor = table.pixel_size_angstrom / pixel_size_angstrom;
  for (auto& shift : table.shift_px)
    for (float& component : shift) component = static_cast<float>(component * factor);
  table.files = {stack};
  table.stacks.reset();
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < table.size(); ++i) {
    table.images[static_cast<size_t>(i)] = {0, static_cast<int32_t>(i)};
    numbers.push_back(i);
  }
  table.side = side;
  set_pixel_size(table, pixel_size_angstrom);
  if (!table.source.empty()) {
    set_where_present(table.source, "_rlnImageSize", std::to_string(side));
    const ParticlePlace place = find_particle_table(table.source);
    // Origins in pixels are written anew; those in Angstrom hold.
    if (table.source.blocks()[place.block].loops[place.loop].column("_rlnOriginX") >= 0)
      table.poses_replaced = table.has_poses;
  }
  if (!table.cs) return;
  CsTable cs = *table.cs;
  cs.set_texts("blob/path", std::vector<std::string>(numbers.size(), stack));
  cs.set_integers("blob/idx", {}, numbers);
  cs.set_integers("blob/shape", {2}, std::vector<int64_t>(2 * numbers.size(), side));
  table.cs = std::make_shared<const CsTable>(std::move(cs));
}

void set_star_version(ParticleTable& table, StarVersion version) {
  OtherColumns others;
  if (!table.source.empty()) {
    if ((table.source.find("optics") != nullptr) == (version == StarVersion::v3_1)) return;
    others = other_columns(table.source);
  }
  table.source = new_star_document(table, version);
  table.cs.reset();
  const ParticlePlace place = find_particle_table(table.source);
  StarLoop& loop = table.source.blocks()[place.block].loops[place.loop];
  for (auto& [label, cells] : others)
    if (loop.column(label) < 0) loop.set_column(label, std::move(cells));
  table.poses_replaced = table.has_poses;  // the new document has none yet
  table.ctf_replaced = false;
}

}  // namespace recon::io
