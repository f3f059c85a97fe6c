#include "kernels/pose/pose.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/cpu.h"
#include "kernels/pose/draw.h"
#include "kernels/pose/grid.h"
#include "kernels/pose/pose_rows_cpu.h"
#include "kernels/pose/pose_tally.h"
#include "kernels/runtime/vector_math.h"

// One image a task. Budget of a level at D = 64, 8 kept: 64 slices × 72 shifts × 3,208 pixels = 15 Mflop of products
// and 0.1 M phase factors: far below the cost of making the slices.
namespace recon::cpu {

RECON_SIMD void shift_weighted(const float* image, const float* ctf, const float* kx, const float* ky, int64_t pairs,
                               float tx, float ty, float* out) {
  // A choice within the loop would keep it from being vectorised, so weights are a loop of their own.
#pragma omp simd
  for (int64_t j = 0; j < pairs; ++j) {
    float s, c;
    sincos_turns(kx[j] * tx + ky[j] * ty, s, c);
    const float a = image[2 * j], b = image[2 * j + 1];
    out[2 * j] = c * a + s * b;
    out[2 * j + 1] = c * b - s * a;
  }
  if (!ctf) return;
#pragma omp simd
  for (int64_t i = 0; i < 2 * pairs; ++i) out[i] *= ctf[i];
}

RECON_SIMD double weighted_norm(const float* slice, const float* ctf, int64_t count) {
  constexpr int64_t block = 512;
  double total = 0;
  for (int64_t first = 0; first < count; first += block) {
    const int64_t last = std::min(count, first + block);
    float sum = 0;
    if (ctf) {
#pragma omp simd reduction(+ : sum)
      for (int64_t i = first; i < last; ++i) sum += (ctf[i] * slice[i]) * (ctf[i] * slice[i]);
    } else {
#pragma omp simd reduction(+ : sum)
      for (int64_t i = first; i < last; ++i) sum += slice[i] * slice[i];
    }
    total += sum;
  }
  return total;
}

void pair_frequencies(View<const Pixel> pixels, int side, float* kx, float* ky) {
  const float step = 1.0f / static_cast<float>(side);
  for (int64_t j = 0; j < pixels.size() / 2; ++j) {
    kx[j] = static_cast<float>(pixels[2 * j].x) * step;
    ky[j] = static_cast<float>(pixels[2 * j].y) * step;
  }
}

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// Rows [6, P]: the five derivatives of an image's residual, and the residual.
RECON_SIMD void pose_derivatives(const PoseEquations& a, int64_t b, float* rows) {
  const int64_t count = a.pixels.size();
  const float *slice = a.slices.row(4 * b), *turned = slice + count, *target = a.targets.row(b);
  const float* ctf = a.ctf.empty() ? nullptr : a.ctf.row(b);
  const Pixel* pixels = a.pixels.data;
  const float quotient = 1 / a.step_rad, turns = -6.283185307f / static_cast<float>(a.side);
#pragma omp simd
  for (int64_t j = 0; j < count / 2; ++j)
    for (int64_t half = 0; half < 2; ++half) {
      const int64_t p = 2 * j + half;
      const float g = ctf ? ctf[p] : 1.0f, at = slice[p], opposite = turns * g * slice[2 * j + 1 - half];
      for (int64_t axis = 0; axis < 3; ++axis) rows[axis * count + p] = g * quotient * (turned[axis * count + p] - at);
      rows[3 * count + p] = static_cast<float>(pixels[p].x) * opposite;
      rows[4 * count + p] = static_cast<float>(pixels[p].y) * opposite;
      rows[5 * count + p] = g * at - target[p];
    }
}

/// Σ g² D² + 2 c √(Σ g² D² X²), D = slice − other (null: 0).
RECON_SIMD float reserve_of(const float* slice, const float* other, const float* image, const float* ctf, int64_t count,
                            float deviations) {
  float power = 0, variance = 0;
#pragma omp simd reduction(+ : power, variance)
  for (int64_t i = 0; i < count; ++i) {
    const float d = (ctf ? ctf[i] : 1.0f) * (other ? slice[i] - other[i] : slice[i]);
    power += d * d;
    variance += d * d * image[i] * image[i];
  }
  return power + 2 * deviations * std::sqrt(variance);
}

RECON_SIMD float dot(const float* a, const float* b, int64_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

RECON_SIMD double squared_distance(const float* slice, const float* ctf, const float* shifted, int64_t count) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) {
    const float e = (ctf ? ctf[i] * slice[i] : slice[i]) - shifted[i];
    sum += double(e) * e;
  }
  return sum;
}

