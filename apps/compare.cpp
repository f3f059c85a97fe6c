#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <unordered_map>

#include "apps/compare.h"
#include "engine/analyze/fsc.h"
#include "engine/analyze/statistics.h"
#include "engine/analyze/transform.h"
#include "io/npy.h"

namespace recon::apps {
namespace {

struct MapPair {
  io::Volume a, b;
};

MapPair read_maps(const std::string& a, const std::string& b) {
  MapPair maps{io::read_volume(a), io::read_volume(b)};
  if (maps.a.side != maps.b.side)
    throw io::InputError({.file = a,
                          .field = "NX",
                          .value = std::to_string(maps.a.side),
                          .problem = "another box than " + std::to_string(maps.b.side) + " of " + io::printable(b),
                          .repair = "bring the maps to one box and pixel size"});
  if (maps.a.side % 2 != 0)
    throw io::InputError({.file = a, .field = "NX", .value = std::to_string(maps.a.side), .problem = "an odd box"});
  return maps;
}

void warn_if_scales_differ(const MapPair& maps, bool json) {
  const double a = maps.a.pixel_size_angstrom, b = maps.b.pixel_size_angstrom;
  if (a > 0 && b > 0 && std::abs(a / b - 1) > 0.01)
    print_warning("the maps' pixel sizes differ by more than 1 %", json);
}

Json fsc_of(Device& device, MapPair& maps, const MaskOptions& options) {
  const auto mask = read_mask(options, maps.a.side);
  apply_mask(maps.a.data, mask);
  apply_mask(maps.b.data, mask);
  const auto curve = fourier_shell_correlation(device, maps.a.data, maps.b.data, maps.a.side);
  const double pixel_size = maps.b.pixel_size_angstrom > 0 ? maps.b.pixel_size_angstrom : maps.a.pixel_size_angstrom;
  return fsc_result(curve, maps.a.side, pixel_size);
}

/// NUMBER@NAME without folders: the same image in both files.
std::string image_key(const io::ParticleTable& table, int64_t row) {
  const io::ImageRef image = table.images[static_cast<size_t>(row)];
  const std::string& file = table.files[image.file];
  return std::to_string(image.index) + "@" + file.substr(file.rfind('/') + 1);
}

/// For each row of `a` the row of `b`: by image name where names are unique in b and all found, else row by row.
std::vector<int64_t> matched_rows(const io::ParticleTable& a, const io::ParticleTable& b, const std::string& b_path) {
  std::unordered_map<std::string, int64_t> row_of;
  for (int64_t i = 0; i < b.size(); ++i) row_of.emplace(image_key(b, i), i);
  std::vector<int64_t> rows;
  if (static_cast<int64_t>(row_of.size()) == b.size())
    for (int64_t i = 0; i < a.size(); ++i)
      if (const auto found = row_of.find(image_key(a, i)); found != row_of.end()) rows.push_back(found->second);
  if (static_cast<int64_t>(rows.size()) == a.size()) return rows;
  if (a.size() != b.size())
    throw io::InputError({.file = b_path,
                          .value = std::to_string(b.size()) + " rows",
                          .problem = "not the images of the other file (" + std::to_string(a.size()) + " rows)",
                          .repair = "give two files of the same particles"});
  rows.resize(static_cast<size_t>(a.size()));
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
  return rows;
}

PoseErrors pose_errors(const std::string& found, const std::string& truth,
                       const std::vector<std::string>& passthrough) {
  const PosePairs pairs = read_poses(found, truth, passthrough);
  return align_poses(pairs.rotations, pairs.truth, pairs.shifts, pairs.true_shifts);
}

Json poses_result(const PoseErrors& e) {
  return {{"rotation_error_squared_frobenius_median", e.squared_frobenius_median},
          {"rotation_error_degrees_median", e.degrees_median},
          {"within_5_degrees", e.within_5_degrees},
          {"within_10_degrees", e.within_10_degrees},
          {"translation_error_px_median", e.shift_median_raw_px},
          {"translation_error_px_median_origin_aligned", e.shift_median_px},
          {"alignment", alignment_result(e.alignment)}};
}

/// A column of numbers of the first table that has it.
std::vector<double> star_column(const std::string& path, const std::string& label) {
  if (label.empty()) throw UsageError("TRUTH is a .star file: give --column LABEL");
  const auto document = io::StarDocument::parse(path);
  for (const auto& block : document.blocks())
    for (const auto& loop : block.loops) {
      const int column = loop.column(label);
      if (column < 0) continue;
      std::vector<double> values;
      loop.for_each_row([&](int64_t row, auto cells) {
        const std::string cell(cells[static_cast<size_t>(column)]);
        char* end = nullptr;
        values.push_back(std::strtod(cell.c_str(), &end));
        if (cell.empty() || *end || !std::isfinite(values.back()))
          throw io::InputError({.file = path,
                                .where = "line " + std::to_string(loop.line(row)),
                                .field = label,
                                .value = cell,
                                .problem = "not a number"});
      });
      return values;
    }
  throw io::InputError({.file = path, .field = label, .problem = "no such column", .repair = "see the file's labels"});
}

std::vector<double> read_coordinate(const CompareLatentsOptions& options) {
  if (options.truth.ends_with(".star")) return star_column(options.truth, options.column);
  if (!options.column.empty()) throw UsageError("--column is for a .star file");
  return io::read_npy_rows<double>(options.truth, 1);
}

}  // namespace

Json alignment_result(const Alignment& alignment) {
  const EulerDegrees e = matrix_to_euler(alignment.rotation);
  return {{"flipped", alignment.flipped},
          {"rotation_euler_deg", {e.rot, e.tilt, e.psi}},
          {"rotation_matrix", alignment.rotation},
          {"offset_px", alignment.offset_px}};
}

std::vector<float> read_mask(const MaskOptions& options, int side) {
  if (options.mask.empty()) return {};
  char* end = nullptr;
  const double radius = std::strtod(options.mask.c_str(), &end);
  if (*end == '\0') {
    if (!(radius > 0)) throw UsageError("--mask: a radius above 0 is wanted");
    std::vector<float> sphere(static_cast<size_t>(int64_t{side} * side * side), 1.0f);
    apply_soft_sphere(sphere, side, radius, options.edge_px);
    return sphere;
  }
  io::Volume mask = io::read_volume(options.mask);
  if (mask.side != side)
    throw io::InputError({.file = options.mask,
                          .field = "NX",
                          .value = std::to_string(mask.side),
                          .problem = "another box than the maps' " + std::to_string(side)});
  return std::move(mask.data);
}

PosePairs read_poses(const std::string& found, const std::string& truth, const std::vector<std::string>& passthrough) {
  if (!passthrough.empty() && !found.ends_with(".cs") && !truth.ends_with(".cs"))
    throw UsageError("--passthrough is for a .cs file");
  io::ParticleTable tables[2];
  for (const int i : {0, 1}) {
    const std::string& path = i == 0 ? found : truth;
    tables[i] = io::load_particles(
        path, {.passthrough = path.ends_with(".cs") ? passthrough : std::vector<std::string>{}, .metadata_only = true});
    if (!tables[i].has_poses)
      throw io::InputError({.file = path, .field = "_rlnAngleRot", .problem = "the file has no poses"});
    if (tables[i].size() == 0) throw io::InputError({.file = path, .problem = "no particles"});
  }
  PosePairs pairs;
  pairs.true_rows = matched_rows(tables[0], tables[1], truth);
  const auto add = [](const io::ParticleTable& t, size_t row, std::vector<Matrix3>& r, std::vector<double>& s) {
    const auto& e = t.euler_deg[row];
    r.push_back(euler_to_matrix({e[0], e[1], e[2]}));
    s.insert(s.end(), t.shift_px[row].begin(), t.shift_px[row].end());
  };
  for (size_t i = 0; i < pairs.true_rows.size(); ++i) {
    add(tables[0], i, pairs.rotations, pairs.shifts);
    add(tables[1], static_cast<size_t>(pairs.true_rows[i]), pairs.truth, pairs.true_shifts);
  }
  return pairs;
}

int run_compare_fsc(const CompareFscOptions& options) {
  const auto device = open_device(options.common);
  MapPair maps = read_maps(options.maps[0], options.maps[1]);
  warn_if_scales_differ(maps, options.common.json);
  Json result = {{"a", options.maps[0]}, {"b", options.maps[1]}};
  const bool moved = options.align || !options.align_poses.empty();
  if (!moved && !options.aligned_output.empty()) throw UsageError("--aligned: give --align or --align-poses");
  if (moved) {
    const VolumeAlignment found =
        options.align ? align_volumes(*device, maps.a.data, maps.b.data, maps.a.side)
                      : refine_alignment(
                            *device, maps.a.data, maps.b.data, maps.a.side,
                            pose_errors(options.align_poses[0], options.align_poses[1], options.passthrough).alignment);
    maps.a.data = transform_volume(*device, maps.a.data, maps.a.side, found.alignment);
    result["alignment"] = alignment_result(found.alignment);
    if (!options.aligned_output.empty())
      io::write_volume(options.aligned_output, maps.a.data, maps.a.side, maps.b.pixel_size_angstrom);
  }
  result.update(fsc_of(*device, maps, options.mask));
  if (!options.output.empty())
    write_fsc_file(options.output, result["fsc"].get<std::vector<double>>(), maps.a.side,
                   maps.b.pixel_size_angstrom > 0 ? maps.b.pixel_size_angstrom : maps.a.pixel_size_angstrom);
  print_result(result, options.common.json);
  return io::ok;
}

int run_compare_poses(const ComparePosesOptions& options) {
  const auto device = open_device(options.common);
  const PoseErrors errors = pose_errors(options.stars[0], options.stars[1], options.passthrough);
  Json result = poses_result(errors);
  if (!options.maps.empty()) {
    MapPair maps = read_maps(options.maps[0], options.maps[1]);
    warn_if_scales_differ(maps, options.common.json);
    Alignment alignment = errors.alignment;
    if (options.refine) {
      alignment = refine_alignment(*device, maps.a.data, maps.b.data, maps.a.side, alignment).alignment;
      result["refined_alignment"] = alignment_result(alignment);
    }
    maps.a.data = transform_volume(*device, maps.a.data, maps.a.side, alignment);
    result["maps"] = fsc_of(*device, maps, options.mask);
  }
  print_result(result, options.common.json);
  return io::ok;
}

int run_compare_latents(const CompareLatentsOptions& options) {
  const bool folder = std::filesystem::is_directory(options.latents);
  const std::string path = folder ? options.latents + "/z.npy" : options.latents;
  const auto latents = io::read_npy_as<float>(path);
  const auto coordinate = read_coordinate(options);
  if (latents.shape.size() > 2 || latents.shape.empty() || latents.values.empty())
    throw io::InputError({.file = path, .field = "shape", .problem = "[images, dimensions] is wanted"});
  const int64_t dimension = latents.shape.size() == 2 ? latents.shape[1] : 1;
  if (latents.shape[0] != static_cast<int64_t>(coordinate.size()) || coordinate.size() < 2)
    throw io::InputError({.file = options.truth,
                          .value = std::to_string(coordinate.size()) + " values",
                          .problem = "not one for each of the " + std::to_string(latents.shape[0]) + " latents"});
  const LatentOrder order = latent_order(latents.values, static_cast<int>(dimension), coordinate);
  print_result({{"images", coordinate.size()},
                {"dimensions", dimension},
                {"spearman_first_component", order.principal},
                {"spearman_regression", order.regression}},
               options.common.json);
  return io::ok;
}

}  // namespace recon::apps
