#include "engine/analyze/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/geometry/cholesky.h"
#include "kernels/runtime/check.h"

namespace recon {
namespace {

/// Ranks from 0, equal values sharing their mean rank.
std::vector<double> ranks(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t i, size_t j) { return values[i] < values[j]; });
  std::vector<double> rank(values.size());
  for (size_t first = 0; first < order.size();) {
    size_t last = first;
    while (last + 1 < order.size() && values[order[last + 1]] == values[order[first]]) ++last;
    for (size_t i = first; i <= last; ++i) rank[order[i]] = 0.5 * static_cast<double>(first + last);
    first = last + 1;
  }
  return rank;
}

double pearson(std::span<const double> a, std::span<const double> b) {
  const auto count = static_cast<double>(a.size());
  const double mean_a = std::accumulate(a.begin(), a.end(), 0.0) / count;
  const double mean_b = std::accumulate(b.begin(), b.end(), 0.0) / count;
  double cross = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    cross += (a[i] - mean_a) * (b[i] - mean_b);
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
  }
  return aa > 0 && bb > 0 ? cross / std::sqrt(aa * bb) : 0;
}

/// Eigenvectors (columns of `vectors` [n, n]) of a symmetric matrix [n, n], which becomes diagonal: cyclic Jacobi.
void jacobi(std::vector<double>& a, std::vector<double>& vectors, size_t n) {
  vectors.assign(n * n, 0);
  for (size_t i = 0; i < n; ++i) vectors[i * n + i] = 1;
  for (int sweep = 0; sweep < 40; ++sweep) {
    double off = 0, diagonal = 0;
    for (size_t p = 0; p < n; ++p)
      for (size_t q = 0; q < n; ++q) (p == q ? diagonal : off) += a[p * n + q] * a[p * n + q];
    if (off <= 1e-28 * diagonal) return;
    for (size_t p = 0; p < n; ++p)
      for (size_t q = p + 1; q < n; ++q) {
        if (a[p * n + q] == 0) continue;
        const double theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
        const double t = (theta >= 0 ? 1 : -1) / (std::abs(theta) + std::hypot(theta, 1.0));
        const double c = 1 / std::hypot(t, 1.0), s = t * c;
        const auto rotate = [&](double& x, double& y) {
          const double old = x;
          x = c * old - s * y;
          y = s * old + c * y;
        };
        for (size_t k = 0; k < n; ++k) rotate(a[k * n + p], a[k * n + q]);
        for (size_t k = 0; k < n; ++k) rotate(a[p * n + k], a[q * n + k]);
        for (size_t k = 0; k < n; ++k) rotate(vectors[k * n + p], vectors[k * n + q]);
      }
  }
}

/// All products of at most three of the variables, 1 included.
std::vector<double> cubic_features(std::span<const double> x) {
  std::vector<double> features = {1};
  for (size_t i = 0; i < x.size(); ++i) {
    features.push_back(x[i]);
    for (size_t j = i; j < x.size(); ++j) {
      features.push_back(x[i] * x[j]);
      for (size_t k = j; k < x.size(); ++k) features.push_back(x[i] * x[j] * x[k]);
    }
  }
  return features;
}

/// Ridge regression of `target` on features [N, n], fitted on one parity of the rows and predicting the other.
std::vector<double> cross_fitted(const std::vector<std::vector<double>>& features, std::span<const double> target) {
  const size_t n = features[0].size();
  std::vector<double> predicted(target.size());
  for (const size_t parity : {size_t{0}, size_t{1}}) {
    std::vector<double> normal(n * n, 0), right(n, 0);
    for (size_t row = parity; row < target.size(); row += 2)
      for (size_t i = 0; i < n; ++i) {
        right[i] += features[row][i] * target[row];
        for (size_t j = 0; j < n; ++j) normal[i * n + j] += features[row][i] * features[row][j];
      }
    for (size_t i = 0; i < n; ++i) normal[i * n + i] = normal[i * n + i] * (1 + 1e-6) + 1e-3;
    const auto unknowns = static_cast<int64_t>(n);
    factorise(normal.data(), unknowns);
    solve_lower(normal.data(), unknowns, right.data());
    solve_upper(normal.data(), unknowns, right.data());
    for (size_t row = 1 - parity; row < target.size(); row += 2)
      predicted[row] = std::inner_product(right.begin(), right.end(), features[row].begin(), 0.0);
  }
  return predicted;
}

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2) return *middle;
  return 0.5 * (*middle + *std::max_element(values.begin(), middle));
}

