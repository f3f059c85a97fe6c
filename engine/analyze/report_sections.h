#pragma once
// Parts of the report (report.h), each a <section> or nothing.
#include <string>
#include <vector>

#include "engine/analyze/report.h"
#include "engine/analyze/report_pictures.h"

namespace recon {

/// Texts of the files report.css and report.js, built in.
extern const char* const report_style;
extern const char* const report_script;

/// The volumes of a series as they are shown.
struct SeriesLook {
  const SeriesRecord* series;
  std::vector<VolumeLook> volumes;  ///< of the first so many
};

/// id="..."> with a heading and a lead sentence. `body` is HTML.
std::string section(const std::string& id, const std::string& title, const std::string& lead, const std::string& body);
/// <img> of a base64 PNG; `more`: further attributes, from a blank on.
std::string image_tag(const std::string& png, const std::string& description, const std::string& more = "");
/// What a series is called, and one sentence about it.
std::string series_title(const std::string& name);

std::string verdict_section(const Verdict& verdict);
std::string volume_section(const RunRecord& run, const std::vector<SeriesLook>& looks);
std::string training_section(const RunRecord& run);
std::string resolution_section(const RunRecord& run);
std::string pose_section(const ReportInput& input, double pixel_size_angstrom);
std::string ctf_section(const io::ParticleTable* particles);
std::string data_section(const RunRecord& run);
/// `bytes_left`: that the places of the images may take in the page, so that images can be selected there.
std::string latent_section(const ReportInput& input, const RunRecord& run, size_t bytes_left);

}  // namespace recon
