#include "engine/pose/search.h"

#include <algorithm>
#include <cmath>

#include "engine/geometry/lattice.h"

namespace recon {

void SearchStatistics::add(const SearchStatistics& other) {
  if (levels.size() < other.levels.size()) levels.resize(other.levels.size());
  for (size_t i = 0; i < other.levels.size(); ++i) {
    levels[i].images += other.levels[i].images;
    levels[i].scored += other.levels[i].scored;
    levels[i].competing += other.levels[i].competing;
    levels[i].below_bound += other.levels[i].below_bound;
    levels[i].kept += other.levels[i].kept;
    levels[i].capped += other.levels[i].capped;
  }
}

PoseNodes PoseSearch::Lists::nodes(int64_t images, bool shared) const {
  const int64_t lists = shared ? 1 : images, capacity = rotations.view().cols;
  return {.rotations = rotations.rows(0, lists),
          .rotation_count = rotation_count.shaped(1, lists),
          .matrices = matrices.rows(0, lists * capacity),
          .active = active.shaped(1, lists * capacity),
          .shifts = shifts.rows(0, lists),
          .shift_count = shift_count.shaped(1, lists),
          .shared = shared};
}

PoseSearch::Lists PoseSearch::make_lists(int64_t lists, int64_t rotations, int64_t shifts) const {
  Device& d = *device_;
  Lists out;
  out.rotations = Buffer<GridRotation>(d, lists, rotations);
  out.rotation_count = Buffer<int32_t>(d, 1, lists);
  out.active = Buffer<int32_t>(d, 1, lists * rotations);
  out.shift_count = Buffer<int32_t>(d, 1, lists);
  out.matrices = Buffer<float>(d, lists * rotations, 9);
  out.shifts = Buffer<ShiftNode>(d, lists, shifts);
  return out;
}

PoseSearch::Lists PoseSearch::grid_lists(int level, int shift_subdivisions) const {
  const auto rotations = so3_size(level);
  const int cells = config_.shift_grid << shift_subdivisions, width = 2 << (config_.subdivisions - shift_subdivisions);
  const int64_t shifts = config_.shift_extent_px > 0 ? int64_t{cells} * cells : 1;
  Lists out = make_lists(1, rotations, shifts);
  std::vector<GridRotation> nodes;
  std::vector<float> matrices(static_cast<size_t>(9 * rotations));
  for (int32_t pixel = 0; pixel < so3_pixels(level); ++pixel)
    for (int32_t psi = 0; psi < so3_angles(level); ++psi) {
      so3_matrix(GridRotation{pixel, psi}, level, matrices.data() + 9 * nodes.size());
      nodes.push_back({pixel, psi});
    }
  std::vector<ShiftNode> centres;
  for (int y = 0; y < cells; ++y)
    for (int x = 0; x < cells; ++x)
      centres.push_back({(2 * x + 1 - cells) * (width / 2), (2 * y + 1 - cells) * (width / 2)});
  if (shifts == 1) centres = {ShiftNode{0, 0}};
  const int32_t counts[2] = {static_cast<int32_t>(rotations), static_cast<int32_t>(shifts)};
  out.rotations.upload(nodes);
  out.matrices.upload(matrices);
  out.shifts.upload(centres);
  out.rotation_count.upload({counts, 1});
  out.shift_count.upload({counts + 1, 1});
  out.active.upload(std::vector<int32_t>(static_cast<size_t>(rotations), 1));
  return out;
}

namespace {

/// Images that are searched together: as configured on the CPU, whose cores take them one by one; on a device with
/// memory of its own enough to fill it, in at most a quarter of what is free.
int images_a_chunk(const Device& device, const SearchConfig& config, int64_t pixels, int64_t base_pixels) {
  if (!device.state_or_null()) return config.chunk_images;
  constexpr int64_t most = 512;
  const int64_t rotations = so3_size(config.base_level), shifts = int64_t{config.shift_grid} * config.shift_grid;
  const int64_t slices = (8 * config.max_kept + 3) * pixels + rotations * base_pixels, scores = rotations * shifts;
  const auto an_image = static_cast<size_t>(slices + scores) * sizeof(float);
  const auto fitting = static_cast<int64_t>(device.state_or_null()->free_bytes() / 4 / an_image);
  return static_cast<int>(std::clamp<int64_t>(fitting, 1, most));
}

}  // namespace

PoseSearch::PoseSearch(Device& device, const SearchConfig& config, int side, const std::vector<Pixel>& host_pixels,
                       View<const Pixel> pixels)
    : device_(&device), config_(config), side_(side), host_pixels_(host_pixels), pixels_(pixels) {
  expect(config.band_min >= 1, "search: the base band holds no pixels");
  expect(config.max_kept >= 1 && config.subdivisions >= 1 && config.band_steps >= 2,
         "search: configuration out of range");
  set_band(config.band_min, config.band_max);
  config_.chunk_images = images_a_chunk(device, config, pixels_.size(), level_pixels(0));
  const int64_t chunk = config_.chunk_images, keep = config_.max_kept, all = pixels_.size();
  base_ = grid_lists(config_.base_level, 0);
  children_ = make_lists(chunk, 8 * keep, 9 * keep);
  slices_ = Buffer<float>(device, chunk * 8 * keep, all);
  scores_ = Buffer<float>(device, chunk, std::max(base_.rotations.size() * base_.shifts.size(), 72 * keep * keep));
  best_matrices_ = Buffer<float>(device, chunk, 9);
  best_shifts_ = Buffer<float>(device, chunk, 2);
  best_scores_ = Buffer<float>(device, 1, chunk);
  bound_slices_ = Buffer<float>(device, chunk, all);
  bounds_ = Buffer<float>(device, 1, chunk);
  if (config_.bound == Bound::noise) start_reserve();
  kept_scores_ = Buffer<float>(device, chunk, keep);
  kept_rotations_ = Buffer<GridRotation>(device, chunk, keep);
  kept_shifts_ = Buffer<ShiftNode>(device, chunk, keep);
  kept_count_ = Buffer<int32_t>(device, 1, chunk);
  kept_below_ = Buffer<int32_t>(device, 1, chunk);
  counts_ = Buffer<int64_t>(device, config_.subdivisions + 1, 6);
  counts_.zero();
}

void PoseSearch::set_band(double band_min, double band_max) {
  config_.band_max = band_max > 0 ? std::min(band_max, side_ / 2.0) : side_ / 2.0;
  config_.band_min = std::min(band_min, config_.band_max);
}

int64_t PoseSearch::level_pixels(int level) const {
  const double step = (config_.band_max - config_.band_min) / (config_.band_steps - 1);
  return pixels_within(host_pixels_, std::min(config_.band_max, std::floor(config_.band_min + step * level)));
}

float PoseSearch::shift_unit_px() const {
  return static_cast<float>(config_.shift_extent_px /
                            (config_.shift_grid * double(int64_t{1} << config_.subdivisions)));
}

double PoseSearch::final_angle_degrees() const {
  return 60.0 / double(int64_t{1} << (config_.base_level + config_.subdivisions));
}
double PoseSearch::final_shift_step_px() const { return 2.0 * shift_unit_px(); }

PoseKept PoseSearch::kept(int64_t images) const {
  return {.rotations = kept_rotations_.rows(0, images),
          .shifts = kept_shifts_.rows(0, images),
          .scores = kept_scores_.rows(0, images),
          .count = kept_count_.shaped(1, images),
          .below = kept_below_.shaped(1, images)};
}

View<const int32_t> PoseSearch::image_of(int64_t images, int64_t rotations) {
  Buffer<int32_t>& numbers = image_of_[rotations];
  if (numbers.empty()) {
    std::vector<int32_t> host(static_cast<size_t>(config_.chunk_images * rotations));
    for (size_t i = 0; i < host.size(); ++i) host[i] = static_cast<int32_t>(static_cast<int64_t>(i) / rotations);
    numbers = Buffer<int32_t>(*device_, host);
  }
  return numbers.shaped(1, images * rotations);
}

void PoseSearch::run(SliceSource& source, SliceSource* exact, View<const float> images, View<const float> ctf,
                     View<float> matrices, View<float> shifts, View<float> scores) {
  expect(images.cols == pixels_.size(), "search: images must hold all pixels");
  expect(source.shared() || images.rows <= config_.chunk_images, "search: per-image slices need one chunk a call");
  const View<const Pixel> band{pixels_.data, 1, level_pixels(0)};
  if (config_.bound == Bound::noise) refresh_reserve(source);
  if (source.shared()) {
    if (base_slices_.empty()) base_slices_ = Buffer<float>(*device_, base_.rotations.size(), pixels_.size());
    source.slices(band, base_.matrices.view(), {}, {}, base_slices_.shaped(base_.rotations.size(), band.cols));
  }
  for (int64_t first = 0; first < images.rows; first += config_.chunk_images) {
    const int64_t count = std::min<int64_t>(config_.chunk_images, images.rows - first);
    run_chunk(source, exact, images.slice_rows(first, count), ctf.empty() ? ctf : ctf.slice_rows(first, count),
              matrices.slice_rows(first, count), shifts.slice_rows(first, count),
              scores.empty() ? best_scores_.shaped(1, count) : View<float>{scores.data + first, 1, count});
  }
}

void PoseSearch::run_chunk(SliceSource& source, SliceSource* exact, View<const float> images, View<const float> ctf,
                           View<float> matrices, View<float> shifts, View<float> best) {
  const int64_t count = images.rows;
  PoseNodes nodes = base_.nodes(count, true);
  View<float> scores;
  for (int level = 0; level <= config_.subdivisions; ++level) {
    const View<const Pixel> band{pixels_.data, 1, level_pixels(level)};
    View<float> slices;
    if (level == 0 && source.shared()) {
      slices = base_slices_.shaped(nodes.rotations.cols, band.cols);
    } else if (level == 0) {  // every image has its own z: the base grid is evaluated for each
      const int64_t rotations = nodes.rotations.cols;
      if (base_slices_.size() < count * rotations * band.cols)
        base_slices_ = Buffer<float>(*device_, config_.chunk_images * rotations, band.cols);
      slices = base_slices_.shaped(count * rotations, band.cols);
      for (int64_t b = 0; b < count; ++b) {
        const View<const int32_t> same = image_of(config_.chunk_images, rotations);
        source.slices(band, nodes.matrices, {}, {same.data + b * rotations, 1, rotations},
                      slices.slice_rows(b * rotations, rotations));
      }
    } else {
      const int64_t before = config_.base_level + level - 1;
      nodes = children_.nodes(count, false);
      pose_expand(*device_,
                  PoseExpand{.kept = kept(count),
                             .children = nodes,
                             .level = static_cast<int>(before),
                             .shift_cell = config_.shift_extent_px > 0 ? 2 << (config_.subdivisions - level + 1) : 0,
                             .overlapping_shifts = config_.overlapping_shifts});
      const int64_t rotations = nodes.rotations.cols;
      slices = slices_.shaped(count * rotations, band.cols);
      source.slices(band, nodes.matrices, nodes.active, image_of(count, rotations), slices);
    }
    scores = scores_.shaped(count, nodes.rotations.cols * nodes.shifts.cols);
    pose_score(*device_, PoseScore{.nodes = nodes,
                                   .slices = slices,
                                   .slices_shared = level == 0 && source.shared(),
                                   .images = images,
                                   .ctf = ctf,
                                   .pixels = band,
                                   .scores = scores,
                                   .side = side_,
                                   .shift_unit_px = shift_unit_px(),
                                   .precision = level == 0 ? source.precision() : Precision::fp32});
    if (level < config_.subdivisions) select_level(source, nodes, scores, images, ctf, level);
  }
  count_level(nodes, config_.subdivisions, count, false);
  finish(exact, nodes, scores, images, ctf, matrices, shifts, best);
}

void PoseSearch::select_level(SliceSource& source, const PoseNodes& nodes, View<float> scores, View<const float> images,
                              View<const float> ctf, int level) {
  const int64_t count = images.rows;
  View<const float> bound;
  if (config_.bound != Bound::none) {
    make_bound(source, nodes, scores, images, ctf, level);
    bound = bounds_.shaped(1, count);
  }
  pose_select(
      *device_,
      PoseSelect{
          .nodes = nodes, .scores = scores, .bound = bound, .kept = kept(count), .per_rotation = config_.per_rotation});
  count_level(nodes, level, count, true);
}

void PoseSearch::finish(SliceSource* exact, const PoseNodes& nodes, View<float> scores, View<const float> images,
                        View<const float> ctf, View<float> matrices, View<float> shifts, View<float> lowest) {
  const int64_t count = images.rows;
  PoseBest best{.nodes = nodes,
                .scores = scores,
                .matrices = matrices,
                .shifts = shifts,
                .best = lowest,
                .shift_unit_px = shift_unit_px()};
  if (config_.finalists > 0 && exact) {
    PoseKept finalists = kept(count);
    const int64_t wanted = std::min(config_.finalists, config_.max_kept);
    // Lists of another width over the same memory: the first `wanted` places of each image.
    finalists.rotations = kept_rotations_.shaped(count, wanted);
    finalists.shifts = kept_shifts_.shaped(count, wanted);
    finalists.scores = kept_scores_.shaped(count, wanted);
    pose_select(*device_,
                PoseSelect{.nodes = nodes, .scores = scores, .kept = finalists, .per_rotation = config_.per_rotation});
    const View<const Pixel> full{pixels_.data, 1, pixels_within(host_pixels_, config_.band_max)};
    PoseNodes lists{.rotations = children_.rotations.shaped(count, wanted),
                    .rotation_count = children_.rotation_count.shaped(1, count),
                    .matrices = children_.matrices.shaped(count * wanted, 9),
                    .active = children_.active.shaped(1, count * wanted),
                    .shifts = children_.shifts.shaped(count, wanted),
                    .shift_count = children_.shift_count.shaped(1, count),
                    .shared = false};
    pose_finalists(*device_, finalists, lists, config_.base_level + config_.subdivisions);
    const View<float> slices = slices_.shaped(count * wanted, full.cols);
    exact->slices(full, lists.matrices, lists.active, image_of(count, wanted), slices);
    best.nodes = lists;
    best.scores = scores_.shaped(count, wanted * wanted);
    pose_score(*device_, PoseScore{.nodes = lists,
                                   .slices = slices,
                                   .images = images,
                                   .ctf = ctf,
                                   .pixels = full,
                                   .scores = scores_.shaped(count, wanted * wanted),
                                   .side = side_,
                                   .shift_unit_px = shift_unit_px()});
  }
  pose_best(*device_, best);
}

void PoseSearch::count_level(const PoseNodes& nodes, int level, int64_t images, bool selected) {
  const PoseKept survivors = kept(images);
  pose_count(*device_, PoseCount{.nodes = nodes,
                                 .below = selected ? survivors.below : View<int32_t>{},
                                 .count = selected ? survivors.count : View<int32_t>{},
                                 .sums = counts_.rows(level, 1),
                                 .images = images,
                                 .cap = config_.max_kept,
                                 .per_rotation = config_.per_rotation});
}

SearchStatistics PoseSearch::statistics() const {
  const auto sums = counts_.download();
  SearchStatistics out;
  for (size_t i = 0; i < sums.size() && sums[i] > 0; i += 6)
    out.levels.push_back({sums[i], sums[i + 1], sums[i + 2], sums[i + 3], sums[i + 4], sums[i + 5]});
  return out;
}

void PoseSearch::exhaustive(SliceSource& source, int level, int shift_subdivisions, View<const float> images,
                            View<const float> ctf, View<float> matrices, View<float> shifts) {
  const Lists lists = grid_lists(level, shift_subdivisions);
  const PoseNodes nodes = lists.nodes(1, true);
  const View<const Pixel> full{pixels_.data, 1, pixels_within(host_pixels_, config_.band_max)};
  constexpr int64_t together = 4;  // a core takes an image
  Buffer<float> slices(*device_, nodes.rotations.cols, full.cols),
      scores(*device_, together, nodes.rotations.cols * nodes.shifts.cols), best(*device_, 1, together);
  expect(source.shared(), "search: the exhaustive twin needs shared slices");
  source.slices(full, nodes.matrices, {}, {}, slices.view());
  for (int64_t first = 0; first < images.rows; first += together) {
    const int64_t count = std::min(together, images.rows - first);
    pose_score(*device_, PoseScore{.nodes = nodes,
                                   .slices = slices.view(),
                                   .slices_shared = true,
                                   .images = images.slice_rows(first, count),
                                   .ctf = ctf.empty() ? ctf : ctf.slice_rows(first, count),
                                   .pixels = full,
                                   .scores = scores.rows(0, count),
                                   .side = side_,
                                   .shift_unit_px = shift_unit_px()});
    pose_best(*device_, PoseBest{.nodes = nodes,
                                 .scores = scores.rows(0, count),
                                 .matrices = matrices.slice_rows(first, count),
                                 .shifts = shifts.slice_rows(first, count),
                                 .best = best.shaped(1, count),
                                 .shift_unit_px = shift_unit_px()});
  }
}

}  // namespace recon
