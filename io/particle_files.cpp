#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <sstream>
#include <stdexcept>

#include "io/byte_source.h"
#include "io/cs.h"
#include "io/error.h"
#include "io/npy.h"
#include "io/npy_header.h"
#include "io/particle_columns.h"
#include "io/pickle.h"
#include "io/rotation.h"

// Poses, CTF and choice of images that stand in files of their own, one row an image: cryoDRGN's pickles and .npy.
namespace recon::io {
namespace {

constexpr double kNoRotation = 1e-3;  // what float32 matrices of other programs stay well below

std::string shape_text(const NpyArray& array) {
  std::string text;
  for (const int64_t n : array.shape) text += (text.empty() ? "" : ", ") + std::to_string(n);
  return "(" + text + ")";
}

/// The arrays of the first pickle, or of the .npy file.
std::vector<NpyArray> read_arrays(const std::string& path) {
  if (path.ends_with(".npy")) return {read_npy(path)};
  return read_pickles(path).front();
}

std::vector<double> numbers_of(const NpyArray& array, const std::string& file) {
  std::vector<double> values = npy_values(array, file);
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      throw InputError({.file = file,
                        .where = "element " + std::to_string(i),
                        .problem = "a NaN or an infinity",
                        .repair = "remove that image, or correct the value"});
  return values;
}

[[noreturn]] void refuse_shape(const std::string& file, const NpyArray& array, const std::string& wanted) {
  throw InputError({.file = file,
                    .field = "shape",
                    .value = shape_text(array),
                    .problem = wanted + " is wanted",
                    .repair = "give a file that cryoDRGN or this program wrote for these images"});
}

void check_count(const std::string& file, int64_t rows, int64_t images, const char* what) {
  if (rows == images) return;
  throw InputError(
      {.file = file,
       .value = std::to_string(rows) + " rows",
       .problem = std::string("not one ") + what + " for each of the " + std::to_string(images) + " images",
       .repair = "give the file made from the same images, before any selection (--ind selects after)"});
}

void set_pose_matrices(const std::string& file, const std::vector<NpyArray>& arrays, ParticleTable& table) {
  const NpyArray& rotations = arrays.front();
  if (rotations.shape.size() != 3 || rotations.shape[1] != 3 || rotations.shape[2] != 3)
    refuse_shape(file, rotations, "rotations [images, 3, 3]");
  check_count(file, rotations.shape[0], table.size(), "rotation");
  const std::vector<double> values = numbers_of(rotations, file);
  std::vector<double> shifts(2 * static_cast<size_t>(table.size()), 0.0);
  if (arrays.size() > 1) {
    if (arrays[1].shape.size() != 2 || arrays[1].shape[1] != 2)
      refuse_shape(file, arrays[1], "translations [images, 2]");
    check_count(file, arrays[1].shape[0], table.size(), "translation");
    shifts = numbers_of(arrays[1], file);
    if (std::any_of(shifts.begin(), shifts.end(), [](double t) { return std::abs(t) > 1; }))
      throw InputError({.file = file,
                        .problem = "translations beyond a whole box: they are fractions of the box, not pixels",
                        .repair = "divide them by the box size in pixels"});
  }
  for (size_t i = 0; i < static_cast<size_t>(table.size()); ++i) {
    RotationMatrix matrix;
    std::copy_n(values.begin() + static_cast<int64_t>(9 * i), 9, matrix.begin());
    if (distance_from_rotation(matrix) > kNoRotation)
      throw InputError({.file = file,
                        .where = "row " + std::to_string(i + 1),
                        .problem = "not a rotation matrix",
                        .repair = "export the poses again"});
    table.euler_deg.push_back(narrow(euler_of_matrix(matrix)));
    table.shift_px.push_back(narrow(std::array{shifts[2 * i] * table.side, shifts[2 * i + 1] * table.side}));
  }
}

/// Rows of rot, tilt, psi (degrees) and x, y (pixels), as this program writes poses to .npy.
void set_pose_rows(const std::string& file, const NpyArray& rows, ParticleTable& table) {
  check_count(file, rows.shape[0], table.size(), "pose");
  const std::vector<double> values = numbers_of(rows, file);
  for (size_t i = 0; i < values.size(); i += 5) {
    if (const auto far = std::find_if(&values[i], &values[i] + 5, [](double v) { return std::abs(v) > kMostShift; });
        far != &values[i] + 5)
      throw InputError({.file = file,
                        .where = "row " + std::to_string(i / 5 + 1),
                        .value = std::to_string(*far),
                        .problem = "an angle in degrees or a shift in pixels is beyond 1e6",
                        .repair = "remove that image, or correct the value"});
    table.euler_deg.push_back(narrow(std::array{values[i], values[i + 1], values[i + 2]}));
    table.shift_px.push_back(narrow(std::array{values[i + 3], values[i + 4]}));
  }
}

void set_poses_of(const LoadOptions& options, ParticleTable& table) {
  LoadOptions metadata;
  metadata.pixel_size_angstrom =
      table.pixel_size_angstrom > 0 ? std::optional(table.pixel_size_angstrom) : std::nullopt;
  metadata.metadata_only = metadata.ignore_ctf = true;
  ParticleTable other = load_particles(options.poses, metadata);
  check_count(options.poses, other.size(), table.size(), "pose");
  if (!other.has_poses)
    throw InputError({.file = options.poses,
                      .field = options.poses.ends_with(".cs") ? "alignments3D/pose" : "_rlnAngleRot",
                      .problem = "the file has no poses",
                      .repair = "give a file with poses"});
  table.euler_deg = std::move(other.euler_deg);
  table.shift_px = std::move(other.shift_px);
}

}  // namespace

void apply_pose_file(const LoadOptions& options, ParticleTable& table) {
  table.euler_deg = std::vector<EulerDeg>();  // the memory is given back before the other file is read
  table.shift_px = std::vector<ShiftPx>();
  if (options.poses.ends_with(".star") || options.poses.ends_with(".cs")) {
    set_poses_of(options, table);
  } else {
    const std::vector<NpyArray> arrays = read_arrays(options.poses);
    const NpyArray& first = arrays.front();
    if (arrays.size() == 1 && first.shape.size() == 2 && first.shape[1] == 5)
      set_pose_rows(options.poses, first, table);
    else
      set_pose_matrices(options.poses, arrays, table);
  }
  table.has_poses = table.poses_replaced = true;
  warn_of_odd_poses(table);
}

CtfFile read_ctf_file(const std::string& path) {
  const std::vector<NpyArray> arrays = read_arrays(path);
  const NpyArray& rows = arrays.front();
  if (arrays.size() != 1 || rows.shape.size() != 2 || rows.shape[1] != 9 || rows.shape[0] < 1)
    refuse_shape(path, rows, "CTF rows [images, 9]");
  const std::vector<double> values = numbers_of(rows, path);
  CtfFile file{.file = path, .box_angstrom = values[0] * values[1], .ctf = {}};
  constexpr double low[] = {1, 1e-3, -1e6, -1e6, -1e4, 10, -0.1, 0, -1e4};
  constexpr double high[] = {1e6, 1e4, 1e6, 1e6, 1e4, 2000, 20, 1, 1e4};
  constexpr const char* names[] = {"box",          "pixel size", "defocus U",          "defocus V",  "defocus angle",
                                   "voltage (kV)", "Cs (mm)",    "amplitude contrast", "phase shift"};
  for (size_t i = 0; i < values.size(); i += 9) {
    const double* row = &values[i];
    for (size_t j = 0; j < 9; ++j) {
      const bool same = j > 1 || std::abs(row[j] - values[j]) <= 1e-4 * std::abs(values[j]);
      if (!(row[j] >= low[j] && row[j] <= high[j]) || !same)
        throw InputError({path, "row " + std::to_string(i / 9 + 1), names[j], std::to_string(row[j]),
                          same ? "out of range" : "differs from the first row's",
                          "make the file again with cryoDRGN's parse_ctf tools"});
    }
    file.ctf.push_back({.defocus_u_angstrom = static_cast<float>(row[2]),
                        .defocus_v_angstrom = static_cast<float>(row[3]),
                        .defocus_angle_rad = static_cast<float>(row[4] * std::numbers::pi / 180),
                        .voltage_kv = static_cast<float>(row[5]),
                        .spherical_aberration_mm = static_cast<float>(row[6]),
                        .amplitude_contrast = static_cast<float>(row[7]),
                        .phase_shift_rad = static_cast<float>(row[8] * std::numbers::pi / 180)});
  }
  return file;
}

void apply_ctf_file(CtfFile file, const LoadOptions& options, ParticleTable& table) {
  check_count(file.file, static_cast<int64_t>(file.ctf.size()), table.size(), "CTF");
  for (Ctf& ctf : file.ctf) {
    ctf.voltage_kv = static_cast<float>(options.voltage_kv.value_or(ctf.voltage_kv));
    ctf.spherical_aberration_mm =
        static_cast<float>(options.spherical_aberration_mm.value_or(ctf.spherical_aberration_mm));
    ctf.amplitude_contrast = static_cast<float>(options.amplitude_contrast.value_or(ctf.amplitude_contrast));
  }
  table.ctf = std::move(file.ctf);
  table.has_ctf = table.ctf_replaced = true;
}

namespace {

/// Rows to keep, each once.
class Subset {
 public:
  Subset(const std::string& file, int64_t count) : file_(file), seen_(static_cast<size_t>(count), false) {}

