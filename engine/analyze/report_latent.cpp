// The latent space in a report: density, clusters, where volumes were made, and images to choose.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "engine/analyze/chart.h"
#include "engine/analyze/markup.h"
#include "engine/analyze/report_sections.h"
#include "engine/analyze/statistics.h"
#include "io/deflate.h"
#include "io/npy.h"

namespace recon {
namespace {

// The frame of a plane in the SVG's own units.
constexpr double plane_left = 54, plane_top = 8, plane_size = 400, plane_width = 470, plane_height = 452;

/// Images in a plane: [N, 2], with the names of its axes.
struct Plane {
  std::string title, x_label, y_label, summary;
  std::vector<float> points;
  const PrincipalComponents* axes = nullptr;  ///< of a plane that points beside the images have a place in
};

struct Frame {
  const DensityRaster& raster;
  double x(double v) const { return plane_left + plane_size * (v - raster.low[0]) / (raster.high[0] - raster.low[0]); }
  double y(double v) const {
    return plane_top + plane_size - plane_size * (v - raster.low[1]) / (raster.high[1] - raster.low[1]);
  }
  std::string at(const std::array<double, 2>& point) const {
    const auto text = [](double v) { return number_text(std::round(10 * std::clamp(v, 0.0, 480.0)) / 10); };
    return text(x(point[0])) + " " + text(y(point[1]));
  }
};

size_t nearest_image(std::span<const float> z, const std::vector<float>& point) {
  size_t best = 0;
  float least = INFINITY;
  for (size_t i = 0; i < z.size() / point.size(); ++i) {
    float sum = 0;
    for (size_t j = 0; j < point.size(); ++j)
      sum += (z[i * point.size() + j] - point[j]) * (z[i * point.size() + j] - point[j]);
    if (sum < least) least = sum, best = i;
  }
  return best;
}

/// Where volume i of a series stands: at its image, by its components, or at the image nearest to its z.
std::array<double, 2> place_of(const Plane& plane, std::span<const float> z, const SeriesRecord& series, size_t i) {
  if (plane.axes) {
    std::array<double, 2> out = {0, 0};
    const size_t dimension = plane.axes->mean.size();
    for (size_t c = 0; c < 2; ++c)
      for (size_t j = 0; j < dimension; ++j)
        out[c] += (series.z[i][j] - plane.axes->mean[j]) * plane.axes->axes[c * dimension + j];
    return out;
  }
  const size_t images = plane.points.size() / 2;
  size_t image = i < series.images.size() ? static_cast<size_t>(series.images[i] - 1) : nearest_image(z, series.z[i]);
  image = std::min(image, images - 1);
  return {plane.points[2 * image], plane.points[2 * image + 1]};
}

int colour_of(const std::string& series) {
  return series == "path" ? 1 : series == "line" ? 3 : series == "pc2" ? 4 : series == "kmeans" ? 6 : 2;
}

std::string markers(const Plane& plane, const Frame& frame, const RunRecord& run, std::span<const float> z) {
  std::string lines, dots, centres;
  for (const SeriesRecord& series : run.series) {
    const std::string style = colour_class(colour_of(series.name));
    std::string way;
    for (size_t i = 0; i < series.z.size(); ++i) {
      const std::string at = frame.at(place_of(plane, z, series, i)), x = at.substr(0, at.find(' ')),
                        y = at.substr(at.find(' ') + 1);
      const std::string volume = series.name + "-" + std::to_string(i + 1);
      const std::string label = series_title(series.name) + ", " + std::to_string(i + 1);
      way.append(way.empty() ? "M" : "L").append(at);
      if (series.name == "kmeans")
        centres += "<g class=\"centre\" tabindex=\"0\" role=\"button\" aria-label=\"cluster " + std::to_string(i + 1) +
                   "\" data-volume=\"" + volume + "\" data-cluster=\"" + std::to_string(i) + "\"><circle cx=\"" + x +
                   "\" cy=\"" + y + "\" r=\"10\"/><text x=\"" + x + "\" y=\"" + y +
                   "\" dy=\"4\" text-anchor=\"middle\">" + std::to_string(i + 1) + "</text></g>";
      else
        dots += "<circle class=\"sample " + style + "\" data-volume=\"" + escaped(volume) + "\" cx=\"" + x +
                "\" cy=\"" + y + "\" r=\"4.5\"><title>" + escaped(label) + "</title></circle>";
    }
    if (series.name == "path" && run.path_images.size() > 1) {
      way.clear();
      for (const int64_t image : run.path_images) {
        const auto row =
            static_cast<size_t>(std::clamp<int64_t>(image - 1, 0, static_cast<int64_t>(plane.points.size() / 2) - 1));
        way.append(way.empty() ? "M" : "L").append(frame.at({plane.points[2 * row], plane.points[2 * row + 1]}));
      }
    }
    if (series.name != "kmeans" && (plane.axes || series.name == "path"))
      lines += "<path class=\"way " + style + "\" d=\"" + way + "\"/>";
  }
  return lines + dots + centres;
}

std::string axes_of(const Plane& plane, const Frame& frame) {
  const auto number = [](double v) { return number_text(std::round(10 * v) / 10); };
  std::string out = "<rect class=\"frame\" x=\"" + number(plane_left) + "\" y=\"" + number(plane_top) + "\" width=\"" +
                    number(plane_size) + "\" height=\"" + number(plane_size) + "\"/>";
  for (const double v : round_ticks(frame.raster.low[0], frame.raster.high[0], 6))
    out += "<text class=\"tick\" x=\"" + number(frame.x(v)) + "\" y=\"" + number(plane_top + plane_size + 16) +
           "\" text-anchor=\"middle\">" + number_text(v) + "</text>";
  for (const double v : round_ticks(frame.raster.low[1], frame.raster.high[1], 6))
    out += "<text class=\"tick\" x=\"" + number(plane_left - 5) + "\" y=\"" + number(frame.y(v) + 4) +
           "\" text-anchor=\"end\">" + number_text(v) + "</text>";
  return out + "<text class=\"label\" x=\"" + number(plane_left + plane_size / 2) + "\" y=\"" +
         number(plane_height - 8) + "\" text-anchor=\"middle\">" + escaped(plane.x_label) +
         "</text><text class=\"label\" x=\"12\" y=\"" + number(plane_top + plane_size / 2) +
         "\" text-anchor=\"middle\" transform=\"rotate(-90 12 " + number(plane_top + plane_size / 2) + ")\">" +
         escaped(plane.y_label) + "</text>";
}

std::string plane_figure(const Plane& plane, const DensityRaster& raster, const RunRecord& run,
                         std::span<const float> z, bool selects) {
  const Frame frame{raster};
  const auto number = [](double v) { return number_text(v); };
  return "<figure class=\"chart plane\"><figcaption>" + escaped(plane.title) + "</figcaption><svg viewBox=\"0 0 " +
         number(plane_width) + " " + number(plane_height) + "\" role=\"img\" aria-label=\"" +
         escaped(plane.title + ". " + plane.summary) + "\"" + (selects ? " data-plane" : "") +
         "><image class=\"density\" x=\"" + number(plane_left) + "\" y=\"" + number(plane_top) + "\" width=\"" +
         number(plane_size) + "\" height=\"" + number(plane_size) +
         "\" preserveAspectRatio=\"none\" href=\"data:image/png;base64," + raster.png + "\"/>" + axes_of(plane, frame) +
         markers(plane, frame, run, z) + "</svg></figure>\n";
}

std::string key_of(const RunRecord& run) {
  std::string out = "<p class=\"legend\">";
  for (const SeriesRecord& series : run.series)
    if (!series.z.empty())
      out += "<span><i class=\"" + colour_class(colour_of(series.name)) + "\"></i>" +
             escaped(series_title(series.name)) + "</span> ";
  return out + "</p>";
}

std::string cluster_list(const std::vector<int32_t>& labels, std::vector<size_t>& sizes) {
  for (const int32_t label : labels) {
    if (label < 0 || label > 9999) continue;
    if (sizes.size() <= static_cast<size_t>(label)) sizes.resize(static_cast<size_t>(label) + 1, 0);
    ++sizes[static_cast<size_t>(label)];
  }
  if (sizes.empty()) return "";
  std::string out = "<p>Clusters (k-means) and their images:</p><ul class=\"chips\">";
  for (size_t i = 0; i < sizes.size(); ++i)
    out += "<li><button type=\"button\" data-cluster=\"" + std::to_string(i) + "\">" + std::to_string(i + 1) +
           "<small>" + count_text(static_cast<int64_t>(sizes[i])) + "</small></button></li>";
  return out + "</ul>";
}

/// Where each image is drawn and in which cluster it is, for the script; nothing where they would not fit.
std::string places_of(const DensityRaster& raster, const std::vector<int32_t>& labels, size_t clusters,
                      size_t bytes_left) {
  const auto packed = [](std::span<const uint8_t> bytes) { return base64(io::deflate(bytes)); };
  const size_t images = raster.cell_of.size() / 2;
  std::vector<uint8_t> cells(raster.cell_of.size()), bytes;
  for (size_t i = 0; i < images; ++i) cells[i] = raster.cell_of[2 * i], cells[images + i] = raster.cell_of[2 * i + 1];
  const std::string places = packed(cells);
  if (places.size() > bytes_left) return "";
  std::string out = "<script type=\"text/plain\" id=\"places\" data-cells=\"" + std::to_string(raster.cells) +
                    "\" data-images=\"" + std::to_string(images) + "\">" + places + "</script>";
  if (clusters == 0 || clusters > 255 || labels.size() != images) return out;
  for (const int32_t label : labels) bytes.push_back(static_cast<uint8_t>(label));
  const std::string named = packed(bytes);
  if (places.size() + named.size() <= bytes_left)
    out += "<script type=\"text/plain\" id=\"labels\">" + named + "</script>";
  return out;
}

std::string chooser(const std::string& clusters, const std::string& places) {
  if (places.empty() && clusters.empty()) return "";
  std::string out = "<div class=\"chooser\">" + clusters;
  if (places.empty()) return out + "<p class=\"quiet\">Too many images to choose them here.</p></div>";
  out += clusters.empty()
             ? "<p class=\"onscreen\">Draw around images in the plane to choose them.</p>"
             : "<p class=\"onscreen\">Draw around images in the plane, or pick clusters, to choose images.</p>";
  return out +
         "<p class=\"onscreen\"><output id=\"chosen\">No images are chosen.</output></p><p class=\"onscreen\">"
         "<button type=\"button\" id=\"save\" disabled>Save the numbers</button> <button type=\"button\" id=\"clear\" "
         "disabled>Clear</button></p><p class=\"quiet onscreen\">The file has one image a line: its row in the "
         "particle "
         "file, from 1.</p><figure class=\"preview onscreen\" hidden><img alt=\"The volume under the pointer\">"
         "<figcaption></figcaption></figure></div>" +
         places;
}

std::vector<int32_t> labels_at(const std::string& path, int64_t images) {
  if (!std::filesystem::exists(path)) return {};
  auto labels = io::read_npy_as<int32_t>(path).values;
  if (static_cast<int64_t>(labels.size()) != images) labels.clear();
  return labels;
}

/// Of all dimensions together.
double variance_of(std::span<const float> z, const std::vector<double>& mean) {
  double sum = 0;
  for (size_t i = 0; i < z.size(); ++i) sum += (z[i] - mean[i % mean.size()]) * (z[i] - mean[i % mean.size()]);
  return sum / static_cast<double>(z.size() / mean.size());
}

std::string axis_section(std::span<const float> z, const std::string& clusters) {
  BarChart chart = histogram({z.begin(), z.end()}, 60, false);
  chart.title = "Images along the latent", chart.x_label = "z", chart.y_label = "images";
  chart.summary = "Median " + number_text(median({z.begin(), z.end()})) + ".";
  return "<div class=\"charts\">" + html_of(chart) + "</div>" +
         (clusters.empty() ? "" : "<div class=\"chooser\">" + clusters + "</div>");
}

}  // namespace

std::string latent_section(const ReportInput& input, const RunRecord& run, size_t bytes_left) {
  if (run.latent == 0 || input.z.empty()) return "";
  const auto images = static_cast<int64_t>(input.z.size()) / run.latent;
  const auto labels =
      input.analysis.empty() ? std::vector<int32_t>{} : labels_at(input.analysis + "/labels.npy", images);
  std::vector<size_t> sizes;
  const std::string clusters = cluster_list(labels, sizes);
  const std::string lead =
      "Every image has a place in the latent space; images of the same structure lie together. "
      "Separate groups are states, a band is a motion.";
  const std::string more =
      input.analysis.empty() ? "<p class=\"quiet\">Clusters, UMAP, paths through the data and the volumes along them: "
                               "<code>reconstruct analyze " +
                                   escaped(run.path) + "</code></p>"
                             : std::string();
  if (run.latent == 1) return section("latent", "Latent space", lead, axis_section(input.z, clusters) + more);
  const PrincipalComponents pc = principal_components(input.z, run.latent, 2);
  const double all = variance_of(input.z, pc.mean);
  const auto part = [&](size_t c) {
    return all > 0 ? number_text(std::round(100 * pc.variance[c] / all)) + " %" : "0 %";
  };
  Plane flat{.title = "Principal components",
             .x_label = "component 1 (" + part(0) + " of the variance)",
             .y_label = "component 2 (" + part(1) + ")",
             .summary = "Density of the images in the plane of the first two components.",
             .points = {pc.scores.begin(), pc.scores.end()},
             .axes = &pc};
  std::vector<Plane> planes;
  const std::string umap = input.analysis + "/umap.npy";
  if (!input.analysis.empty() && std::filesystem::exists(umap)) {
    Plane plane{.title = "UMAP of the " + std::to_string(run.latent) + " dimensions",
                .x_label = "UMAP 1",
                .y_label = "UMAP 2",
                .summary =
                    "Density of the images; neighbours in the latent space are neighbours here, distances between "
                    "groups say little.",
                .points = io::read_npy_rows<float>(umap, 2)};
    if (plane.points.size() == 2 * static_cast<size_t>(images)) planes.push_back(std::move(plane));
  }
  planes.push_back(std::move(flat));
  std::string figures, places;
  for (const Plane& plane : planes) {
    const DensityRaster raster = density_raster(plane.points);
    const bool first = &plane == &planes.front();
    const size_t taken = figures.size() + raster.png.size() + 120'000;  // the second plane and the markers
    if (first && taken < bytes_left) places = places_of(raster, labels, sizes.size(), bytes_left - taken);
    figures += plane_figure(plane, raster, run, input.z, first && !places.empty());
  }
  return section("latent", "Latent space", lead,
                 key_of(run) + "<div class=\"planes\">" + figures + chooser(clusters, places) + "</div>" + more);
}

}  // namespace recon
