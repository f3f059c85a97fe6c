#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "io/error.h"
#include "io/particle_columns.h"

namespace recon::io {
namespace {

constexpr double kPi = 3.14159265358979323846;

/// A CTF quantity's place in the file, its default, and the numbers that can be true.
struct CtfField {
  std::string_view label;
  float Ctf::*member;
  double scale;  // file's unit to ours
  double low, high;
  const char* range;
};
constexpr CtfField kPerParticle[] = {
    {"_rlnDefocusU", &Ctf::defocus_u_angstrom, 1, -1e6, 1e6, "a defocus lies between -1e6 and 1e6 A"},
    {"_rlnDefocusV", &Ctf::defocus_v_angstrom, 1, -1e6, 1e6, "a defocus lies between -1e6 and 1e6 A"},
    {"_rlnDefocusAngle", &Ctf::defocus_angle_rad, kPi / 180, -1e4, 1e4, "an angle in degrees is expected"},
};
constexpr CtfField kOptional[] = {
    {"_rlnPhaseShift", &Ctf::phase_shift_rad, kPi / 180, -1e4, 1e4, "an angle in degrees is expected"},
    {"_rlnCtfBfactor", &Ctf::b_factor_angstrom2, 1, -1e5, 1e5, "a B-factor lies between -1e5 and 1e5 A^2"},
    {"_rlnCtfScalefactor", &Ctf::scale, 1, 0, 1e6, "a scale factor is not negative"},
};
constexpr CtfField kMicroscope[] = {
    {"_rlnVoltage", &Ctf::voltage_kv, 1, 10, 2000, "a voltage lies between 10 and 2000 kV"},
    // A corrector may leave a slightly negative Cs.
    {"_rlnSphericalAberration", &Ctf::spherical_aberration_mm, 1, -0.1, 20, "Cs lies between -0.1 and 20 mm"},
    {"_rlnAmplitudeContrast", &Ctf::amplitude_contrast, 1, 0, 1, "amplitude contrast lies between 0 and 1"},
};
constexpr const char* kFlags[] = {"--voltage KV", "--cs MM", "--amplitude-contrast W"};
std::array<std::optional<double>, 3> given(const LoadOptions& options) {
  return {options.voltage_kv, options.spherical_aberration_mm, options.amplitude_contrast};
}

using OriginLabels = std::array<std::string_view, 2>;
constexpr std::string_view kAngles[] = {"_rlnAngleRot", "_rlnAngleTilt", "_rlnAnglePsi"};
constexpr OriginLabels kOriginsAngstrom = {"_rlnOriginXAngst", "_rlnOriginYAngst"};
constexpr OriginLabels kOriginsPixel = {"_rlnOriginX", "_rlnOriginY"};

/// Where the origins stand: in Angstrom if there is one, else in pixels.
const OriginLabels& origin_labels(const ParticleColumns& columns) {
  const bool angstrom = std::any_of(kOriginsAngstrom.begin(), kOriginsAngstrom.end(),
                                    [&](auto label) { return columns.particles().column(label) >= 0; });
  return angstrom ? kOriginsAngstrom : kOriginsPixel;
}

/// Writes one column into all CTFs after a check of each number.
void assign(const ParticleColumns& columns, const CtfField& field, const std::vector<double>& values,
            std::vector<Ctf>& ctf) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!(values[i] >= field.low && values[i] <= field.high))
      columns.refuse_range(static_cast<int64_t>(i), field.label, values[i], field.range);
    ctf[i].*field.member = static_cast<float>(values[i] * field.scale);
  }
}

bool all_equal(const std::vector<EulerDeg>& poses) {
  return std::all_of(poses.begin(), poses.end(), [&](const auto& pose) { return pose == poses.front(); });
}

}  // namespace

void warn_of_odd_poses(ParticleTable& table) {
  if (table.size() < 2) return;
  if (all_equal(table.euler_deg)) table.warnings.push_back("all poses are identical");
  const auto small = [](const auto& pose) {
    return std::all_of(pose.begin(), pose.end(), [](double angle) { return std::abs(angle) <= kPi + 1e-6; });
  };
  if (table.size() >= 10 && !all_equal(table.euler_deg) &&
      std::all_of(table.euler_deg.begin(), table.euler_deg.end(), small))
    table.warnings.push_back("no angle exceeds 3.15: are they radians? They are read as degrees");
  const auto far = std::count_if(table.shift_px.begin(), table.shift_px.end(), [&](const auto& shift) {
    return table.side > 0 && (std::abs(shift[0]) > table.side / 2.0 || std::abs(shift[1]) > table.side / 2.0);
  });
  if (far) table.warnings.push_back(std::to_string(far) + " particles have an origin more than half a box away");
}

void plan_poses(const ParticleColumns& columns, ParticleTable& table, std::vector<ColumnFill>& fills) {
  const StarLoop& particles = columns.particles();
  const auto there = [&](std::string_view label) { return particles.column(label) >= 0; };
  if (std::none_of(std::begin(kAngles), std::end(kAngles), there)) return;
  const auto missing = std::find_if_not(std::begin(kAngles), std::end(kAngles), there);
  if (missing != std::end(kAngles))
    columns.refuse_missing(*missing, "a pose needs all three angles", "add it, or remove the other angles");
  const size_t n = static_cast<size_t>(particles.rows());
  table.euler_deg.resize(n);
  table.shift_px.assign(n, {0, 0});
  table.has_poses = true;
  for (size_t axis = 0; axis < 3; ++axis)
    fills.push_back({kAngles[axis], &table.euler_deg[0][axis], 3, 1, -1e6, 1e6, "an angle in degrees is expected"});
  const auto& chosen = origin_labels(columns);
  if (there(chosen[0]) != there(chosen[1]))
    columns.refuse_missing(chosen[there(chosen[0]) ? 1 : 0], "an origin needs x and y", "add it, or remove the other");
  for (size_t axis = 0; axis < 2; ++axis)
    fills.push_back({chosen[axis], &table.shift_px[0][axis], 2, 1, -1e6, 1e6, "an origin lies between -1e6 and 1e6"});
}

