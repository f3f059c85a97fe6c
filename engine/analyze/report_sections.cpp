// The verdict, the volumes and the summary of a report.
#include "engine/analyze/report_sections.h"

#include <algorithm>

#include "engine/analyze/markup.h"

namespace recon {
namespace {

const char* name_of(Sign sign) {
  switch (sign) {
    case Sign::good:
      return "good";
    case Sign::unsure:
      return "unsure";
    case Sign::bad:
      return "bad";
    case Sign::open:
      break;
  }
  return "open";
}

/// Shape and word beside the colour, for those who do not see it.
const char* mark_of(Sign sign) {
  switch (sign) {
    case Sign::good:
      return "✓";
    case Sign::unsure:
      return "!";
    case Sign::bad:
      return "✗";
    case Sign::open:
      break;
  }
  return "–";
}

const char* word_of(Sign sign) {
  switch (sign) {
    case Sign::good:
      return "good";
    case Sign::unsure:
      return "look at this";
    case Sign::bad:
      return "fails";
    case Sign::open:
      break;
  }
  return "not judged";
}

std::string z_text(const std::vector<float>& z) {
  if (z.size() != 1) return "";
  return "z = " + number_text(z[0]);
}

std::string card(const SeriesRecord& series, const VolumeLook& look, size_t i) {
  const std::string number = std::to_string(i + 1);
  std::string text = series.name == "kmeans" ? "cluster " + number : series.files.size() > 1 ? number : "";
  if (i < series.z.size() && series.z[i].size() == 1) text += " · " + z_text(series.z[i]);
  if (i < series.images.size()) text += " · image " + std::to_string(series.images[i]);
  const std::string name = series_title(series.name) + (series.files.size() > 1 ? ", " + number : "");
  return "<figure class=\"volume\" id=\"" + escaped(series.name) + "-" + number + "\">" +
         image_tag(look.surface, "Shaded surface of the volume: " + name, " class=\"surface\"") +
         image_tag(look.slices, "Central slices across z, y and x: " + name, " class=\"slices\"") +
         (text.empty() ? "" : "<figcaption>" + escaped(text) + "</figcaption>") + "</figure>";
}

/// One picture that a slider leads through the series; the script fills it.
std::string player(const SeriesRecord& series, size_t count) {
  if (count < 3 || series.name == "kmeans") return "";
  return "<div class=\"player\" data-series=\"" + escaped(series.name) +
         "\" hidden><img alt=\"The volume that the slider stands at\"><div><label>Move along: <input type=\"range\" "
         "min=\"1\" max=\"" +
         std::to_string(count) + "\" value=\"1\"></label> <button type=\"button\">Play</button></div></div>";
}

std::string folder_text(const SeriesRecord& series) {
  const std::string& file = series.files.front();
  return file.substr(0, file.rfind('/') == std::string::npos ? 0 : file.rfind('/'));
}

}  // namespace

std::string section(const std::string& id, const std::string& title, const std::string& lead, const std::string& body) {
  return "<section id=\"" + id + "\"><h2>" + escaped(title) + "</h2>" +
         (lead.empty() ? "" : "<p class=\"lead\">" + escaped(lead) + "</p>") + body + "</section>\n";
}

std::string image_tag(const std::string& png, const std::string& description, const std::string& more) {
  return "<img src=\"data:image/png;base64," + png + "\" alt=\"" + escaped(description) + "\"" + more + ">";
}

std::string series_title(const std::string& name) {
  if (name == "kmeans") return "Cluster centres";
  if (name == "path") return "Along a path through the data";
  if (name == "line") return "Along a straight line";
  if (name == "so far") return "As it stands while the run goes on";
  if (name.starts_with("pc")) return "Along principal component " + name.substr(2);
  return "Volumes";
}

std::string verdict_section(const Verdict& verdict) {
  std::string list = "<ul class=\"checks\">";
  for (const Check& c : verdict.checks)
    list += std::string("<li class=\"") + name_of(c.sign) + "\"><span class=\"mark\" role=\"img\" aria-label=\"" +
            word_of(c.sign) + "\">" + mark_of(c.sign) + "</span><div><b>" + escaped(c.title) + "</b> " +
            escaped(c.text) + "</div></li>";
  list += "</ul>";
  return std::string("<section id=\"verdict\" class=\"verdict ") + name_of(verdict.sign) +
         "\"><h2>Did it work?</h2><p class=\"answer\"><span class=\"mark\" aria-hidden=\"true\">" +
         mark_of(verdict.sign) + "</span>" + escaped(verdict.answer) + "</p><p class=\"why\">" + escaped(verdict.why) +
         "</p>" + list + "</section>\n";
}

std::string volume_section(const RunRecord& run, const std::vector<SeriesLook>& looks) {
  std::string body;
  for (const SeriesLook& look : looks) {
    const SeriesRecord& series = *look.series;
    if (looks.size() > 1 || series.files.empty()) body += "<h3>" + escaped(series_title(series.name)) + "</h3>";
    body += "<div class=\"series\">" + player(series, look.volumes.size()) + "<div class=\"volumes" +
            (look.volumes.size() == 1 ? " single" : "") + "\">";
    for (size_t i = 0; i < look.volumes.size(); ++i) body += card(series, look.volumes[i], i);
    body += "</div></div>";
    if (look.volumes.size() < series.files.size())
      body += "<p class=\"quiet\">" + std::to_string(series.files.size() - look.volumes.size()) +
              " more are not shown.</p>";
    if (!series.files.empty()) body += "<p class=\"quiet\">Maps: <code>" + escaped(folder_text(series)) + "</code></p>";
  }
  if (body.empty()) body = "<p class=\"quiet\">They are made when the run ends.</p>";
  return section(
      "volumes", run.latent > 0 ? "Structures" : "The structure",
      "Shaded surface at 2.5 standard deviations above the mean, seen along z; below it the central slices "
      "across z, y and x. A particle is compact, with detail inside; a failed run shows a shell, a ball or dust.",
      body);
}

std::string data_section(const RunRecord& run) {
  std::string body;
  if (!run.warnings.empty()) {
    body += "<h3>Warnings</h3><ul>";
    for (const std::string& w : run.warnings) body += "<li>" + escaped(w) + "</li>";
    body += "</ul>";
  }
  body += "<div class=\"scroll\"><table><tbody>";
  for (const auto& [name, text] : run.facts)
    body += "<tr><th scope=\"row\">" + escaped(name) + "</th><td>" + escaped(text) + "</td></tr>";
  body += "<tr><th scope=\"row\">folder</th><td>" + escaped(run.path) + "</td></tr>";
  body += "<tr><th scope=\"row\">time</th><td>" + time_text(run.elapsed_seconds) + "</td></tr></tbody></table></div>";
  return section("data", "Data and settings", "", body);
}

}  // namespace recon
