#include <sys/stat.h>

#include <charconv>
#include <filesystem>

#include "io/error.h"
#include "io/particle_columns.h"

namespace recon::io {
namespace {

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
                                             const std::string& datadir) {
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
                      .field = "_rlnImageName",
                      .problem = problem,
                      .repair = "give --datadir FOLDER, the folder that these paths start from"},
                     std::move(missing));
}

void load_image_names(const ParticleColumns& columns, ParticleTable& table) {
  const StarLoop& loop = columns.particles();
  constexpr std::string_view label = "_rlnImageName";
  const int column = loop.column(label);
  if (column < 0) columns.refuse_missing(label, "nothing says where the images are", "give a particle STAR file");
  std::unordered_map<std::string_view, uint32_t> number_of;
  std::string_view last_stack;
  uint32_t last_file = 0;
  table.images.reserve(static_cast<size_t>(loop.rows()));
  loop.for_each_row([&](int64_t row, auto cells) {
    const std::string_view name = cells[static_cast<size_t>(column)];
    int64_t index = 0;
    std::string_view stack;
    if (!split_image_name(name, index, stack))
      columns.refuse(loop, row, label, name, "not an image name", "write NUMBER@STACK.mrcs with a number from 1");
    if (index < 1) columns.refuse(loop, row, label, name, "images are counted from 1", "correct the number before '@'");
    if (table.files.empty() || stack != last_stack) {
      const auto [found, fresh] = number_of.emplace(stack, static_cast<uint32_t>(table.files.size()));
      if (fresh) table.files.emplace_back(stack);
      last_stack = stack;
      last_file = found->second;
    }
    table.images.push_back({last_file, index - 1});
  });
}

}  // namespace recon::io
