#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace recon {

/// Median of a set; the mean of the middle two for an even count, 0 for none.
double median(std::vector<double> values);

/// Spearman's rank correlation, ties given their mean rank; 0 where one side is constant. Throws ContractError when the
/// counts differ or are below 2.
double spearman(std::span<const double> a, std::span<const double> b);

/// How well latents [N, dimension] (row-major) order the images along a known one-dimensional coordinate.
struct LatentOrder {
  double principal = 0;   ///< |Spearman| of the first principal component
  double regression = 0;  ///< |Spearman| of a smooth function of the latents, see below
};

/// `principal` is the usual figure and is right where the latents lie along a line. A curve in several dimensions (a
/// horseshoe) needs more: `regression` predicts the rank of the coordinate from all polynomials up to degree 3 in the
/// first four principal components (scaled to unit variance) by ridge regression, fitted on even images and judged on
/// odd ones and the other way round, so that latents without information score near 0 for any dimension.
LatentOrder latent_order(std::span<const float> latents, int dimension, std::span<const double> coordinate);

/// Principal components of rows [N, dimension]: scores [N, kept] in falling order of variance, each with the sign that
/// makes its largest loading positive.
struct PrincipalComponents {
  std::vector<double> mean;      ///< [dimension]
  std::vector<double> axes;      ///< [kept, dimension], orthonormal rows
  std::vector<double> variance;  ///< [kept]
  std::vector<double> scores;    ///< [N, kept]
};
PrincipalComponents principal_components(std::span<const float> rows, int dimension, int kept);

/// Points at `count` even steps between the 5th and the 95th percentile of a component (0 the first), through the mean.
std::vector<std::vector<float>> sweep_latents(const PrincipalComponents& components, int component, int count);

}  // namespace recon
