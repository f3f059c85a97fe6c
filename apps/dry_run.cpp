#include "apps/dry_run.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "apps/progress.h"
#include "engine/train/health.h"
#include "engine/train/run_plan.h"
#include "io/strict_json.h"

namespace recon::apps {
namespace {

bool uses_ctf(const io::ParticleTable& particles, const PreparationConfig& preparation) {
  return particles.has_ctf && preparation.ctf != CtfMode::none;
}

/// Smallest and largest of a quantity.
template <class Of>
Json range(const std::vector<io::Ctf>& ctf, Of of) {
  const auto [least, most] =
      std::minmax_element(ctf.begin(), ctf.end(), [&](const auto& a, const auto& b) { return of(a) < of(b); });
  const auto rounded = [](double value) { return std::round(value * 1e4) / 1e4; };  // as float32 files have it
  return {rounded(of(*least)), rounded(of(*most))};
}

Json ctf_json(const io::ParticleTable& particles, const PreparationConfig& preparation) {
  if (!uses_ctf(particles, preparation)) return {{"use", particles.has_ctf ? "ignored" : "none in the file"}};
  const auto& ctf = particles.ctf;
  const double degrees = 180 / 3.14159265358979;
  using C = io::Ctf;
  return {
      {"use", preparation.ctf == CtfMode::model ? "in the model" : "phase flipping"},
      {"defocus_angstrom", range(ctf, [](const C& c) { return 0.5 * (c.defocus_u_angstrom + c.defocus_v_angstrom); })},
      {"astigmatism_angstrom",
       range(ctf, [](const C& c) { return std::abs(c.defocus_u_angstrom - c.defocus_v_angstrom); })},
      {"voltage_kv", range(ctf, [](const C& c) { return c.voltage_kv; })},
      {"spherical_aberration_mm", range(ctf, [](const C& c) { return c.spherical_aberration_mm; })},
      {"amplitude_contrast", range(ctf, [](const C& c) { return c.amplitude_contrast; })},
      {"phase_shift_degrees", range(ctf, [&](const C& c) { return c.phase_shift_rad * degrees; })}};
}

Json optics_groups(const io::ParticleTable& particles) {
  const io::StarBlock* optics = particles.source.find("optics");
  return optics && !optics->loops.empty() ? Json(optics->loops.front().rows()) : Json(nullptr);
}

Json half_sets(const io::ParticleTable& particles) {
  if (!particles.has_half_sets) return "even and odd images";
  const auto first = std::count(particles.half_set.begin(), particles.half_set.end(), 1);
  return std::to_string(first) + " and " + std::to_string(particles.size() - first) + " images, by _rlnRandomSubset";
}

/// The sign of the contrast, what it rests on, and what --invert would do.
Json contrast_json(const ContrastReport& report, const RunConfig& config) {
  const bool invert = config.preparation.invert;
  const char* density = report.undecided() ? "undecided" : report.inverted() ? "negative" : "positive";
  const char* certainty = report.undecided()                    ? "none: too few images, or centre and rim alike"
                          : std::abs(report.density_sigma) < 10 ? "fair"
                                                                : "high";
  char evidence[400];
  std::snprintf(
      evidence, sizeof evidence,
      "in %lld images the centre (within %.1f of half the box) is %s than the rim (beyond %.1f) by %.1f standard "
      "errors; the CTF is negative at low frequency in %.0f %% of them",
      static_cast<long long>(report.images), ContrastReport::inside, report.dark() ? "darker" : "brighter",
      ContrastReport::outside, std::abs(report.centre_minus_rim_sigma), 100 * report.ctf_negative);
  const std::string option = invert ? "leaving out --invert" : "--invert";
  return {{"density_would_be", density},
          {"certainty", certainty},
          {"evidence", evidence},
          {"images_that_agree", report.agreeing},
          {"centre_minus_rim_sigma", report.centre_minus_rim_sigma},
          {"density_sigma", report.density_sigma},
          {"inverted_by_option", invert},
          {"advice", report.undecided()  ? "look at a class average"
                     : report.inverted() ? option + " would make the density positive"
                                         : option + " would make the density negative: keep it as it is"}};
}

Json disk_json(const DiskPlan& disk) {
  constexpr double mebibyte = 1048576;
  Json result = {{"needed_mib", double(disk.most) / mebibyte},
                 {"kept_mib", double(disk.final) / mebibyte},
                 {"a_checkpoint_mib", double(disk.checkpoint) / mebibyte}};
  if (disk.free > 0) result["free_mib"] = double(disk.free) / mebibyte;
  return result;
}

Json time_json(const TimePlan& time) {
  Json result = {{"estimate", duration_text(time.seconds)},
                 {"estimate_s", time.seconds},
                 {"rests_on", "two groups of every kind of epoch, with " + std::to_string(time.sample) +
                                  " images, measured in " + duration_text(time.measured_seconds)},
                 {"reading_s", time.prepare_seconds},
                 {"parts", Json::array()}};
  if (time.start_seconds > 0) {
    result["rests_on"] = result["rests_on"].get<std::string>() + "; two random starts that agree";
    result["a_further_start_s"] = time.start_seconds;
  }
  for (const auto& part : time.parts)
    result["parts"].push_back(
        {{"what", part.what}, {"image_passes", part.images}, {"images_per_second", part.images_per_second}});
  return result;
}

/// What the system could give this process now, bytes; 0: not known.
double available_memory() {
  std::ifstream table("/proc/meminfo");
  for (std::string line; std::getline(table, line);)
    if (line.starts_with("MemAvailable:")) return 1024 * std::strtod(line.c_str() + 13, nullptr);
  return 0;
}

/// What the steps of a sample took, grown to all images: theirs, and pose and latent state of each.
size_t peak_of_all(const TimePlan& time, const MemoryPlan& memory, int64_t images) {
  constexpr size_t state = 64;  // bytes an image
  const auto more = static_cast<size_t>(images - time.sample), all = static_cast<size_t>(images);
  return std::max(memory.peak, time.peak + more * state + memory.images / all * more);
}

/// For people, a part is a line.
void put_parts_in_words(Json& time) {
  Json lines = Json::array();
  for (const Json& part : time["parts"]) {
    char text[160];
    std::snprintf(text, sizeof text, "%s: %.0f images at %.3g images/s", part["what"].get<std::string>().c_str(),
                  part["image_passes"].get<double>(), part["images_per_second"].get<double>());
    lines.push_back(text);
  }
  time["parts"] = lines;
}

size_t table_bytes(const io::ParticleTable& p) {
  return p.images.size() * sizeof(io::ImageRef) + p.ctf.size() * sizeof(io::Ctf) +
         p.euler_deg.size() * sizeof(io::EulerDeg) + p.shift_px.size() * sizeof(io::ShiftPx) + 4 * p.half_set.size() +
         44 * p.images.size();
}

}  // namespace

ContrastReport contrast_of(const io::ParticleTable& particles, const PreparationConfig& preparation) {
  return measure_contrast(particles, uses_ctf(particles, preparation), preparation.invert);
}

Json describe(const io::ParticleTable& particles, const RunConfig& config, const ContrastReport& contrast) {
  const TrainConfig& stage = config.stages.front();
  return {{"images", particles.size()},
          {"stacks", particles.files.size()},
          {"box_px", particles.side},
          {"pixel_size_angstrom", particles.pixel_size_angstrom},
          {"optics_groups", optics_groups(particles)},
          {"half_sets", half_sets(particles)},
          {"ctf", ctf_json(particles, config.preparation)},
          {"contrast", contrast_json(contrast, config)},
          {"poses", stage.poses == PoseMode::given ? "given" : "search"},
          {"zdim", stage.model.latent},
          {"stages", config.stages.size()}};
}

MemoryPlan memory_plan(Device& device, const io::ParticleTable& particles, const RunConfig& config) {
  return plan_memory(device,
                     {.side = particles.side,
                      .count = particles.size(),
                      .ctf = particles.has_ctf && config.preparation.ctf == CtfMode::model,
                      .half_maps = config.half_maps,
                      .half_precision = config.preparation.half_precision},
                     config.stages, config.preparation.placement);
}

Json memory_json(const MemoryPlan& plan, const Device& device) {
  constexpr double mebibyte = 1048576;
  Json result = {{"device", device.name()},
                 {"images_in", plan.placement == Placement::host ? "host" : "device"},
                 {"images_mib", double(plan.images) / mebibyte},
                 {"peak_mib", double(plan.peak) / mebibyte},
                 {"host_mib", double(plan.host) / mebibyte},
                 {"pinned_mib", double(plan.pinned) / mebibyte}};
  if (plan.free > 0) result["free_mib"] = double(plan.free) / mebibyte;
  return result;
}

io::ParticleTable load_or_list_missing(const TrainOptions& options) {
  try {
    return load_for_engine(options.run.particles, options.run.load);
  } catch (const io::MissingFiles& missing) {
    if (options.common.json) {
      print_result({{"event", "missing_files"}, {"count", missing.files.size()}, {"files", missing.files}}, true);
    } else {
      std::printf("%zu image stacks are missing:\n", missing.files.size());
      for (const std::string& file : missing.files) std::printf("%s\n", io::printable(file, 4096).c_str());
      std::fflush(stdout);
    }
    throw;
  }
}

int dry_run(Device& device, const TrainOptions& options, const io::ParticleTable& particles, const RunConfig& config) {
  const bool json = options.common.json;
  if (config.stages.front().poses == PoseMode::given && !particles.has_poses)
    throw io::InputError({.file = config.particles, .field = "_rlnAngleRot", .problem = "the particles have no poses"});
  const ContrastReport contrast = contrast_of(particles, config.preparation);
  std::vector<std::string> warnings;
  if (const auto warning = judge_contrast(contrast, config.preparation.invert)) warnings.push_back(warning->text);
  Json result = describe(particles, config, contrast);
  const DiskPlan disk = plan_disk(config, particles, count_parameters(device, config), options.output);
  if (disk.free > 0 && disk.most > disk.free)
    warnings.push_back("the run folder will need " + bytes_text(double(disk.most)) + " and its disk has " +
                       bytes_text(double(disk.free)) + " free: choose another place with -o, or make room");
  MemoryPlan memory = memory_plan(device, particles, config);
  check_memory(memory, device);
  // A CPU's steps are measured on a device of their own, which tells what they take beside the images.
  const auto other = memory.exact ? nullptr : open_device(options.common);
  const TimePlan time = plan_time(other ? *other : device, particles, config);
  if (!memory.exact) memory.peak = peak_of_all(time, memory, particles.size());
  memory.host += table_bytes(particles);
  const double wanted = double(memory.host + memory.pinned) + (device.state_or_null() ? 0 : double(memory.peak));
  if (const double available = available_memory(); available > 0 && wanted > available)
    warnings.push_back("the run will need " + bytes_text(wanted) + " of this machine's memory, of which " +
                       bytes_text(available) + " are free: give it more, or crop or downsample the images");
  result["memory"] = memory_json(memory, device);
  result["disk"] = disk_json(disk);
  result["time"] = time_json(time);
  if (!json) put_parts_in_words(result["time"]);
  result["warnings"] = warnings;
  print_result(result, json);
  return io::ok;
}

}  // namespace recon::apps
