#include <algorithm>
#include <filesystem>

#include "apps/options.h"
#include "apps/progress.h"
#include "apps/run_particles.h"
#include "engine/data/resample.h"
#include "io/mrc.h"
#include "io/npy.h"

namespace recon::apps {
namespace {

constexpr int64_t piece_bytes = 64 << 20;

bool is_mrc(const std::string& path) {
  return path.ends_with(".mrc") || path.ends_with(".mrcs") || path.ends_with(".map") || path.ends_with(".st");
}

/// A cube is a map, unless its name says that it is a stack.
bool is_map(const std::string& path) {
  if (path.ends_with(".mrcs") || path.ends_with(".st")) return false;
  const io::MrcHeader header = io::MrcFile::open(path).header();
  return header.nx == header.ny && header.ny == header.nz;
}

void refuse_overwriting(const std::string& output, const std::string& input) {
  std::error_code none;
  if (std::filesystem::equivalent(output, input, none))
    throw UsageError("-o: " + io::printable(output) + " is an input; write to another file");
}

/// Passes a stack's images on in pieces of bounded size; `change` returns what is written.
template <class Change>
int64_t stream_images(const io::ParticleTable& particles, io::MrcStackWriter& stack, bool json, Change change) {
  const int64_t area = int64_t{particles.side} * particles.side;
  const int64_t chunk = std::clamp<int64_t>(piece_bytes / (area * 4), 1, std::max<int64_t>(1, particles.size()));
  std::vector<float> images;
  ProgressDisplay progress(json);
  for (int64_t first = 0; first < particles.size(); first += chunk) {
    throw_if_stopped();
    const int64_t n = std::min(chunk, particles.size() - first);
    images.resize(static_cast<size_t>(n * area));
    io::read_particles(particles, first, n, images);
    stack.append(change(images));
    progress.update("images", first + n, particles.size());
  }
  stack.finish();
  return particles.size();
}

Json convert_map(const ConvertOptions& options) {
  io::Volume map = io::read_volume(options.input);
  if (options.flip_hand) {
    if (map.side % 2 != 0)
      throw io::InputError({.file = options.input,
                            .field = "NX",
                            .value = std::to_string(map.side),
                            .problem = "an odd box has no centre voxel to mirror at",
                            .repair = "pad the map to an even box"});
    map.data = mirrored(map.data, map.side);
  }
  if (options.invert)
    for (float& v : map.data) v = -v;
  const double pixel_size = options.load.pixel_size_angstrom.value_or(map.pixel_size_angstrom);
  io::write_volume(options.output, map.data, map.side, pixel_size);
  return {{"map", options.output}, {"box_px", map.side}, {"pixel_size_angstrom", pixel_size}};
}

/// The STAR or .cs file beside a new stack: particles.mrcs -> particles.star.
std::string beside(const std::string& stack, const std::string& input) {
  return std::filesystem::path(stack).replace_extension(std::filesystem::path(input).extension()).string();
}

/// Copies the images that a particle file lists, changed, into one stack, and the file with them.
template <class Change>
Json gather(io::ParticleTable particles, const std::string& input, const std::string& output, int box, bool json,
            Change change) {
  const bool file = !is_mrc(input);
  if (file) refuse_overwriting(beside(output, input), input);
  for (const std::string& stack : particles.files) refuse_overwriting(output, stack);
  const double pixel_size = particles.pixel_size_angstrom * particles.side / box;
  auto stack = io::MrcStackWriter::create(output, box, pixel_size);
  const int64_t images = stream_images(particles, stack, json, change);
  Json result = {{"stack", output}, {"images", images}, {"box_px", box}, {"pixel_size_angstrom", pixel_size}};
  if (!file) return result;
  io::move_particles(particles, std::filesystem::absolute(output).string(), box, pixel_size);
  io::write_particles(beside(output, input), particles);
  result["particles"] = beside(output, input);
  return result;
}

Json convert_stack(const ConvertOptions& options) {
  if (options.flip_hand) throw UsageError("--flip-hand: is for a map; images have no hand");
  io::LoadOptions load = options.load;
  load.metadata_only = false;
  io::ParticleTable particles = io::load_particles(options.input, load);
  print_warnings(particles.warnings, options.json);
  const int side = particles.side;
  return gather(std::move(particles), options.input, options.output, side, options.json,
                [&](std::vector<float>& some) -> std::span<float> {
                  if (options.invert)
                    for (float& v : some) v = -v;
                  return some;
                });
}

/// Rows of rot, tilt, psi (degrees), x, y (pixels).
void write_pose_rows(const std::string& path, const std::string& input, const io::ParticleTable& particles) {
  if (!particles.has_poses)
    throw io::InputError(
        {.file = input, .problem = "the particles have no poses", .repair = "give --poses, or a file with poses"});
  std::vector<double> rows;
  for (size_t i = 0; i < particles.euler_deg.size(); ++i) {
    rows.insert(rows.end(), particles.euler_deg[i].begin(), particles.euler_deg[i].end());
    rows.insert(rows.end(), particles.shift_px[i].begin(), particles.shift_px[i].end());
  }
  io::write_npy(path, rows, {particles.size(), 5});
}

Json convert_particles(const ConvertOptions& options) {
  if (options.flip_hand || options.invert)
    throw UsageError("--flip-hand and --invert: are for maps and stacks (.mrc, .mrcs)");
  RunParticles run = load_run_particles(options.input, options.load, options.latents);
  io::ParticleTable& particles = run.particles;
  print_warnings(particles.warnings, options.json);
  const bool star = options.output.ends_with(".star");
  if (options.version && !star) throw UsageError("--star: is for a .star output");
  const bool sizes = particles.side > 0 && particles.pixel_size_angstrom > 0;
  const bool fresh = options.version || (star ? particles.source.empty() : !particles.cs);
  if (fresh && !sizes && !options.output.ends_with(".npy"))
    throw io::InputError({.file = options.input,
                          .problem = "neither this file nor its images tell box and pixel size",
                          .repair = "leave out --keep-names, or give --apix"});
  if (options.output.ends_with(".npy")) {
    write_pose_rows(options.output, options.input, particles);
  } else {
    if (options.load.pixel_size_angstrom) io::set_pixel_size(particles, *options.load.pixel_size_angstrom);
    if (options.version) io::set_star_version(particles, *options.version);
    io::write_particles(options.output, particles, run.latent_columns());
  }
  return {{"particles", options.output},
          {"images", particles.size()},
          {"poses", particles.has_poses},
          {"ctf", particles.has_ctf},
          {"latents", run.latent}};
}

Json downsample_map(const DownsampleOptions& options, Device& device) {
  const io::Volume map = io::read_volume(options.input);
  if (map.side % 2 != 0 || options.box > map.side)
    throw io::InputError({.file = options.input,
                          .field = "NX",
                          .value = std::to_string(map.side),
                          .problem = map.side % 2 ? "an odd box" : "a smaller box than --box",
                          .repair = "give an even box no larger than the map's"});
  const double pixel_size = options.load.pixel_size_angstrom.value_or(map.pixel_size_angstrom) * map.side / options.box;
  io::write_volume(options.output, crop_map(device, map.data, map.side, options.box), options.box, pixel_size);
  return {{"map", options.output}, {"box_px", options.box}, {"pixel_size_angstrom", pixel_size}};
}

}  // namespace

int run_convert(const ConvertOptions& options) {
  stop_on_signals();
  const std::string& out = options.output;
  refuse_overwriting(out, options.input);
  Json result;
  if (!is_mrc(out))
    result = convert_particles(options);
  else if (is_mrc(options.input) && is_map(options.input))
    result = convert_map(options);
  else
    result = convert_stack(options);
  print_result(result, options.json);
  return io::ok;
}

int run_downsample(const DownsampleOptions& options) {
  stop_on_signals();
  if (options.box % 2 != 0) throw UsageError("--box: an even number is wanted");
  const auto device = open_device(options.common);
  const bool mrc = is_mrc(options.input);
  if (!is_mrc(options.output)) throw UsageError("-o: a .mrcs (or .mrc of a map) is wanted");
  refuse_overwriting(options.output, options.input);
  if (mrc && is_map(options.input)) {
    print_result(downsample_map(options, *device), options.common.json);
    return io::ok;
  }
  io::ParticleTable particles = load_for_engine(options.input, options.load);
  print_warnings(particles.warnings, options.common.json);
  const int side = particles.side;
  if (options.box > side) throw UsageError("--box: is larger than the images' " + std::to_string(side));
  print_result(gather(std::move(particles), options.input, options.output, options.box, options.common.json,
                      [&](const std::vector<float>& some) { return crop_images(*device, some, side, options.box); }),
               options.common.json);
  return io::ok;
}

}  // namespace recon::apps
