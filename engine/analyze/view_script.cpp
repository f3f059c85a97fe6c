#include "engine/analyze/view_script.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace recon {

std::string chimerax_script(const std::vector<std::string>& names, double level, double pixel_size_angstrom) {
  std::string text = "# ChimeraX: open this file\nopen";
  for (const std::string& name : names) text.append(" ").append(name);
  if (names.size() > 1) text += " vseries true";
  char line[160];
  std::snprintf(line, sizeof line, "\nvolume #1 style surface level %.6g color #8fb4d9 step 1", level);
  text += line;
  if (pixel_size_angstrom > 0) {
    std::snprintf(line, sizeof line, " voxelSize %.6g", pixel_size_angstrom);
    text += line;
  }
  text += "\nset bgColor white\nlighting soft\nview\n";
  if (names.size() > 1)
    text += "vseries slider #1\n# a movie: vseries play #1 direction oscillate loop true maxFrameRate 8\n";
  return text;
}

double surface_level(const std::vector<float>& volume, double sigmas) {
  double sum = 0, squares = 0;
  for (const float v : volume) sum += v, squares += double(v) * v;
  const double n = static_cast<double>(volume.size()), mean = sum / n;
  return mean + sigmas * std::sqrt(std::max(0.0, squares / n - mean * mean));
}

}  // namespace recon
