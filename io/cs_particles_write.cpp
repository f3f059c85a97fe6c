#include <cmath>
#include <filesystem>
#include <stdexcept>

#include "io/cs.h"
#include "io/particles.h"
#include "io/rotation.h"

namespace recon::io {
namespace {

/// Where a particle's image lies: what identifies it. FNV-1a of stack and number.
uint64_t uid_of(const std::string& file, int64_t index) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : file + "@" + std::to_string(index))
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

template <class Get>
std::vector<double> of_ctf(const ParticleTable& table, Get get) {
  std::vector<double> out;
  for (const Ctf& ctf : table.ctf) out.push_back(get(ctf));
  return out;
}

void set_images(const ParticleTable& table, CsTable& out) {
  std::vector<int64_t> uids, indices;
  std::vector<std::string> paths;
  for (const ImageRef& image : table.images) {
    const std::string& file = table.files[image.file];
    uids.push_back(static_cast<int64_t>(uid_of(file, image.index)));
    indices.push_back(image.index);
    paths.push_back(table.stacks ? std::filesystem::absolute(file).string() : file);
  }
  const size_t n = paths.size();
  out.set_integers("uid", {}, uids);
  out.set_texts("blob/path", paths);
  out.set_integers("blob/idx", {}, indices);
  out.set_integers("blob/shape", {2}, std::vector<int64_t>(2 * n, table.side));
  out.set_floats("blob/psize_A", {}, std::vector<double>(n, table.pixel_size_angstrom));
  if (table.contrast_sign != 0) out.set_floats("blob/sign", {}, std::vector<double>(n, table.contrast_sign));
}

void set_ctf(const ParticleTable& table, CsTable& out) {
  out.set_floats("ctf/accel_kv", {}, of_ctf(table, [](const Ctf& c) { return c.voltage_kv; }));
  out.set_floats("ctf/cs_mm", {}, of_ctf(table, [](const Ctf& c) { return c.spherical_aberration_mm; }));
  out.set_floats("ctf/amp_contrast", {}, of_ctf(table, [](const Ctf& c) { return c.amplitude_contrast; }));
  out.set_floats("ctf/df1_A", {}, of_ctf(table, [](const Ctf& c) { return c.defocus_u_angstrom; }));
  out.set_floats("ctf/df2_A", {}, of_ctf(table, [](const Ctf& c) { return c.defocus_v_angstrom; }));
  out.set_floats("ctf/df_angle_rad", {}, of_ctf(table, [](const Ctf& c) { return c.defocus_angle_rad; }));
  out.set_floats("ctf/phase_shift_rad", {}, of_ctf(table, [](const Ctf& c) { return c.phase_shift_rad; }));
  out.set_floats("ctf/bfactor", {}, of_ctf(table, [](const Ctf& c) { return c.b_factor_angstrom2; }));
  out.set_floats("ctf/scale", {}, of_ctf(table, [](const Ctf& c) { return c.scale; }));
}

void set_alignments(const ParticleTable& table, std::span<const EulerDeg> euler_deg, std::span<const ShiftPx> shift_px,
                    CsTable& out) {
  if (euler_deg.size() != static_cast<size_t>(table.size()) || shift_px.size() != euler_deg.size())
    throw std::invalid_argument("one pose and one shift a particle are needed");
  std::vector<double> poses, shifts;
  for (const auto& euler : euler_deg) {
    const auto pose = cryosparc_pose_of_matrix(matrix_of_euler(euler));
    poses.insert(poses.end(), pose.begin(), pose.end());
  }
  for (const auto& shift : shift_px) shifts.insert(shifts.end(), shift.begin(), shift.end());
  for (const auto* values : {&poses, &shifts})
    for (const double value : *values)
      if (!std::isfinite(value)) throw std::invalid_argument("a .cs file gets finite numbers only");
  out.set_floats("alignments3D/pose", {3}, poses);
  out.set_floats("alignments3D/shift", {2}, shifts);
  out.set_floats("alignments3D/psize_A", {}, std::vector<double>(euler_deg.size(), table.pixel_size_angstrom));
}

}  // namespace

void write_particles_cs(const std::string& path, const ParticleTable& table, std::span<const EulerDeg> euler_deg,
                        std::span<const ShiftPx> shift_px, const std::vector<ExtraColumn>& extra_columns) {
  CsTable out = table.cs ? *table.cs : CsTable(table.size());
  if (!table.cs) {
    set_images(table, out);
  }
  if (table.has_ctf && (!table.cs || table.ctf_replaced)) set_ctf(table, out);
  if (!euler_deg.empty()) set_alignments(table, euler_deg, shift_px, out);
  if (!table.cs && table.has_half_sets) {
    std::vector<int64_t> split;
    for (const int half : table.half_set) split.push_back(half - 1);
    out.set_integers("alignments3D/split", {}, split);
  }
  for (const auto& [label, values] : extra_columns) out.set_floats(label, {}, values);
  write_cs(path, out);
}

}  // namespace recon::io