void finish_poses(const ParticleColumns& columns, ParticleTable& table) {
  if (!table.has_poses) return;
  if (const std::string_view label = origin_labels(columns)[0]; label == kOriginsAngstrom[0]) {
    if (table.pixel_size_angstrom <= 0)
      throw InputError({.file = columns.file(),
                        .field = std::string(label),
                        .problem = "origins in Angstrom need a pixel size, and the file gives none",
                        .repair = "give --apix"});
    for (ShiftPx& shift : table.shift_px)
      for (float& component : shift) component = static_cast<float>(component / table.pixel_size_angstrom);
  }
  warn_of_odd_poses(table);
}

void plan_ctf(const ParticleColumns& columns, const LoadOptions& options, ParticleTable& table,
              std::vector<ColumnFill>& fills) {
  if (options.ignore_ctf) return;
  const bool any = std::any_of(std::begin(kPerParticle), std::end(kPerParticle),
                               [&](const CtfField& field) { return columns.has(field.label); });
  if (!any && options.allow_missing_ctf) return;
  for (const CtfField& field : kPerParticle)
    if (!columns.has(field.label))
      columns.refuse_missing(field.label, any ? "the CTF is incomplete without it" : "the file has no CTF",
                             "estimate the CTF again, or leave the CTF out with --no-ctf");
  table.ctf.resize(static_cast<size_t>(columns.particles().rows()));
  table.has_ctf = true;
  const auto fill = [&](const CtfField& field) {
    fills.push_back({field.label, &(table.ctf[0].*field.member), sizeof(Ctf) / sizeof(float), field.scale, field.low,
                     field.high, field.range});
  };
  for (const CtfField& field : kPerParticle) fill(field);
  for (const CtfField& field : kOptional) fill(field);
  for (size_t i = 0; i < 3; ++i) {
    const CtfField& field = kMicroscope[i];
    if (given(options)[i]) continue;
    if (!columns.has(field.label))
      columns.refuse_missing(field.label, "the CTF is incomplete without it", std::string("give ") + kFlags[i]);
    fill(field);
  }
}

void finish_ctf(const ParticleColumns& columns, const LoadOptions& options, ParticleTable& table) {
  if (!table.has_ctf) return;
  const auto from_optics = [&](const CtfField& field) {
    if (columns.particles().column(field.label) < 0) assign(columns, field, columns.numbers(field.label), table.ctf);
  };
  for (const CtfField& field : kPerParticle) from_optics(field);
  for (const CtfField& field : kOptional) from_optics(field);
  for (size_t i = 0; i < 3; ++i)
    if (const std::optional<double> value = given(options)[i])
      assign(columns, kMicroscope[i], std::vector<double>(table.ctf.size(), *value), table.ctf);
    else
      from_optics(kMicroscope[i]);
  const auto flat =
      std::count_if(table.ctf.begin(), table.ctf.end(), [](const Ctf& c) { return c.defocus_u_angstrom <= 0; });
  if (flat) table.warnings.push_back(std::to_string(flat) + " particles have a defocus of zero or less (overfocus)");
}

void load_half_sets(const ParticleColumns& columns, ParticleTable& table) {
  constexpr std::string_view label = "_rlnRandomSubset";
  const std::vector<double> values = columns.numbers(label);
  table.half_set.reserve(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] != 1 && values[i] != 2)
      columns.refuse_value(static_cast<int64_t>(i), label, values[i], "a half set is 1 or 2",
                           "correct it, or remove the column");
    table.half_set.push_back(static_cast<int>(values[i]));
  }
  table.has_half_sets = !values.empty();
}

void warn_of_ignored_columns(const ParticleColumns& columns, ParticleTable& table) {
  struct Ignored {
    std::string_view label;
    double neutral;
  };
  constexpr Ignored ignored[] = {{"_rlnBeamTiltX", 0}, {"_rlnBeamTiltY", 0}, {"_rlnMagMat00", 1},
                                 {"_rlnMagMat01", 0},  {"_rlnMagMat10", 0},  {"_rlnMagMat11", 1}};
  std::string names;
  for (const Ignored& one : ignored) {
    const std::vector<double> values = columns.numbers(one.label);
    if (std::any_of(values.begin(), values.end(), [&](double v) { return std::abs(v - one.neutral) > 1e-9; }))
      names += (names.empty() ? "" : ", ") + std::string(one.label);
  }
  for (const std::string_view label : {"_rlnOddZernike", "_rlnEvenZernike"}) {
    bool nonzero = false;
    columns.for_each_used_optics_row(label, [&](int64_t, std::string_view cell) {
      nonzero = nonzero || cell.find_first_of("123456789") != std::string_view::npos;
    });
    if (nonzero) names += (names.empty() ? "" : ", ") + std::string(label);
  }
  if (!names.empty()) table.warnings.push_back("higher-order aberrations are ignored: " + names);
  const std::vector<double> premultiplied = columns.numbers("_rlnCtfDataAreCtfPremultiplied");
  if (std::any_of(premultiplied.begin(), premultiplied.end(), [](double v) { return v != 0; }))
    table.warnings.push_back("_rlnCtfDataAreCtfPremultiplied is set: the images are read as if it were not");
}

}  // namespace recon::io
