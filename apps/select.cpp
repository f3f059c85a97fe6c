#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "apps/options.h"
#include "apps/run_particles.h"
#include "engine/analyze/cluster.h"
#include "engine/analyze/statistics.h"
#include "io/cs.h"
#include "io/npy.h"

namespace recon::apps {
namespace {

/// pc3 of "pc", z1 of "z": the number from 1; 0 if the name is none of these.
int numbered_axis(const std::string& name, const std::string& prefix) {
  if (!name.starts_with(prefix) || name.size() == prefix.size() || name.size() > prefix.size() + 4) return 0;
  const std::string digits = name.substr(prefix.size());
  return digits.find_first_not_of("0123456789") == std::string::npos ? std::atoi(digits.c_str()) : 0;
}

/// The columns that a selection speaks of: z1 ..., pc1 ..., and those of the particle file.
class Columns {
 public:
  explicit Columns(const RunParticles& run) : run_(run) {}

  std::vector<double> values(const std::string& name) {
    if (const int axis = numbered_axis(name, "z")) return latent(name, axis);
    if (const int axis = numbered_axis(name, "pc")) return component(name, axis);
    if (run_.particles.cs) return field(name);
    const auto found = run_.particles.source.empty() ? std::nullopt : io::particle_column(run_.particles.source, name);
    if (!found)
      throw UsageError("no column '" + io::printable(name) + "': z1, pc1 ..., or a label of the particle file");
    return *found;
  }

 private:
  std::vector<double> latent(const std::string& name, int axis) const {
    if (axis < 1 || axis > run_.latent)
      throw UsageError("no column " + name + ": there are " + std::to_string(run_.latent) + " latents");
    std::vector<double> out;
    for (int64_t row = 0; row < run_.particles.size(); ++row) out.push_back(run_.latent_at(row, axis - 1));
    return out;
  }
  std::vector<double> component(const std::string& name, int axis) {
    if (axis < 1 || axis > run_.latent)
      throw UsageError("no column " + name + ": there are " + std::to_string(run_.latent) + " latents");
    if (components_.scores.empty()) components_ = principal_components(run_.z, run_.latent, run_.latent);
    std::vector<double> out;
    for (size_t row = 0; row < static_cast<size_t>(run_.particles.size()); ++row)
      out.push_back(components_.scores[row * static_cast<size_t>(run_.latent) + static_cast<size_t>(axis - 1)]);
    return out;
  }
  /// `ctf/df1_A`, or of several numbers a row `alignments3D/shift:2`, from 1.
  std::vector<double> field(const std::string& name) const {
    const size_t colon = name.find(':');
    const int component = colon == std::string::npos ? 1 : std::atoi(name.c_str() + colon + 1);
    const io::CsColumn* column = run_.particles.cs->find(name.substr(0, colon));
    if (!column || column->field.kind == 'S' || component < 1 || component > column->components())
      throw UsageError("no column '" + io::printable(name) + "' of numbers: z1, pc1 ..., or a field of the .cs file");
    std::vector<double> out;
    for (int64_t row = 0; row < run_.particles.size(); ++row) out.push_back(column->number(row, component - 1));
    return out;
  }
  const RunParticles& run_;
  PrincipalComponents components_;
};

double number(const std::string& text, const char* option) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end || std::isnan(value))
    throw UsageError(std::string(option) + ": '" + io::printable(text) + "' is not a number");
  return value;
}

void keep_range(Columns& columns, std::span<const std::string> range, std::vector<bool>& keep) {
  const std::vector<double> values = columns.values(range[0]);
  const double low = number(range[1], "--range"), high = number(range[2], "--range");
  for (size_t i = 0; i < keep.size(); ++i) keep[i] = keep[i] && values[i] >= low && values[i] <= high;
}

using Polygon = std::vector<std::array<double, 2>>;

/// Corners "x,y x,y ...", or the rows of a .npy file.
Polygon polygon_of(const std::string& text) {
  std::vector<double> numbers;
  if (text.ends_with(".npy")) {
    numbers = io::read_npy_rows<double>(text, 2);
  } else {
    std::string words = text;
    std::replace(words.begin(), words.end(), ',', ' ');
    std::istringstream stream(words);
    for (std::string word; stream >> word;) numbers.push_back(number(word, "--lasso"));
  }
  if (numbers.size() < 6 || numbers.size() % 2 != 0)
    throw UsageError("--lasso: three corners or more are wanted, 'x,y x,y x,y' or a .npy of shape (corners, 2)");
  Polygon polygon;
  for (size_t i = 0; i < numbers.size(); i += 2) polygon.push_back({numbers[i], numbers[i + 1]});
  return polygon;
}