void score_image(Device& device, const PoseScore& a, int64_t b, int worker) {
  const int64_t list = a.nodes.shared ? 0 : b, pixels = a.pixels.size(), pairs = pixels / 2;
  const int64_t capacity_r = a.nodes.rotations.cols, capacity_t = a.nodes.shifts.cols;
  const int rotations = a.nodes.rotation_count[list], shifts = a.nodes.shift_count[list];
  float* scratch = device.scratch(worker, static_cast<size_t>(capacity_t * pixels + 2 * pairs));
  float *shifted = scratch, *kx = scratch + capacity_t * pixels, *ky = kx + pairs;
  pair_frequencies(a.pixels, a.side, kx, ky);
  const float* ctf = a.ctf.empty() ? nullptr : a.ctf.row(b);
  const ShiftNode* nodes = a.nodes.shifts.row(list);
  for (int t = 0; t < shifts; ++t)
    shift_weighted(a.images.row(b), ctf, kx, ky, pairs, static_cast<float>(nodes[t].x) * a.shift_unit_px,
                   static_cast<float>(nodes[t].y) * a.shift_unit_px, shifted + t * pixels);
  const float* slices = a.slices.row(a.slices_shared ? 0 : b * capacity_r);
  float* scores = a.scores.row(b);
  std::fill(scores, scores + a.scores.cols, infinity);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rotations, shifts, static_cast<int>(pixels), -2, slices,
              static_cast<int>(pixels), shifted, static_cast<int>(pixels), 0, scores, static_cast<int>(capacity_t));
  const double image_norm = weighted_norm(a.images.row(b), nullptr, pixels);
  for (int r = 0; r < rotations; ++r) {
    const float offset = static_cast<float>(image_norm + weighted_norm(slices + r * pixels, ctf, pixels));
    for (int t = 0; t < shifts; ++t) scores[r * capacity_t + t] += offset;
  }
}

void select_image(const PoseSelect& a, int64_t b) {
  const int64_t list = a.nodes.shared ? 0 : b, capacity_t = a.nodes.shifts.cols, keep = a.kept.rotations.cols;
  const int rotations = a.nodes.rotation_count[list], shifts = a.nodes.shift_count[list];
  const float* scores = a.scores.row(b);
  const float bound = a.bound.empty() ? infinity : a.bound[b];
  struct Entry {
    float score;
    int32_t index;
    bool operator<(const Entry& o) const { return score < o.score || (score == o.score && index < o.index); }
  };
  thread_local std::vector<Entry> entries;
  entries.clear();
  Entry best{infinity, 0};
  for (int r = 0; r < rotations; ++r) {
    Entry row{infinity, 0};
    for (int t = 0; t < shifts; ++t) {
      const Entry entry{scores[r * capacity_t + t], static_cast<int32_t>(r * capacity_t + t)};
      if (entry < row) row = entry;
      if (!a.per_rotation && entry.score < bound) entries.push_back(entry);
    }
    if (row < best) best = row;
    if (a.per_rotation && row.score < bound) entries.push_back(row);
  }
  a.kept.below[b] = static_cast<int32_t>(entries.size());
  if (entries.empty()) entries.push_back(best);
  const auto count = std::min<int64_t>(keep, static_cast<int64_t>(entries.size()));
  std::partial_sort(entries.begin(), entries.begin() + count, entries.end());
  a.kept.count[b] = static_cast<int32_t>(count);
  for (int64_t i = 0; i < count; ++i) {
    const Entry& entry = entries[static_cast<size_t>(i)];
    a.kept.rotations(b, i) = a.nodes.rotations(list, entry.index / capacity_t);
    a.kept.shifts(b, i) = a.nodes.shifts(list, entry.index % capacity_t);
    a.kept.scores(b, i) = entry.score;
  }
}

