#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/pose/slice_source.h"
#include "kernels/pose/pose.h"

namespace recon {

/// What candidates of a level are dropped by, beside the cap.
enum class Bound {
  none,
  paper,  ///< Algorithm 1: the best candidate's error over the full band; on noise nothing lies above it
  noise,  ///< the same less what unseen frequencies hold of noise (PoseReserve): a pose of the grid is lost by a share
          ///< of 3e-5 of its images a level. Shared slices only
};

/// The search of Algorithm 1 (paper appendix A). Bands are in units of 1/D (pixels from the origin of the transform).
struct SearchConfig {
  int base_level = 1;          ///< 1: 576 rotations; each level more is 8 times as many
  int subdivisions = 5;        ///< from 30° to 0.92°
  double shift_extent_px = 0;  ///< shifts are searched in ±extent
  int shift_grid = 7;          ///< points an axis at the base level
  double band_min = 12;
  double band_max = 0;             ///< D/2 when 0
  int band_steps = 5;              ///< N_iter: the band grows by (max − min)/(N_iter − 1) a level
  int max_kept = 8;                ///< cap on survivors of a level
  Bound bound = Bound::paper;      ///< the cap holds in any case
  bool per_rotation = true;        ///< survivors are distinct rotations, each with its best shift
  bool overlapping_shifts = true;  ///< 9 instead of 4 child shifts
  int finalists = 0;               ///< survivors of the last level that are scored again with exact slices (0: none)
  int chunk_images = 16;
};

/// What a search did, summed over images: level 0 is the base grid, the last level the finest one.
struct SearchStatistics {
  struct Level {
    int64_t images = 0, scored = 0;
    int64_t competing = 0;  ///< candidates for survival: those scored, or one a rotation (SearchConfig::per_rotation)
    int64_t below_bound = 0, kept = 0;
    int64_t capped = 0;  ///< images where the cap bit
  };
  std::vector<Level> levels;
  void add(const SearchStatistics& other);
};

/// Poses drawn by their probability among the candidates of the last level, in place of the best one (PoseDraw).
struct PoseLottery {
  View<const int32_t> images;  ///< [1, B] numbers that the draws are functions of; empty: the best pose
  uint64_t seed = 0;
  uint32_t epoch = 0;
};

/// Finds the poses of images against slices of a source. Owns its candidate lists on the device: a search allocates
/// nothing.
class PoseSearch {
 public:
  /// `pixels`: the circular set on the device, ordered by radius, `host_pixels` the same on the host.
  PoseSearch(Device& device, const SearchConfig& config, int side, const std::vector<Pixel>& host_pixels,
             View<const Pixel> pixels);

  /// images, ctf (or empty): [B, P]. Writes matrices [B, 9] and shifts [B, 2] (pixels to apply to centre the image),
  /// and scores [1, B] unless empty: the squared error at that pose over the full band, less what no slice changes, so
  /// that an image's scores against two sources can be compared. `exact` scores the finalists (may be null when
  /// config.finalists = 0).
  void run(SliceSource& source, SliceSource* exact, View<const float> images, View<const float> ctf,
           View<float> matrices, View<float> shifts, View<float> scores = {}, const PoseLottery& lottery = {});

  /// Exhaustive twin for tests: every rotation of the finest level against every shift of the finest level is out of
  /// reach, so this scores all candidates of `level` at the full band.
  void exhaustive(SliceSource& source, int level, int shift_subdivisions, View<const float> images,
                  View<const float> ctf, View<float> matrices, View<float> shifts);

  const SearchConfig& config() const { return config_; }
  /// Since the last reset; waits for the device.
  SearchStatistics statistics() const;
  void reset_statistics() { counts_.zero(); }
  /// Changes the bands for the next searches (frequency marching over epochs).
  void set_band(double band_min, double band_max);
  /// Number of pixels within the band of a level.
  int64_t level_pixels(int level) const;
  double final_angle_degrees() const;
  double final_shift_step_px() const;

 private:
  static constexpr int64_t reserve_rotations = 24;  ///< that stand for all in the noise bound
  struct Lists {
    Buffer<GridRotation> rotations;
    Buffer<int32_t> rotation_count, active, shift_count;
    Buffer<float> matrices;
    Buffer<ShiftNode> shifts;
    PoseNodes nodes(int64_t images, bool shared) const;
  };
  Lists make_lists(int64_t lists, int64_t rotations, int64_t shifts) const;
  Lists grid_lists(int level, int shift_subdivisions) const;
  PoseKept kept(int64_t images) const;
  float shift_unit_px() const;
  void run_chunk(SliceSource& source, SliceSource* exact, View<const float> images, View<const float> ctf,
                 View<float> matrices, View<float> shifts, View<float> best, const PoseLottery& lottery);
  void start_reserve();
  void refresh_reserve(SliceSource& source);
  View<float> moved_slices(int level) const;
  void make_bound(SliceSource& source, const PoseNodes& nodes, View<float> scores, View<const float> images,
                  View<const float> ctf, int level);
  void select_level(SliceSource& source, const PoseNodes& nodes, View<float> scores, View<const float> images,
                    View<const float> ctf, int level);
  /// What is scored last: candidates, their scores and over how many pixels.
  struct Last {
    PoseNodes nodes;
    View<float> scores;
    int64_t pixels = 0;
  };
  Last score_finalists(SliceSource& exact, const Last& last, View<const float> images, View<const float> ctf);
  void finish(const Last& last, View<float> matrices, View<float> shifts, View<float> lowest,
              const PoseLottery& lottery);
  void count_level(const PoseNodes& nodes, int level, int64_t images, bool selected);
  View<const int32_t> image_of(int64_t images, int64_t rotations);

  Device* device_;
  SearchConfig config_;
  int side_;
  std::vector<Pixel> host_pixels_;
  View<const Pixel> pixels_;
  Lists base_, children_;
  Buffer<float> base_slices_, slices_, scores_, best_matrices_, best_shifts_, best_scores_, bound_slices_, bounds_,
      reserve_matrices_, reserve_shifts_, reserve_slices_, reserve_moved_, kept_scores_;
  Buffer<GridRotation> kept_rotations_;
  Buffer<ShiftNode> kept_shifts_;
  Buffer<int32_t> kept_count_, kept_below_;
  std::map<int64_t, Buffer<int32_t>> image_of_;  ///< by rotations an image
  Buffer<int64_t> counts_;                       ///< [levels, 6], sums of PoseCount
};

}  // namespace recon
