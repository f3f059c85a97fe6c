#include <sys/stat.h>

#include <charconv>
#include <filesystem>
#include <limits>

#include "io/error.h"
#include "io/particle_columns.h"

namespace recon::io {
namespace {

constexpr std::string_view kImageName = "_rlnImageName";

bool exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0;
}

std::string joined(const std::string& folder, std::string_view name) {
  if (folder.empty()) return std::string(name);
  return folder + (folder.ends_with('/') ? "" : "/") + std::string(name);
}

/// The STAR file's folder and its parents; the list ends at a RELION project's root, or at the file system's.
std::vector<std::string> folders_above(const std::string& star_path) {
  std::error_code error;
  std::filesystem::path folder = std::filesystem::absolute(star_path, error).parent_path();
  std::vector<std::string> folders;
  while (!folder.empty()) {
    folders.push_back(folder.string());
    // RELION 3.1 leaves a copy of that file in the folder of every job, beside job.star.
    const bool project =
        exists(joined(folders.back(), "default_pipeline.star")) && !exists(joined(folders.back(), "job.star"));
    if (project || folder == folder.parent_path()) break;
    folder = folder.parent_path();
  }
  return folders;
}

}  // namespace

bool split_image_name(std::string_view name, int64_t& index_from_1, std::string_view& stack) {
  const size_t at = name.find('@');
  if (at == 0 || at == std::string_view::npos || at + 1 == name.size()) return false;
  const auto [end, error] = std::from_chars(name.data(), name.data() + at, index_from_1);
  if (error != std::errc() || end != name.data() + at || name[0] == '-') return false;
  stack = name.substr(at + 1);
  if (stack.starts_with('>')) stack.remove_prefix(1);  // cryoSPARC marks imported files so
  return !stack.empty();
}

std::vector<std::string> resolve_image_paths(const std::vector<std::string>& written, const std::string& star_path,
                                             const std::string& datadir, const std::string& field) {
  const std::vector<std::string> above = folders_above(star_path);
  std::vector<std::string> resolved, missing;
  for (const std::string& name : written) {
    const bool absolute = name.starts_with('/');
    const std::string_view base = std::string_view(name).substr(name.rfind('/') + 1);
    std::vector<std::string> candidates = {name};
    if (!absolute && !datadir.empty()) candidates.push_back(joined(datadir, name));
    if (!absolute)
      for (const std::string& folder : above) candidates.push_back(joined(folder, name));
    if (!base.empty() && !datadir.empty()) candidates.push_back(joined(datadir, base));
    if (!base.empty() && !above.empty()) candidates.push_back(joined(above.front(), base));
    bool found = false;
    for (std::string& candidate : candidates)
      if (exists(candidate)) {
        resolved.push_back(std::move(candidate));
        found = true;
        break;
      }
    if (!found) missing.push_back(name);
  }
  if (missing.empty()) return resolved;
  std::string problem =
      std::to_string(missing.size()) + " of " + std::to_string(written.size()) + " image stacks are missing:";
  for (size_t i = 0; i < missing.size() && i < 5; ++i) problem.append(" ").append(printable(missing[i]));
  if (missing.size() > 5) problem += " ...";
  throw MissingFiles({.file = star_path,
                      .field = field,
                      .problem = problem,
                      .repair = "give --datadir FOLDER, the folder that these paths start from"},
                     std::move(missing));
}

ImageNames::ImageNames(const ParticleColumns& columns, ParticleTable& table) : columns_(columns), table_(table) {
  if (columns.particles().column(kImageName) < 0)
    columns.refuse_missing(kImageName, "nothing says where the images are", "give a particle STAR file");
  table.images.reserve(static_cast<size_t>(columns.particles().rows()));
}

void ImageNames::add(int64_t row, std::string_view name) {
  const auto refuse = [&](const char* problem, const char* repair) {
    columns_.refuse(columns_.particles(), row, kImageName, name, problem, repair);
  };
  int64_t index = 0;
  std::string_view stack;
  if (!split_image_name(name, index, stack))
    refuse("not an image name", "write NUMBER@STACK.mrcs with a number from 1");
  if (index < 1) refuse("images are counted from 1", "correct the number before '@'");
  if (index > std::numeric_limits<int32_t>::max())
    refuse("no stack holds so many images", "correct the number before '@'");
  if (table_.files.empty() || stack != last_stack_) {
    auto found = number_of_.find(stack);
    if (found == number_of_.end()) {
      found = number_of_.emplace(stack, static_cast<uint32_t>(table_.files.size())).first;
      table_.files.emplace_back(stack);
    }
    last_stack_ = stack;
    last_file_ = found->second;
  }
  table_.images.push_back({last_file_, static_cast<int32_t>(index - 1)});
}

}  // namespace recon::io
