// Poses that leave the grid: once the search is over each image against a map of the other images (polish), or in every
// epoch after it against the network (steps).
//
// An image that was used to make a map is drawn to the pose it was used at, as its own noise stands there: at SNR 0.1
// and 1,000 images of 64 px a local search against such a map moves nothing, while one against a map of other images
// halves the error of the search. So the images are cut into parts, and each part is compared with the back-projection
// of the rest, inside a mask around the density and filtered by what the halves agree upon.
#include <algorithm>
#include <cmath>

#include "engine/analyze/fsc.h"
#include "engine/analyze/mask.h"
#include "engine/backproject/backproject.h"
#include "engine/geometry/lattice.h"
#include "engine/pose/pose_steps.h"
#include "engine/train/trainer.h"
#include "kernels/table/table.h"

namespace recon {
namespace {

constexpr int64_t parts = 10, moved_at_once = 100;
constexpr int evaluations = 6;  // of an image in a round; steps are below 0.1 % of a degree after four

/// Of a map of all images, from its halves: SSNR / (1 + SSNR) up to the first shell in which they do not agree.
std::vector<double> gain_of(const std::vector<double>& fsc) {
  std::vector<double> gain(fsc.size() + 1, 0.0);
  gain[0] = 1;
  for (size_t i = 0; i < fsc.size() && fsc[i] > 0.05; ++i) gain[i + 1] = 2 * fsc[i] / (1 + fsc[i]);
  return gain;
}

}  // namespace

int Trainer::polish_epoch() const {
  const bool polishes = config_.polish_rounds > 0 && config_.search_epochs > 0 && config_.model.latent == 0 &&
                        config_.poses == PoseMode::search;
  return polishes ? std::min(config_.epochs, config_.random_pose_epochs + config_.search_epochs) : config_.epochs;
}

void Trainer::polish_poses() {
  Lattice lattice(*device_, data_->side);
  if (device_->counts_only()) {  // back-projection solves on a grid of the same size
    const Lattice grid(*device_, data_->side);
    return;
  }
  for (int round = 0; round < config_.polish_rounds; ++round) polish_round(lattice);
  // A network that learned from coarse poses is slow to take up what they blurred: loss 0.0075 after nine more epochs
  // of ribo64, 0.0038 after eight of a new one (bench/results/2026-11-23-polish.md).
  model_->parameters().restore(Model(*device_, config_.model, data_->pixel_count(), data_->count).parameters().state());
}

void Trainer::polish_round(Lattice& lattice) {
  const int side = data_->side;
  const int64_t count = data_->count, cuts = std::min(parts, count);
  const HostPoses poses{matrices(), shifts()};
  HostPoses polished = poses;
  Backprojection all(*device_, side, {.regularise = false});
  insert_images(all, poses, 0, count);
  BackprojectResult maps = all.finish();
  const std::vector<float> mask = density_mask(*device_, maps.volume, side);
  apply_mask(maps.half_a, mask);
  apply_mask(maps.half_b, mask);
  const std::vector<double> gain = gain_of(fourier_shell_correlation(*device_, maps.half_a, maps.half_b, side));
  const auto shells = std::find(gain.begin(), gain.end(), 0.0) - gain.begin();
  const int64_t pixels = pixels_within(data_->host_pixels, static_cast<double>(shells) - 1);
  Buffer<float> density(*device_, int64_t{side} * side, side);
  for (int64_t part = 0; part < cuts; ++part) {
    const int64_t first = part * count / cuts, last = (part + 1) * count / cuts;
    Backprojection own(*device_, side);
    insert_images(own, poses, first, last);
    std::vector<float> others = all.without(own, gain);
    apply_mask(others, mask);
    density.upload(others);
    lattice.fill(density.view());
    for (int64_t from = first; from < last; from += moved_at_once) {
      std::vector<int32_t> some;
      for (int64_t i = from; i < std::min(last, from + moved_at_once); ++i) some.push_back(static_cast<int32_t>(i));
      const HostPoses moved = moved_poses(lattice, some, pixels, evaluations);
      std::copy(moved.matrices.begin(), moved.matrices.end(), polished.matrices.begin() + 9 * from);
      std::copy(moved.shifts.begin(), moved.shifts.end(), polished.shifts.begin() + 2 * from);
    }
  }
  set_poses(polished.matrices, polished.shifts);
}

/// Images [first, last) at their poses.
void Trainer::insert_images(Backprojection& into, const HostPoses& poses, int64_t first, int64_t last) {
  for (int64_t from = first; from < last; from += group_images()) {
    const int64_t n = std::min(group_images(), last - from);
    std::vector<int32_t> images;
    std::vector<Matrix3> rotations(static_cast<size_t>(n));
    std::vector<uint8_t> halves;
    for (int64_t i = 0; i < n; ++i) {
      images.push_back(static_cast<int32_t>(from + i));
      halves.push_back(static_cast<uint8_t>((from + i) & 1));
      std::copy_n(poses.matrices.data() + 9 * (from + i), 9, rotations[static_cast<size_t>(i)].begin());
    }
    View<const CtfParameters> ctf;
    if (!data_->ctf.empty()) ctf = {data_->ctf.view().data + from, 1, n};
    into.insert({.images = window_->table().slice_rows(window_->rows(images).front(), n),
                 .pixels = data_->pixels.view(),
                 .rotations = rotations,
                 .shifts = shifts_.rows(from, n),
                 .ctf = ctf,
                 .half_set = halves,
                 .pixel_size_angstrom = static_cast<float>(data_->pixel_size_angstrom)});
  }
}

/// The poses of these images after so many evaluations of their equations, by their first `pixels`.
Trainer::HostPoses Trainer::moved_poses(const Lattice& lattice, const std::vector<int32_t>& images, int64_t pixels,
                                        int some_evaluations) {
  Device& d = *device_;
  const auto n = static_cast<int64_t>(images.size());
  const View<const Pixel> band_pixels{data_->pixels.view().data, 1, pixels};
  const Buffer<int32_t> numbers(d, images), places(d, window_->rows(images));
  Buffer<float> matrices(d, n, 9), turned(d, 4 * n, 9), moves(d, n, 2), slices(d, 4 * n, pixels), targets(d, n, pixels),
      ctf, sums(d, n, pose_equation_sums);
  if (!data_->ctf.empty() || config_.noise != NoiseMode::white) ctf = Buffer<float>(d, n, pixels);
  gather_rows(d, GatherRows{.from = matrices_.view(), .rows = numbers.view(), .to = matrices.view()});
  gather_rows(d, GatherRows{.from = shifts_.view(), .rows = numbers.view(), .to = moves.view()});
  PoseSteps steps(matrices.download(), moves.download());
  for (int i = 0; i < some_evaluations; ++i) {
    turned.upload(steps.turned());
    moves.upload(steps.shifts());
    lattice.slices(band_pixels, turned.view(), {}, slices.view());
    load_target(numbers.view(), places.view(), moves.view(), band_pixels, targets.view(), ctf.view());
    pose_equations(d, PoseEquations{.slices = slices.view(),
                                    .targets = targets.view(),
                                    .ctf = ctf.view(),
                                    .pixels = band_pixels,
                                    .sums = sums.view(),
                                    .side = data_->side,
                                    .step_rad = PoseSteps::turn_rad});
    steps.take(sums.download());
  }
  HostPoses moved;
  for (size_t i = 0; i < images.size(); ++i) {
    const PoseSteps::Pose& pose = steps.best(i);
    for (const double v : pose.rotation) moved.matrices.push_back(static_cast<float>(v));
    for (const double v : pose.shift) moved.shifts.push_back(static_cast<float>(v));
  }
  return moved;
}

void Trainer::step_poses(const std::vector<int32_t>& images) {
  const int64_t pixels = pixels_within(data_->host_pixels, band(epoch_));
  with_lattices(images, band(epoch_), [&](const std::vector<int32_t>& members) {
    for (size_t first = 0; first < members.size(); first += moved_at_once) {
      const std::vector<int32_t> some(members.begin() + static_cast<int64_t>(first),
                                      members.begin() + std::min<int64_t>(first + moved_at_once, members.size()));
      const HostPoses moved = moved_poses(lattice_->lattice(), some, pixels, config_.pose_steps + 1);
      const auto n = static_cast<int64_t>(some.size());
      const Buffer<int32_t> numbers(*device_, some);
      Buffer<float> matrices(*device_, n, 9), shifts(*device_, n, 2);
      matrices.upload(moved.matrices);
      shifts.upload(moved.shifts);
      scatter_rows(*device_, ScatterRows{.from = matrices.view(), .rows = numbers.view(), .to = matrices_.view()});
      scatter_rows(*device_, ScatterRows{.from = shifts.view(), .rows = numbers.view(), .to = shifts_.view()});
    }
  });
}

}  // namespace recon