/// Sorts and merges a list in place; returns how many distinct entries it holds.
template <class Node, class Key>
int32_t merge(Node* nodes, int64_t count, Key key) {
  std::sort(nodes, nodes + count, [&](const Node& x, const Node& y) { return key(x) < key(y); });
  return static_cast<int32_t>(
      std::unique(nodes, nodes + count, [&](const Node& x, const Node& y) { return key(x) == key(y); }) - nodes);
}
int64_t rotation_key(const GridRotation& n) { return int64_t{n.pixel} << 32 | static_cast<uint32_t>(n.psi); }
int64_t shift_key(const ShiftNode& n) { return int64_t{n.y} << 32 | static_cast<uint32_t>(n.x + (1 << 30)); }

/// Fills counts, flags and matrices once the nodes of image b are listed.
void finish_nodes(const PoseNodes& n, int64_t b, int32_t rotations, int32_t shifts, int level) {
  const int64_t capacity = n.rotations.cols;
  n.rotation_count[b] = rotations;
  n.shift_count[b] = shifts;
  for (int64_t r = 0; r < capacity; ++r) {
    n.active[b * capacity + r] = r < rotations;
    if (r < rotations) so3_matrix(n.rotations(b, r), level, n.matrices.row(b * capacity + r));
  }
}

void expand_image(const PoseExpand& a, int64_t b) {
  const int32_t kept = a.kept.count[b];
  GridRotation* rotations = a.children.rotations.row(b);
  ShiftNode* shifts = a.children.shifts.row(b);
  int64_t nr = 0, nt = 0;
  const int reach = a.shift_cell / (a.overlapping_shifts ? 2 : 4);
  for (int32_t i = 0; i < kept; ++i) {
    so3_children(a.kept.rotations(b, i), a.level, rotations + nr);
    nr += 8;
    const ShiftNode centre = a.kept.shifts(b, i);
    if (reach == 0) shifts[nt++] = centre;
    for (int dy = -1; dy <= 1 && reach > 0; ++dy)
      for (int dx = -1; dx <= 1; ++dx)
        if (a.overlapping_shifts || (dx != 0 && dy != 0)) shifts[nt++] = {centre.x + dx * reach, centre.y + dy * reach};
  }
  finish_nodes(a.children, b, merge(rotations, nr, rotation_key), merge(shifts, nt, shift_key), a.level + 1);
}

}  // namespace

void pose_score(Device& device, const PoseScore& a) {
  device.threads().run(a.images.rows, [&](int64_t b, int worker) { score_image(device, a, b, worker); });
}

void pose_best(Device&, const PoseBest& a) {
  const int64_t capacity_t = a.nodes.shifts.cols;
  for (int64_t b = 0; b < a.scores.rows; ++b) {
    const int64_t list = a.nodes.shared ? 0 : b;
    const float* scores = a.scores.row(b);
    const int64_t index = std::min_element(scores, scores + a.scores.cols) - scores;
    const float* matrix = a.nodes.matrices.row(list * a.nodes.rotations.cols + index / capacity_t);
    std::copy(matrix, matrix + 9, a.matrices.row(b));
    const ShiftNode shift = a.nodes.shifts(list, index % capacity_t);
    a.shifts(b, 0) = static_cast<float>(shift.x) * a.shift_unit_px;
    a.shifts(b, 1) = static_cast<float>(shift.y) * a.shift_unit_px;
    a.best[b] = scores[index];
  }
}

