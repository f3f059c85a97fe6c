#include "engine/backproject/backproject.h"

#include <cmath>
#include <numeric>

#include "apps/options.h"
#include "apps/progress.h"
#include "engine/data/image_window.h"
#include "io/atomic_file.h"
#include "io/strict_json.h"

namespace recon::apps {
namespace {

io::ParticleTable with_poses(const BackprojectCommand& options) {
  io::LoadOptions load = options.load;
  load.ignore_ctf = options.no_ctf;
  io::ParticleTable particles = load_for_engine(options.particles, load);
  print_warnings(particles.warnings, options.common.json);
  if (!particles.has_poses)
    throw io::InputError({.file = options.particles,
                          .field = "_rlnAngleRot",
                          .problem = "the file has no poses",
                          .repair = "give --poses, or run reconstruct train first"});
  return particles;
}

BackprojectResult reconstruct_from(Device& device, const io::ParticleTable& particles, const Dataset& data,
                                   const BackprojectCommand& options) {
  std::vector<Matrix3> rotations;
  std::vector<float> matrices, shifts;
  given_poses(particles, matrices, shifts);
  for (const auto& e : particles.euler_deg) rotations.push_back(euler_to_matrix({e[0], e[1], e[2]}));
  std::vector<uint8_t> halves;
  for (size_t i = 0; i < rotations.size(); ++i)
    halves.push_back(
        static_cast<uint8_t>(particles.has_half_sets ? particles.half_set[i] - 1 : static_cast<int>(i % 2)));
  Buffer<float> moves(device, data.count, 2);
  moves.upload(shifts);
  Backprojection reconstruction(device, data.side, options.options);
  ProgressDisplay progress(options.common.json);
  constexpr int64_t chunk = 1000;
  ImageWindow window(device, data, chunk);
  for (int64_t first = 0; first < data.count; first += chunk) {
    throw_if_stopped();
    const int64_t n = std::min(chunk, data.count - first);
    View<const CtfParameters> ctf;
    if (!data.ctf.empty()) ctf = {data.ctf.view().data + first, 1, n};
    std::vector<int32_t> some(static_cast<size_t>(n));
    std::iota(some.begin(), some.end(), static_cast<int32_t>(first));
    reconstruction.insert({.images = window.table().slice_rows(window.rows(some).front(), n),
                           .pixels = data.pixels.view(),
                           .rotations = std::span(rotations).subspan(size_t(first), size_t(n)),
                           .shifts = moves.rows(first, n),
                           .ctf = ctf,
                           .half_set = std::span(halves).subspan(size_t(first), size_t(n)),
                           .pixel_size_angstrom = static_cast<float>(data.pixel_size_angstrom)});
    progress.update("images", first + n, data.count);
  }
  return reconstruction.finish();
}

}  // namespace

int run_backproject(const BackprojectCommand& given) {
  stop_on_signals();
  BackprojectCommand options = given;
  check_window(options.preparation);
  options.options.regularise = !options.no_filter;
  const auto device = open_device(options.common);
  const auto particles = with_poses(options);
  io::create_folders(options.output);
  const Dataset data = prepare(*device, particles, options.preparation, throw_if_stopped);
  BackprojectResult maps = reconstruct_from(*device, particles, data, options);
  const auto write = [&](const char* name, std::vector<float>& map) {
    for (float& v : map) v /= std::abs(data.scale);  // grey values of the images
    io::write_volume(options.output + "/" + name, map, data.side, data.pixel_size_angstrom);
  };
  write("half_map_a.mrc", maps.half_a);
  write("half_map_b.mrc", maps.half_b);
  write("backproject.mrc", maps.volume);
  Json result = {{"map", options.output + "/backproject.mrc"}, {"images", data.count}, {"ctf", !data.ctf.empty()}};
  result.update(fsc_result(maps.fsc, data.side, data.pixel_size_angstrom));
  io::write_file(options.output + "/fsc.json", io::json_text(result, 1) + "\n");
  write_fsc_file(options.output + "/fsc.txt", maps.fsc, data.side, data.pixel_size_angstrom);
  print_result(result, options.common.json);
  return io::ok;
}

}  // namespace recon::apps
