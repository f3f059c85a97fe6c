#include "engine/analyze/report.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <filesystem>

#include "engine/analyze/markup.h"
#include "engine/analyze/report_sections.h"
#include "io/atomic_file.h"
#include "io/mrc.h"

namespace recon {
namespace {

/// Volumes that are shown, of a series and in all: each takes about 30 kB.
constexpr size_t shown_of_series = 20, shown_in_all = 60;
constexpr size_t most_bytes = 4'800'000;

/// The structure while the run goes on.
std::vector<SeriesLook> look_at_start(const RunRecord& run, std::span<const float> volume, Evidence& evidence) {
  const auto side = static_cast<int>(std::lround(std::cbrt(static_cast<double>(volume.size()))));
  evidence.volumes = {};
  SeriesLook look{.series = &run.series.front(), .volumes = {look_at(volume, side)}};
  evidence.volumes.push_back(look.volumes.front().figures);
  return {look};
}

std::vector<SeriesLook> look_at_series(const RunRecord& run, Evidence& evidence) {
  std::vector<SeriesLook> looks;
  size_t shown = 0;
  for (const SeriesRecord& series : run.series) {
    SeriesLook look{.series = &series, .volumes = {}};
    std::vector<float> first, last;
    for (const std::string& file : series.files) {
      if (look.volumes.size() == shown_of_series || shown == shown_in_all) break;
      const io::Volume volume = io::read_volume(file);
      look.volumes.push_back(look_at(volume.data, volume.side));
      evidence.volumes.push_back(look.volumes.back().figures);
      if (first.empty()) first = volume.data;
      last = volume.data;
      ++shown;
    }
    const bool sweep = series.name == "pc1" || series.name == "volumes";
    if (sweep && look.volumes.size() > 1 && first.size() == last.size()) {
      double difference = 0, power = 0;
      for (size_t i = 0; i < first.size(); ++i) {
        difference += std::pow(double(first[i]) - last[i], 2);
        power += 0.5 * (double(first[i]) * first[i] + double(last[i]) * last[i]);
      }
      evidence.change = {power > 0 ? std::sqrt(difference / power) : 0};
    }
    looks.push_back(std::move(look));
  }
  return looks;
}

std::string now_text() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[40];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &utc);
  return text;
}

std::string head(const std::string& name) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
         "'unsafe-inline'; script-src 'unsafe-inline'\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
         "<meta name=\"color-scheme\" content=\"light dark\">\n<title>" +
         escaped(name) + " – reconstruct</title>\n<style>\n" + report_style + "</style>\n</head>\n";
}

std::string state_text(const RunRecord& run) {
  std::string text = run.state;
  if (run.state == "running" && !run.epochs.empty())
    text += ", epoch " + std::to_string(run.epochs.back().epoch + 1) + " of " + std::to_string(run.epochs_of_stage) +
            (run.stages > 1
                 ? " of stage " + std::to_string(run.epochs.back().stage + 1) + " of " + std::to_string(run.stages)
                 : "");
  return text;
}

}  // namespace

std::string report_html(const ReportInput& input) {
  RunRecord run = read_run_record(input.run, input.analysis, input.truth);
  if (input.ended) run.state = "finished";
  if (run.pixel_size_angstrom <= 0 && input.particles) run.pixel_size_angstrom = input.particles->pixel_size_angstrom;
  Evidence evidence{.run = run, .volumes = {}, .change = {}, .views = {}};
  const bool young = run.series.empty() && !input.so_far.empty();
  if (young) run.series.push_back({.name = "so far", .files = {""}, .z = {}, .images = {}});
  const auto looks = young ? look_at_start(run, input.so_far, evidence) : look_at_series(run, evidence);
  if (young) run.series.front().files.clear();
  // Poses of a search are nobody's until it has begun.
  const bool posed = !input.matrices.empty() && (!run.searches || !run.epochs.empty());
  if (posed) evidence.views = {view_figures(input.matrices)};
  const Verdict verdict = judge(evidence);
  const auto path = std::filesystem::path(run.path).lexically_normal();
  const std::string name = path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
  std::string html = head(name);
  html += "<body>\n<header><p class=\"brand\">reconstruct</p><h1>" + escaped(name) + "</h1><p class=\"quiet\">" +
          (run.images > 0 ? count_text(run.images) + " images, " : std::string()) +
          (run.latent > 0 ? "a continuous family of structures" : "one structure") + "; " + escaped(state_text(run)) +
          "; " + now_text() + "</p></header>\n<main>\n";
  html += verdict_section(verdict);
  html += volume_section(run, looks);
  const std::string rest = resolution_section(run) + training_section(run) +
                           (posed ? pose_section(input, run.pixel_size_angstrom) : std::string()) +
                           ctf_section(input.particles) + data_section(run);
  const std::string foot =
      "</main>\n<footer>Made by reconstruct; the page needs nothing beside itself.</footer>\n<script>\n" +
      std::string(report_script) + "</script>\n</body>\n</html>\n";
  const size_t taken = html.size() + rest.size() + foot.size();
  html += latent_section(input, run, taken < most_bytes ? most_bytes - taken : 0);
  return html + rest + foot;
}

void write_report(const std::string& path, const ReportInput& input) {
  io::write_file(path, report_html(input), "report");
}

}  // namespace recon