void pose_draw(Device& device, const PoseDraw& a) {
  device.threads().run(a.scores.rows, [&](int64_t b, int) {
    float* scores = a.scores.row(b);
    const float scale = 2 * a.best[b] / static_cast<float>(a.pixels);
    for (int64_t first = 0; first < a.scores.cols; first += 4) {
      const u32x4 words = candidate_words(a.seed, a.sub, a.image[b], first / 4);
      for (int64_t i = first; i < std::min(first + 4, a.scores.cols); ++i)
        if (scores[i] < infinity) scores[i] += scale * negative_gumbel(words.v[i - first]);
    }
  });
}

void pose_bound(Device& device, const PoseBound& a) {
  const int64_t pixels = a.pixels.size(), pairs = pixels / 2;
  device.threads().run(a.images.rows, [&](int64_t b, int worker) {
    float* scratch = device.scratch(worker, static_cast<size_t>(2 * pixels));
    float *shifted = scratch, *kx = scratch + pixels, *ky = kx + pairs;
    pair_frequencies(a.pixels, a.side, kx, ky);
    shift_weighted(a.images.row(b), nullptr, kx, ky, pairs, a.shifts(b, 0), a.shifts(b, 1), shifted);
    a.bound[b] =
        static_cast<float>(squared_distance(a.slices.row(b), a.ctf.empty() ? nullptr : a.ctf.row(b), shifted, pixels));
  });
}

void pose_reserve(Device& device, const PoseReserve& a) {
  const int64_t count = a.slices.cols - a.first;
  device.threads().run(a.images.rows, [&](int64_t b, int) {
    const float *image = a.images.row(b), *ctf = a.ctf.empty() ? nullptr : a.ctf.row(b);
    float unseen = 0, cell = 0;
    for (int64_t m = 0; m < a.slices.rows; ++m) {
      const float* slice = a.slices.row(m);
      unseen = std::max(unseen, reserve_of(slice + a.first, nullptr, image + a.first, ctf ? ctf + a.first : nullptr,
                                           count, a.deviations));
      cell += reserve_of(slice, a.moved.row(m), image, ctf, a.first, 0) / static_cast<float>(a.slices.rows);
    }
    a.bound[b] += unseen + cell - static_cast<float>(weighted_norm(image + a.first, nullptr, count));
  });
}

void pose_equations(Device& device, const PoseEquations& a) {
  const int64_t pixels = a.pixels.size();
  device.threads().run(a.targets.rows, [&](int64_t b, int worker) {
    float* rows = device.scratch(worker, static_cast<size_t>((pose_parameters + 1) * pixels));
    pose_derivatives(a, b, rows);
    float* sums = a.sums.row(b);
    for (int i = 0; i <= pose_parameters; ++i)
      for (int j = 0; j <= i; ++j) *sums++ = dot(rows + i * pixels, rows + j * pixels, pixels);
  });
}

void pose_select(Device& device, const PoseSelect& a) {
  device.threads().run(a.scores.rows, [&](int64_t b, int) { select_image(a, b); });
}

void pose_expand(Device& device, const PoseExpand& a) {
  device.threads().run(a.kept.rotations.rows, [&](int64_t b, int) { expand_image(a, b); });
}

void pose_count(Device&, const PoseCount& a) {
  for (int64_t b = 0; b < a.images; ++b) pose_tally(a, b, a.sums.data);
}

void pose_finalists(Device& device, const PoseKept& kept, const PoseNodes& nodes, int level) {
  device.threads().run(kept.rotations.rows, [&](int64_t b, int) {
    const int32_t count = kept.count[b];
    std::copy_n(kept.rotations.row(b), count, nodes.rotations.row(b));
    std::copy_n(kept.shifts.row(b), count, nodes.shifts.row(b));
    finish_nodes(nodes, b, merge(nodes.rotations.row(b), count, rotation_key),
                 merge(nodes.shifts.row(b), count, shift_key), level);
  });
}

}  // namespace recon::cpu