double spearman(std::span<const double> a, std::span<const double> b) {
  expect(a.size() == b.size() && a.size() >= 2, "spearman: two sets of one size, at least 2");
  return pearson(ranks(a), ranks(b));
}

PrincipalComponents principal_components(std::span<const float> rows, int dimension, int kept) {
  expect(dimension > 0 && !rows.empty() && rows.size() % static_cast<size_t>(dimension) == 0,
         "principal components: rows must be [count, dimension]");
  const auto n = static_cast<size_t>(dimension), count = rows.size() / n;
  const size_t k = std::min(n, static_cast<size_t>(std::max(kept, 1)));
  PrincipalComponents out;
  out.mean.assign(n, 0);
  for (size_t row = 0; row < count; ++row)
    for (size_t i = 0; i < n; ++i) out.mean[i] += rows[row * n + i] / static_cast<double>(count);
  std::vector<double> covariance(n * n, 0), vectors, centred(n);
  for (size_t row = 0; row < count; ++row) {
    for (size_t i = 0; i < n; ++i) centred[i] = rows[row * n + i] - out.mean[i];
    for (size_t i = 0; i < n; ++i)
      for (size_t j = 0; j < n; ++j) covariance[i * n + j] += centred[i] * centred[j] / static_cast<double>(count);
  }
  jacobi(covariance, vectors, n);
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return covariance[a * n + a] > covariance[b * n + b]; });
  for (size_t c = 0; c < k; ++c) {
    size_t largest = 0;
    for (size_t i = 0; i < n; ++i)
      if (std::abs(vectors[i * n + order[c]]) > std::abs(vectors[largest * n + order[c]])) largest = i;
    const double sign = vectors[largest * n + order[c]] < 0 ? -1 : 1;
    for (size_t i = 0; i < n; ++i) out.axes.push_back(sign * vectors[i * n + order[c]]);
    out.variance.push_back(covariance[order[c] * n + order[c]]);
  }
  out.scores.resize(count * k);
  for (size_t row = 0; row < count; ++row)
    for (size_t c = 0; c < k; ++c)
      for (size_t i = 0; i < n; ++i) out.scores[row * k + c] += (rows[row * n + i] - out.mean[i]) * out.axes[c * n + i];
  return out;
}

std::vector<std::vector<float>> sweep_latents(const PrincipalComponents& components, int component, int count) {
  const size_t kept = components.variance.size(), width = components.mean.size(), at = static_cast<size_t>(component);
  expect(component >= 0 && at < kept && count > 0, "sweep: a component that was kept, and at least one step");
  std::vector<double> scores;
  for (size_t i = at; i < components.scores.size(); i += kept) scores.push_back(components.scores[i]);
  std::sort(scores.begin(), scores.end());
  const auto percentile = [&](double p) {
    return scores[static_cast<size_t>(p * static_cast<double>(scores.size() - 1))];
  };
  std::vector<std::vector<float>> out;
  for (int i = 0; i < count; ++i) {
    const double part = count > 1 ? i / double(count - 1) : 0.5;
    const double score = percentile(0.05) + part * (percentile(0.95) - percentile(0.05));
    std::vector<float> point(width);
    for (size_t j = 0; j < width; ++j)
      point[j] = static_cast<float>(components.mean[j] + score * components.axes[at * width + j]);
    out.push_back(point);
  }
  return out;
}

LatentOrder latent_order(std::span<const float> latents, int dimension, std::span<const double> coordinate) {
  const size_t count = coordinate.size();
  expect(count >= 2 && dimension > 0 && latents.size() == count * static_cast<size_t>(dimension),
         "latent order: latents must be [N, dimension], N >= 2");
  const auto components = principal_components(latents, dimension, 4);
  const size_t kept = components.variance.size();
  std::vector<double> first(count);
  std::vector<std::vector<double>> features(count);
  for (size_t row = 0; row < count; ++row) {
    first[row] = components.scores[row * kept];
    std::vector<double> scaled(kept);
    for (size_t c = 0; c < kept; ++c)
      scaled[c] = components.scores[row * kept + c] / std::sqrt(std::max(components.variance[c], 1e-30));
    features[row] = cubic_features(scaled);
  }
  const auto rank = ranks(coordinate);
  return {.principal = std::abs(spearman(first, coordinate)),
          .regression = std::abs(spearman(cross_fitted(features, rank), coordinate))};
}

}  // namespace recon
