// Curves and histograms of a report.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/analyze/chart.h"
#include "engine/analyze/fsc.h"
#include "engine/analyze/markup.h"
#include "engine/analyze/report_sections.h"
#include "engine/analyze/statistics.h"

namespace recon {
namespace {

constexpr int histogram_bars = 36;

/// Where each stage begins on the axis of all epochs, with its name.
std::vector<std::pair<double, std::string>> stage_borders(const RunRecord& run) {
  std::vector<std::pair<double, std::string>> borders;
  for (size_t i = 0; i < run.epochs.size(); ++i) {
    if (i > 0 && run.epochs[i].stage == run.epochs[i - 1].stage) continue;
    const auto stage = static_cast<size_t>(run.epochs[i].stage);
    const std::string name = stage < run.stage_names.size() ? run.stage_names[stage] : std::to_string(stage + 1);
    if (run.stages > 1) borders.emplace_back(static_cast<double>(i + 1), name);
  }
  return borders;
}

/// A value an epoch; the line is interrupted between stages by a point that is no number.
template <class Value>
Curve curve_of(const RunRecord& run, const std::string& name, int colour, const Value& value) {
  Curve curve{.name = name, .x = {}, .y = {}, .colour = colour};
  for (size_t i = 0; i < run.epochs.size(); ++i) {
    if (i > 0 && run.epochs[i].stage != run.epochs[i - 1].stage) {
      curve.x.push_back(static_cast<double>(i) + 0.5);
      curve.y.push_back(NAN);
    }
    curve.x.push_back(static_cast<double>(i + 1));
    curve.y.push_back(value(run.epochs[i]));
  }
  return curve;
}

bool any(const Curve& curve) {
  return std::any_of(curve.y.begin(), curve.y.end(), [](double v) { return std::isfinite(v) && v != 0; });
}

std::string from_to(const Curve& curve, const std::string& unit) {
  std::vector<double> seen;
  std::copy_if(curve.y.begin(), curve.y.end(), std::back_inserter(seen), [](double v) { return std::isfinite(v); });
  return seen.empty() ? "No values."
                      : "From " + number_text(seen.front()) + " to " + number_text(seen.back()) + unit + ".";
}

std::string search_charts(const RunRecord& run, const LineChart& frame) {
  std::string body;
  LineChart pose = frame;
  pose.curves = {
      curve_of(run, "median turn", 1, [](const EpochRecord& e) { return e.pose_change_degrees.value_or(NAN); })};
  if (any(pose.curves[0])) {
    pose.title = "How far poses moved since the last epoch";
    pose.y_label = "median turn (°)";
    pose.log_y = true;
    pose.summary = from_to(pose.curves[0], " degrees");
    body += html_of(pose);
  }
  size_t levels = 0;
  for (const EpochRecord& e : run.epochs) levels = std::max(levels, e.survivors.size());
  LineChart kept = frame;
  for (size_t level = 0; level < std::min<size_t>(levels, 6); ++level)
    kept.curves.push_back(
        curve_of(run, "level " + std::to_string(level + 1), static_cast<int>(level),
                 [&](const EpochRecord& e) { return level < e.survivors.size() ? e.survivors[level] : NAN; }));
  if (kept.curves.empty()) return body;
  kept.title = "Candidate poses that survive a level of the search";
  kept.y_label = "survivors an image";
  kept.log_y = true;
  kept.summary = from_to(kept.curves[0], " at the first level");
  return body + html_of(kept);
}

/// The frequencies of an FSC as resolutions on its axis.
std::vector<std::pair<double, std::string>> resolution_ticks(double angstrom) {
  std::vector<std::pair<double, std::string>> ticks;
  for (const double f : {0.1, 0.2, 0.3, 0.4, 0.5}) {
    const double length = (angstrom > 0 ? angstrom : 1) / f;
    ticks.emplace_back(f, number_text(length < 10 ? std::round(10 * length) / 10 : std::round(length)));
  }
  return ticks;
}

double degrees_of(double radians) { return radians * 180 / std::numbers::pi; }

}  // namespace

std::string training_section(const RunRecord& run) {
  LineChart frame{.x_label = run.stages > 1 ? "epoch (of all stages)" : "epoch"};
  frame.borders = stage_borders(run);
  LineChart loss = frame;
  loss.title = "Loss";
  loss.y_label = "squared error / image variance";
  loss.curves = {curve_of(run, "loss", 0, [](const EpochRecord& e) { return e.loss; })};
  loss.summary = from_to(loss.curves[0], "");
  std::string body = html_of(loss);
  LineChart kl = frame;
  kl.curves = {curve_of(run, "KL", 2, [](const EpochRecord& e) { return e.kl; })};
  if (run.latent > 0 && any(kl.curves[0])) {
    kl.title = run.encoder ? "What the latent tells (KL divergence)" : "Prior penalty of the latents";
    kl.y_label = run.encoder ? "nats an image" : "mean an image";
    kl.summary = from_to(kl.curves[0], "");
    body += html_of(kl);
  }
  body += search_charts(run, frame);
  return section("training", "Training",
                 "A run that works has a loss that falls and levels. Where poses are searched, they move by less and "
                 "less.",
                 "<div class=\"charts\">" + body + "</div>");
}

std::string resolution_section(const RunRecord& run) {
  if (!run.half_maps && !run.truth) return "";
  LineChart chart{.title = "Fourier shell correlation", .y_label = "correlation"};
  chart.x_label = run.pixel_size_angstrom > 0 ? "resolution (Å)" : "resolution (px)";
  chart.x_ticks = resolution_ticks(run.pixel_size_angstrom);
  std::string words;
  const auto add = [&](const std::optional<FscRecord>& fsc, const char* name, int colour, double threshold) {
    if (!fsc) return;
    chart.curves.push_back({.name = name, .x = fsc->frequency, .y = fsc->correlation, .colour = colour});
    const double px = resolution_px(fsc->correlation, threshold);
    words += std::string(words.empty() ? "" : " ") + name + " fall below " + number_text(threshold) + " at " +
             number_text(px * (run.pixel_size_angstrom > 0 ? run.pixel_size_angstrom : 1)) +
             (run.pixel_size_angstrom > 0 ? " Å." : " px.");
  };
  add(run.half_maps, "half maps", 0, 0.143);
  add(run.truth, "map and known structure", 1, 0.5);
  chart.levels = {{0.143, "0.143"}, {0.5, "0.5"}, {0, ""}};
  chart.summary = words;
  return section(
      "resolution", "Resolution",
      "How well two maps agree at each fineness of detail: 1 is perfect, 0 is chance. Half maps come from two "
      "networks, each trained on half of the images, at the same poses.",
      "<div class=\"charts\">" + html_of(chart) + "</div>");
}

std::string pose_section(const ReportInput& input, double pixel_size_angstrom) {
  const DirectionRaster directions = direction_raster(input.matrices);
  std::string body =
      "<figure class=\"chart\"><figcaption>Directions of view</figcaption>" +
      image_tag(directions.png,
                "Density of the directions of view in Mollweide's projection; the densest patch has " +
                    number_text(directions.most) + " times what even views give",
                " class=\"density globe\"") +
      "<p class=\"scale\"><span>0</span><i class=\"density\" style=\"background:" + density_gradient() +
      "\"></i><span>" + number_text(std::max(1.0, directions.most)) +
      " × even</span></p><p class=\"quiet\">Mollweide: north at the top, equal areas are equal.</p></figure>\n";
  std::vector<double> turns, lengths;
  for (size_t i = 0; i < input.matrices.size(); i += 9)
    turns.push_back(degrees_of(std::atan2(input.matrices[i + 5], -input.matrices[i + 2])));
  BarChart turn = histogram(turns, histogram_bars, true);
  turn.from = -180, turn.to = 180;
  turn.heights.assign(histogram_bars, 0);
  for (const double t : turns)
    ++turn.heights[static_cast<size_t>(std::clamp((t + 180) / 360 * histogram_bars, 0.0, histogram_bars - 1.0))];
  turn.title = "In-plane rotation", turn.x_label = "psi (°)", turn.y_label = "images";
  turn.summary = "Even where images lie in the plane at random.";
  body += html_of(turn);
  for (size_t i = 0; i + 1 < input.shifts.size(); i += 2)
    lengths.push_back(std::hypot(double(input.shifts[i]), input.shifts[i + 1]));
  BarChart shift = histogram(lengths, histogram_bars, false);
  shift.title = "Shifts", shift.x_label = "length of the shift (px)", shift.y_label = "images";
  const double middle = median(lengths);
  shift.summary = "Median " + number_text(middle) + " px" +
                  (pixel_size_angstrom > 0 ? ", " + number_text(middle * pixel_size_angstrom) + " Å" : "") + ".";
  body += html_of(shift);
  return section("poses", "Views",
                 "From where the images see the particle. Directions without images leave the map smeared along them; "
                 "even colour all over is best, and clusters are common in real data.",
                 "<div class=\"charts\">" + body + "</div>");
}

std::string ctf_section(const io::ParticleTable* particles) {
  if (!particles || !particles->has_ctf || particles->ctf.empty()) return "";
  std::vector<double> defocus, astigmatism;
  for (const io::Ctf& c : particles->ctf) {
    defocus.push_back((double(c.defocus_u_angstrom) + c.defocus_v_angstrom) / 2e4);
    astigmatism.push_back(std::abs(double(c.defocus_u_angstrom) - c.defocus_v_angstrom));
  }
  BarChart focus = histogram(defocus, histogram_bars, false),
           astigmatic = histogram(astigmatism, histogram_bars, false);
  focus.title = "Defocus", focus.x_label = "mean defocus (µm, positive: underfocus)", focus.y_label = "images";
  focus.summary = "Median " + number_text(median(defocus)) + " µm.";
  astigmatic.title = "Astigmatism", astigmatic.x_label = "difference of the two defoci (Å)",
  astigmatic.y_label = "images";
  astigmatic.summary = "Median " + number_text(median(astigmatism)) + " Å.";
  const io::Ctf& first = particles->ctf.front();
  return section("ctf", "Contrast transfer",
                 "The microscope's CTF of the images, from the particle file: " + number_text(first.voltage_kv) +
                     " kV, Cs " + number_text(first.spherical_aberration_mm) + " mm, amplitude contrast " +
                     number_text(first.amplitude_contrast) +
                     " (first image). Focus that varies fills the gaps of each image.",
                 "<div class=\"charts\">" + html_of(focus) + html_of(astigmatic) + "</div>");
}

}  // namespace recon