  /// `value` as the file has it, counted from `first`.
  void add(const std::string& where, int64_t value, int64_t first) {
    const auto count = static_cast<int64_t>(seen_.size());
    const bool there = value >= first && value - first < count;
    if (!there || seen_[static_cast<size_t>(value - first)])
      throw InputError({.file = file_,
                        .where = where,
                        .value = std::to_string(value),
                        .problem = there ? "the image stands here twice"
                                         : "not one of the " + std::to_string(count) + " images, counted from " +
                                               std::to_string(first),
                        .repair = "give the selection that was made from these images"});
    seen_[static_cast<size_t>(value - first)] = true;
    rows_.push_back(value - first);
  }
  std::vector<int64_t> rows() const {
    if (rows_.empty())
      throw InputError({.file = file_, .problem = "it keeps no image", .repair = "give a selection of one or more"});
    return rows_;
  }

 private:
  const std::string& file_;
  std::vector<bool> seen_;
  std::vector<int64_t> rows_;
};

/// A row a line, from 1, as a report saves a selection; # begins a remark.
std::vector<int64_t> subset_of_text(const std::string& path, int64_t count) {
  std::istringstream in(read_all(FileSource(path)));
  Subset subset(path, count);
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    const std::string where = "line " + std::to_string(++number);
    const size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos || line[first] == '#') continue;
    const std::string word = line.substr(first, line.find_last_not_of(" \t\r") + 1 - first);
    int64_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc{} || end != word.data() + word.size())
      throw InputError({.file = path,
                        .where = where,
                        .value = word,
                        .problem = "not a whole number",
                        .repair = "a line holds one row of the particle file, counted from 1"});
    subset.add(where, value, 1);
  }
  return subset.rows();
}

}  // namespace

