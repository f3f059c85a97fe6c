#pragma once
#include <string>
#include <vector>

namespace recon {

/// Commands for ChimeraX (view.cxc) that show maps lying in the script's folder: one as a surface, several as a series
/// with a slider. `level` is the surface's density; `pixel_size_angstrom` 0: unknown.
std::string chimerax_script(const std::vector<std::string>& names, double level, double pixel_size_angstrom);

/// Where render_surface puts the surface: mean + `sigmas` standard deviations.
double surface_level(const std::vector<float>& volume, double sigmas = 2.5);

}  // namespace recon
