#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/options.h"
#include "apps/progress.h"
#include "io/checkpoint.h"
#include "io/cs.h"
#include "io/finite.h"
#include "io/mrc.h"
#include "io/npy.h"
#include "io/pickle.h"
#include "io/run_folder.h"
#include "io/safetensors.h"
#include "io/strict_json.h"

namespace recon::apps {
namespace {

enum class Kind { mrc, star, cs, npy, pickle, safetensors, run_folder };

/// By content where the content tells, else by name.
Kind kind_of(const std::string& path) {
  if (std::filesystem::is_directory(path)) return Kind::run_folder;
  const io::FileSource file(path);
  std::string head(static_cast<size_t>(std::min<int64_t>(file.size(), 212)), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(head.data(), head.size())));
  if (path.ends_with(".cs")) return Kind::cs;
  if (path.ends_with(".pkl")) return Kind::pickle;
  if (head.starts_with("\x93NUMPY") || path.ends_with(".npy")) return Kind::npy;
  if (path.ends_with(".safetensors")) return Kind::safetensors;
  if (path.ends_with(".star")) return Kind::star;
  for (const char* extension : {".mrc", ".mrcs", ".map", ".st"})
    if (path.ends_with(extension)) return Kind::mrc;
  if (head.size() == 212 && head.substr(208, 3) == "MAP") return Kind::mrc;
  if (head.find("data_") != std::string::npos) return Kind::star;
  throw io::InputError({.file = path,
                        .problem = "not a kind of file that is read here",
                        .repair = "give a .mrc, .mrcs, .star, .cs, .npy, .pkl, .safetensors or a run folder"});
}

const char* mode_name(int mode) {
  switch (mode) {
    case 0:
      return "0 (int8)";
    case 1:
      return "1 (int16)";
    case 2:
      return "2 (float32)";
    case 6:
      return "6 (uint16)";
    default:
      return "12 (float16)";
  }
}

Json mrc_info(const io::MrcFile& file) {
  const io::MrcHeader& h = file.header();
  Json result = {{"kind", h.volume ? "MRC volume" : "MRC image stack"},
                 {"nx", h.nx},
                 {"ny", h.ny},
                 {"nz", h.nz},
                 {"mode", mode_name(h.mode)},
                 {"pixel_size_angstrom", h.pixel_size_angstrom},
                 {"big_endian", h.big_endian},
                 {"space_group", h.space_group},
                 {"data_offset_bytes", h.data_offset},
                 {"origin_angstrom", h.origin},
                 {"header_minimum", h.minimum},
                 {"header_maximum", h.maximum},
                 {"header_mean", h.mean},
                 {"header_rms", h.rms},
                 {"labels", h.labels}};
  if (h.pixel_size_angstrom <= 0) result["pixel_size_angstrom"] = nullptr;
  return result;
}

/// Reads every section; throws for a pixel that is not finite.
Json mrc_statistics(const io::MrcFile& file) {
  const io::MrcHeader& h = file.header();
  const int64_t chunk = std::clamp<int64_t>((int64_t{16} << 20) / h.pixels_per_image(), 1, h.nz);
  std::vector<float> pixels(static_cast<size_t>(chunk * h.pixels_per_image()));
  double low = INFINITY, high = -INFINITY, sum = 0, squares = 0;
  for (int64_t first = 0; first < h.nz; first += chunk) {
    const int64_t n = std::min(chunk, h.nz - first);
    const std::span some(pixels.data(), static_cast<size_t>(n * h.pixels_per_image()));
    file.read_images(first, n, some);
    if (const int64_t bad = io::first_not_finite(some); bad >= 0)
      throw io::InputError({.file = file.name(),
                            .where = "section " + std::to_string(first + bad / h.pixels_per_image() + 1),
                            .problem = "holds a NaN or an infinity",
                            .repair = "remove or replace that section"});
    for (const float v : some) {
      low = std::min(low, double(v));
      high = std::max(high, double(v));
      sum += v;
      squares += double(v) * v;
    }
  }
  const double count = static_cast<double>(h.nz) * static_cast<double>(h.pixels_per_image()), mean = sum / count;
  return {{"minimum", low},
          {"maximum", high},
          {"mean", mean},
          {"rms_deviation", std::sqrt(std::max(0.0, squares / count - mean * mean))}};
}

Json particles_info(const io::ParticleTable& t) {
  Json result = {{"particles", t.size()},
                 {"stacks", t.files.size()},
                 {"box_px", t.side},
                 {"pixel_size_angstrom", t.pixel_size_angstrom},
                 {"poses", t.has_poses},
                 {"ctf", t.has_ctf},
                 {"half_sets", t.has_half_sets}};
  if (t.contrast_sign != 0) result["contrast_by_file"] = contrast_name(t.contrast_sign);
  if (t.side == 0) result["box_px"] = nullptr;
  if (t.pixel_size_angstrom <= 0) result["pixel_size_angstrom"] = nullptr;
  return result;
}

/// One entry a loop, and one for the pairs of a block.
Json star_tables(const io::StarDocument& document) {
  Json tables = Json::array();
  for (const auto& block : document.blocks()) {
    Json pairs = Json::array();
    for (const auto& pair : block.pairs) pairs.push_back(io::printable(pair.label));
    if (!pairs.empty()) tables.push_back({{"block", io::printable(block.name)}, {"rows", 1}, {"labels", pairs}});
    for (const auto& loop : block.loops) {
      Json labels = Json::array();
      for (const std::string& label : loop.labels()) labels.push_back(io::printable(label));
      tables.push_back({{"block", io::printable(block.name)}, {"rows", loop.rows()}, {"labels", labels}});
    }
  }
  return tables;
}

/// What the particles of a file are, or why it holds none.
template <class Load>
void put_particles(Json& result, std::vector<std::string>& warnings, Load load) {
  try {
    const io::ParticleTable table = load();
    warnings = table.warnings;
    result.update(particles_info(table));
  } catch (const io::InputError& error) {
    result["particles"] = nullptr;
    result["not_particles_because"] = error.what();
  }
}

Json star_info(const std::string& path, std::vector<std::string>& warnings) {
  const auto document = io::StarDocument::parse(path);
  Json result = {{"kind", "STAR"}, {"table", star_tables(document)}};
  put_particles(result, warnings, [&] { return io::load_particles(document, {.metadata_only = true}); });
  return result;
}

const char* npy_type_name(io::NpyType type) {
  constexpr const char* names[] = {"bool",   "int8",   "int16",  "int32",   "int64",   "uint8",
                                   "uint16", "uint32", "uint64", "float16", "float32", "float64"};
  return names[static_cast<size_t>(type)];
}

Json cs_info(const FileOptions& options, std::vector<std::string>& warnings) {
  io::CsTable fields = io::read_cs(options.file);
  for (const std::string& other : options.passthrough) fields.join(io::read_cs(other), options.file, other);
  Json result = {{"kind", "cryoSPARC table"}, {"rows", fields.rows()}, {"field", Json::array()}};
  for (const io::CsColumn& column : fields.columns())
    result["field"].push_back({{"name", io::printable(column.field.name)},
                               {"type", io::npy_field_type(column.field)},
                               {"shape", column.field.shape}});
  put_particles(result, warnings, [&] {
    return io::load_particles(options.file, {.passthrough = options.passthrough, .metadata_only = true});
  });
  return result;
}

Json pickle_info(const std::string& path, std::vector<std::string>& warnings) {
  Json result = {{"kind", "pickled NumPy arrays"}, {"array", Json::array()}};
  const auto pickles = io::read_pickles(path);
  for (size_t i = 0; i < pickles.size(); ++i)
    for (const io::NpyArray& array : pickles[i]) {
      const auto values = io::npy_values(array, path);
      if (std::any_of(values.begin(), values.end(), [](double v) { return !std::isfinite(v); }))
        warnings.push_back("pickle " + std::to_string(i + 1) + " holds a NaN or an infinity");
      result["array"].push_back({{"pickle", i + 1}, {"type", npy_type_name(array.type)}, {"shape", array.shape}});
    }
  return result;
}

Json npy_info(const std::string& path) {
  const auto array = io::read_npy(path);
  return {{"kind", "NumPy array"}, {"type", npy_type_name(array.type)}, {"shape", array.shape}};
}

Json safetensors_info(const std::string& path) {
  const auto header = io::parse_safetensors(io::FileSource(path));
  Json result = {{"kind", "safetensors"}, {"metadata", Json::object()}, {"tensor", Json::array()}};
  for (const auto& [key, value] : header.metadata)
    if (!key.starts_with("recon.crc32c")) result["metadata"][io::printable(key)] = io::printable(value, 2000);
  for (const auto& tensor : header.tensors)
    result["tensor"].push_back({{"name", io::printable(tensor.name)},
                                {"type", std::string(io::tensor_type_name(tensor.dtype))},
                                {"shape", tensor.shape}});
  return result;
}

Json run_info(const std::string& path) {
  const auto folder = io::RunFolder::read_only(path);
  Json result = {{"kind", "run folder"}};
  for (const char* name : {"status", "summary"}) {
    const std::string file = folder.file(std::string(name) + ".json");
    if (std::filesystem::exists(file)) result[name] = io::parse_json(io::FileSource(file));
  }
  result["config"] = folder.config();
  return result;
}

/// Reads every image of a particle file.
void validate_images(const io::ParticleTable& table, bool json) {
  const int64_t area = int64_t{table.side} * table.side;
  const int64_t chunk = std::clamp<int64_t>((int64_t{16} << 20) / area, 1, std::max<int64_t>(1, table.size()));
  std::vector<float> pixels(static_cast<size_t>(chunk * area));
  ProgressDisplay progress(json);
  for (int64_t first = 0; first < table.size(); first += chunk) {
    const int64_t n = std::min(chunk, table.size() - first);
    io::read_particles(table, first, n, std::span(pixels.data(), static_cast<size_t>(n * area)));
    progress.update("images", first + n, table.size());
  }
}

Json validate_particles(const FileOptions& options, const char* kind, std::vector<std::string>& warnings) {
  const auto table = io::load_particles(options.file, {.datadir = options.datadir, .passthrough = options.passthrough});
  warnings = table.warnings;
  validate_images(table, options.json);
  Json result = {{"kind", kind}};
  result.update(particles_info(table));
  return result;
}

Json validate_npy(const std::string& path) {
  const auto array = io::read_npy(path);
  const bool real = array.type >= io::NpyType::f2;
  if (real) {
    const auto values = io::read_npy_as<double>(path).values;
    const auto bad = std::find_if(values.begin(), values.end(), [](double v) { return !std::isfinite(v); });
    if (bad != values.end())
      throw io::InputError({.file = path,
                            .where = "element " + std::to_string(bad - values.begin()),
                            .problem = "a NaN or an infinity",
                            .repair = "remove it"});
  }
  return npy_info(path);
}

Json validate_safetensors(const std::string& path, std::vector<std::string>& warnings) {
  const io::FileSource file(path);
  const auto header = io::parse_safetensors(file);
  const bool sums = std::any_of(header.metadata.begin(), header.metadata.end(),
                                [](const auto& pair) { return pair.first.starts_with("recon.crc32c"); });
  if (sums)
    io::verify_checkpoint(file);
  else
    warnings.push_back("the file holds no checksums: only its structure was checked");
  return {{"kind", "safetensors"}, {"tensors", header.tensors.size()}, {"checksums_agree", sums}};
}

Json validate_run(const std::string& path, std::vector<std::string>& warnings) {
  auto folder = io::RunFolder::read_only(path);
  const auto found = folder.latest_valid_checkpoint();
  warnings = folder.warnings();
  if (!found) throw io::InputError({.file = path, .problem = "the run holds no checkpoint yet"});
  return {{"kind", "run folder"}, {"newest_valid_checkpoint", found->path}};
}

void refuse_passthrough(Kind kind, const FileOptions& options) {
  if (kind != Kind::cs && !options.passthrough.empty()) throw UsageError("--passthrough is for a .cs file");
}

void finish(Json result, const FileOptions& options, const std::vector<std::string>& warnings) {
  result["warnings"] = warnings;
  if (!options.json) {
    result.erase("warnings");
    print_warnings(warnings, false);
  }
  print_result(result, options.json);
}

}  // namespace