std::vector<int64_t> read_subset(const std::string& path, int64_t count) {
  if (path.ends_with(".txt")) return subset_of_text(path, count);
  const std::vector<NpyArray> arrays = read_arrays(path);
  const NpyArray& list = arrays.front();
  if (arrays.size() != 1 || list.shape.size() != 1 || list.type >= NpyType::f2)
    refuse_shape(path, list, "a list of whole numbers, one an image to keep,");
  const std::vector<double> values = npy_values(list, path);
  const bool yes_or_no = list.type == NpyType::b1;
  if (yes_or_no) check_count(path, list.shape[0], count, "yes or no");
  Subset subset(path, count);
  for (size_t i = 0; i < values.size(); ++i)
    if (!yes_or_no || values[i] != 0)
      subset.add("element " + std::to_string(i), static_cast<int64_t>(yes_or_no ? double(i) : values[i]), 0);
  return subset.rows();
}

namespace {

template <class T>
void take(std::vector<T>& values, std::span<const int64_t> rows) {
  if (values.empty()) return;
  std::vector<T> some;
  some.reserve(rows.size());
  for (const int64_t row : rows) some.push_back(values[static_cast<size_t>(row)]);
  values = std::move(some);
}

}  // namespace

ParticleTable take_particles(ParticleTable table, std::span<const int64_t> rows) {
  for (const int64_t row : rows)
    if (row < 0 || row >= table.size()) throw std::out_of_range("take_particles: no such image");
  take(table.images, rows);
  take(table.ctf, rows);
  take(table.euler_deg, rows);
  take(table.shift_px, rows);
  take(table.half_set, rows);
  if (!table.source.empty()) {
    const ParticlePlace place = find_particle_table(table.source);
    table.source.blocks()[place.block].loops[place.loop].keep_rows(rows);
  }
  if (table.cs) table.cs = std::make_shared<const CsTable>(table.cs->take(rows));
  return table;
}

}  // namespace recon::io
