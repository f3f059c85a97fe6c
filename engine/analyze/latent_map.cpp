#include "engine/analyze/latent_map.h"

#include <algorithm>
#include <numeric>

#include "kernels/runtime/check.h"

namespace recon {
namespace {

/// Neighbours an image whose latents are steps of a path.
constexpr int path_neighbours = 15;

std::vector<float> row_of(std::span<const float> z, int latent, size_t image) {
  const auto row = z.subspan(image * static_cast<size_t>(latent), static_cast<size_t>(latent));
  return {row.begin(), row.end()};
}

LatentSeries of_images(const std::string& name, std::span<const float> z, int latent, std::span<const size_t> images) {
  LatentSeries series{.name = name, .z = {}, .images = {images.begin(), images.end()}};
  for (const size_t image : images) series.z.push_back(row_of(z, latent, image));
  return series;
}

Clusters numbered_clusters(ThreadPool& threads, std::span<const float> z, int latent, const LatentMapOptions& options) {
  const auto images = static_cast<int64_t>(z.size()) / latent;
  const int count = static_cast<int>(std::min<int64_t>(options.clusters, images));
  const Clusters found = kmeans(threads, z, latent, count, options.seed);
  std::vector<float> centres;
  for (const size_t image : found.representatives) {
    const auto centre = row_of(z, latent, image);
    centres.insert(centres.end(), centre.begin(), centre.end());
  }
  const auto order = tour(centres, latent);
  std::vector<int32_t> place(order.size());
  Clusters out;
  for (size_t i = 0; i < order.size(); ++i) {
    place[order[i]] = static_cast<int32_t>(i);
    out.representatives.push_back(found.representatives[order[i]]);
  }
  for (const int32_t label : found.labels) out.labels.push_back(place[static_cast<size_t>(label)]);
  return out;
}

/// So many images evenly spread, and those that must be there, ascending.
std::vector<size_t> spread_images(size_t images, size_t most, const std::vector<size_t>& stops) {
  std::vector<size_t> rows = stops;
  const size_t count = std::min(images, most);
  for (size_t i = 0; i < count; ++i) rows.push_back(i * images / count);
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  return rows;
}

/// The path over the graph of the images (of many, of as many as UMAP lays out).
DataPath path_of(ThreadPool& threads, std::span<const float> z, int latent, const LatentMapOptions& options,
                 const std::vector<size_t>& stops) {
  const auto rows =
      spread_images(z.size() / static_cast<size_t>(latent), static_cast<size_t>(options.layout.most), stops);
  if (rows.size() < 2) return {.points = stops, .gaps = {}};
  std::vector<float> points;
  for (const size_t row : rows) {
    const auto point = row_of(z, latent, row);
    points.insert(points.end(), point.begin(), point.end());
  }
  std::vector<size_t> vertices;
  for (const size_t stop : stops)
    vertices.push_back(static_cast<size_t>(std::lower_bound(rows.begin(), rows.end(), stop) - rows.begin()));
  const int count = std::min(path_neighbours, static_cast<int>(rows.size()) - 1);
  const Neighbours near = NeighbourTree(points, latent).of_each_other(threads, count);
  DataPath path = path_through(joined(near, near.distance, [](float a, float b) { return std::max(a, b); }), vertices);
  for (size_t& point : path.points) point = rows[point];
  return path;
}

void add_path(ThreadPool& threads, std::span<const float> z, int latent, const LatentMapOptions& options,
              LatentMap& map) {
  map.path = path_of(threads, z, latent, options, options.path.empty() ? map.clusters.representatives : options.path);
  std::vector<size_t> images;
  for (const size_t place : places_along(map.path, z, latent, options.steps)) images.push_back(map.path.points[place]);
  map.series.push_back(of_images("path", z, latent, images));
}

void add_line(std::span<const float> z, int latent, const LatentMapOptions& options, LatentMap& map) {
  const auto& centres = map.clusters.representatives;
  const size_t from = options.line.empty() ? centres.front() : options.line.front(),
               to = options.line.empty() ? centres.back() : options.line.back();
  const auto a = row_of(z, latent, from), b = row_of(z, latent, to);
  LatentSeries series{.name = "line", .z = {}, .images = {}};
  for (int i = 0; i < options.steps; ++i) {
    const float part = options.steps > 1 ? static_cast<float>(i) / static_cast<float>(options.steps - 1) : 0.5f;
    std::vector<float> point(a.size());
    for (size_t j = 0; j < a.size(); ++j) point[j] = (1 - part) * a[j] + part * b[j];
    series.z.push_back(std::move(point));
  }
  map.series.push_back(std::move(series));
}

}  // namespace

LatentMap map_latents(ThreadPool& threads, std::span<const float> z, int latent, const LatentMapOptions& options) {
  expect(latent > 0 && !z.empty() && z.size() % static_cast<size_t>(latent) == 0, "latents: whole rows are wanted");
  expect(options.clusters > 0 && options.components > 0 && options.steps > 0, "latents: one of each at least");
  expect(options.line.empty() || options.line.size() == 2, "latents: a line joins two images");
  for (const auto* images : {&options.path, &options.line})
    for (const size_t image : *images)
      expect(image < z.size() / static_cast<size_t>(latent), "latents: an image that is not there");
  LatentMap map{.components = principal_components(z, latent, options.components),
                .umap = {},
                .clusters = numbered_clusters(threads, z, latent, options)};
  map.series.push_back(of_images("kmeans", z, latent, map.clusters.representatives));
  const int kept = static_cast<int>(map.components.variance.size());
  for (int c = 0; c < kept; ++c)
    map.series.push_back(
        {.name = "pc" + std::to_string(c + 1), .z = sweep_latents(map.components, c, options.steps), .images = {}});
  if (latent < 2) return map;
  add_path(threads, z, latent, options, map);
  add_line(z, latent, options, map);
  if (options.umap && latent > 2) map.umap = umap(threads, z, latent, options.layout);
  return map;
}

}  // namespace recon