/// By the parity of the edges that a ray to the right crosses.
bool inside(const Polygon& polygon, double x, double y) {
  bool odd = false;
  for (size_t i = 0, j = polygon.size() - 1; i < polygon.size(); j = i++) {
    const auto [ax, ay] = polygon[i];
    const auto [bx, by] = polygon[j];
    if ((ay > y) != (by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax) odd = !odd;
  }
  return odd;
}

void keep_lasso(Columns& columns, std::span<const std::string> lasso, std::vector<bool>& keep) {
  const std::vector<double> x = columns.values(lasso[0]), y = columns.values(lasso[1]);
  const Polygon polygon = polygon_of(lasso[2]);
  for (size_t i = 0; i < keep.size(); ++i) keep[i] = keep[i] && inside(polygon, x[i], y[i]);
}

std::vector<int64_t> cluster_labels(const SelectOptions& options, const RunParticles& run) {
  if (!options.labels.empty()) {
    const auto file = io::read_npy_as<int64_t>(options.labels);
    if (static_cast<int64_t>(file.values.size()) != run.particles.size())
      throw io::InputError({.file = options.labels,
                            .value = std::to_string(file.values.size()) + " labels",
                            .problem = "not one for each of the " + std::to_string(run.particles.size()) + " images",
                            .repair = "give the labels of these particles"});
    return file.values;
  }
  if (run.latent == 0) throw UsageError("--kmeans: there are no latents; give a run with --zdim, or --latents");
  if (*options.kmeans > run.particles.size()) throw UsageError("--kmeans: more clusters than images");
  ThreadPool threads;
  const Clusters clusters = kmeans(threads, run.z, run.latent, *options.kmeans, options.seed);
  return {clusters.labels.begin(), clusters.labels.end()};
}

void keep_clusters(const SelectOptions& options, const RunParticles& run, std::vector<bool>& keep) {
  const std::vector<int64_t> labels = cluster_labels(options, run);
  for (const int64_t wanted : options.clusters)
    if (std::find(labels.begin(), labels.end(), wanted) == labels.end())
      throw UsageError("--cluster: no image has the label " + std::to_string(wanted) + "; labels count from 0");
  for (size_t i = 0; i < keep.size(); ++i)
    keep[i] =
        keep[i] && std::find(options.clusters.begin(), options.clusters.end(), labels[i]) != options.clusters.end();
}

void keep_images(const std::vector<int64_t>& images, std::vector<bool>& keep) {
  std::vector<bool> listed(keep.size(), false);
  for (const int64_t image : images) {
    if (image < 1 || image > static_cast<int64_t>(keep.size()))
      throw UsageError("--images: " + std::to_string(image) + " is not one of 1 to " + std::to_string(keep.size()));
    listed[static_cast<size_t>(image - 1)] = true;
  }
  for (size_t i = 0; i < keep.size(); ++i) keep[i] = keep[i] && listed[i];
}

std::vector<int64_t> selected_rows(const SelectOptions& options, const RunParticles& run) {
  std::vector<bool> keep(static_cast<size_t>(run.particles.size()), true);
  Columns columns(run);
  for (size_t i = 0; i + 3 <= options.ranges.size(); i += 3)
    keep_range(columns, std::span(options.ranges).subspan(i, 3), keep);
  for (size_t i = 0; i + 3 <= options.lassos.size(); i += 3)
    keep_lasso(columns, std::span(options.lassos).subspan(i, 3), keep);
  if (!options.clusters.empty()) keep_clusters(options, run, keep);
  if (!options.images.empty()) keep_images(options.images, keep);
  if (!options.index_file.empty()) {
    std::vector<int64_t> from_1 = io::read_subset(options.index_file, run.particles.size());
    for (int64_t& image : from_1) ++image;
    keep_images(from_1, keep);
  }
  std::vector<int64_t> rows;
  for (size_t i = 0; i < keep.size(); ++i)
    if (keep[i] != options.invert) rows.push_back(static_cast<int64_t>(i));
  if (rows.empty())
    throw io::InputError({.file = options.input,
                          .problem = "no particle is left by this selection",
                          .repair = "widen it; reconstruct analyze shows where the latents are"});
  return rows;
}

}  // namespace

int run_select(const SelectOptions& options) {
  if (options.clusters.empty() && (options.kmeans || !options.labels.empty()))
    throw UsageError("--kmeans and --labels: say with --cluster which clusters are kept");
  if (!options.clusters.empty() && !options.kmeans && options.labels.empty())
    throw UsageError("--cluster: say with --kmeans or --labels what the clusters are");
  std::error_code none;
  if (std::filesystem::equivalent(options.output, options.input, none))
    throw UsageError("-o: is the input itself; write to another file");
  RunParticles run = load_run_particles(options.input, options.load, options.latents);
  print_warnings(run.particles.warnings, options.json);
  const int64_t count = run.particles.size();
  const std::vector<int64_t> rows = selected_rows(options, run);
  if (options.output.ends_with(".npy")) {
    io::write_npy(options.output, rows, {static_cast<int64_t>(rows.size())});
  } else {
    std::vector<io::ExtraColumn> columns = run.latent_columns();
    for (auto& [label, values] : columns) {
      std::vector<double> some;
      for (const int64_t row : rows) some.push_back(values[static_cast<size_t>(row)]);
      values = std::move(some);
    }
    io::write_particles(options.output, io::take_particles(std::move(run.particles), rows), columns);
  }
  print_result({{"selection", options.output}, {"particles", rows.size()}, {"of", count}}, options.json);
  return io::ok;
}

}  // namespace recon::apps
