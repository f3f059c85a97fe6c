#pragma once
#include <optional>
#include <string>

#include "engine/analyze/cluster.h"
#include "engine/analyze/path.h"
#include "engine/analyze/statistics.h"
#include "engine/analyze/umap.h"

namespace recon {

/// How the latents of a run are looked at.
struct LatentMapOptions {
  int clusters = 10;         ///< of k-means; at most one an image
  int components = 2;        ///< principal components that are kept and swept; at most the latent's dimensions
  int steps = 10;            ///< volumes along each component, the path and the line
  std::vector<size_t> path;  ///< images that the path passes through; none: the cluster centres, in their order
  std::vector<size_t> line;  ///< two images that the line joins; none: the first and the last cluster centre
  bool umap = true;          ///< where the latent has more than two dimensions
  UmapOptions layout;        ///< its `most` images also make the graph of the path
  uint64_t seed = 0;         ///< of the clusters
};

/// Latents at which volumes are wanted, in the order in which they are to be seen.
struct LatentSeries {
  std::string name;  ///< also of its folder: kmeans, pc1, pc2, path, line
  std::vector<std::vector<float>> z;
  std::vector<int64_t> images;  ///< whose z each is, from 0; empty where they lie between images
};

struct LatentMap {
  PrincipalComponents components;
  std::optional<std::vector<float>> umap;  ///< [N, 2]
  Clusters clusters;                       ///< numbered along tour() of their centres
  DataPath path;                           ///< no points where the latent has one dimension: it is the axis itself
  std::vector<LatentSeries> series;
};

/// Latents z [N, latent] seen from all sides. With one dimension there is neither a path nor a line nor UMAP: clusters
/// and a sweep show all there is. Throws ContractError for no image or an image that is not there.
LatentMap map_latents(ThreadPool& threads, std::span<const float> z, int latent, const LatentMapOptions& options);

}  // namespace recon