int run_info(const FileOptions& options) {
  std::vector<std::string> warnings;
  const Kind kind = kind_of(options.file);
  refuse_passthrough(kind, options);
  Json result = {{"file", options.file}};
  switch (kind) {
    case Kind::mrc: {
      const auto file = io::MrcFile::open(options.file);
      warnings = file.header().warnings;
      result.update(mrc_info(file));
      break;
    }
    case Kind::star:
      result.update(star_info(options.file, warnings));
      break;
    case Kind::cs:
      result.update(cs_info(options, warnings));
      break;
    case Kind::pickle:
      result.update(pickle_info(options.file, warnings));
      break;
    case Kind::npy:
      result.update(npy_info(options.file));
      break;
    case Kind::safetensors:
      result.update(safetensors_info(options.file));
      break;
    case Kind::run_folder:
      result.update(run_info(options.file));
      break;
  }
  finish(result, options, warnings);
  return io::ok;
}

int run_validate(const FileOptions& options) {
  std::vector<std::string> warnings;
  const Kind kind = kind_of(options.file);
  refuse_passthrough(kind, options);
  if (kind != Kind::star && kind != Kind::cs && !options.datadir.empty())
    throw UsageError("--datadir is for a .star or .cs file");
  Json result = {{"file", options.file}, {"valid", true}};
  switch (kind) {
    case Kind::mrc: {
      const auto file = io::MrcFile::open(options.file);
      warnings = file.header().warnings;
      result.update(mrc_info(file));
      result.update(mrc_statistics(file));
      break;
    }
    case Kind::star:
      result.update(validate_particles(options, "STAR", warnings));
      break;
    case Kind::cs:
      result.update(validate_particles(options, "cryoSPARC table", warnings));
      break;
    case Kind::pickle:
      result.update(pickle_info(options.file, warnings));
      break;
    case Kind::npy:
      result.update(validate_npy(options.file));
      break;
    case Kind::safetensors:
      result.update(validate_safetensors(options.file, warnings));
      break;
    case Kind::run_folder:
      result.update(validate_run(options.file, warnings));
      break;
  }
  finish(result, options, warnings);
  return io::ok;
}

}  // namespace recon::apps
