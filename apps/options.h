#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "apps/common.h"
#include "engine/analyze/latent_map.h"
#include "engine/backproject/backproject.h"
#include "engine/simulate/simulate.h"
#include "engine/train/preset.h"
#include "engine/train/run.h"
#include "io/particles.h"

// What each subcommand is told, and the function that does it and returns the exit code. command_line.cpp fills these;
// defaults are the engine's own wherever it has them.
namespace recon::apps {

struct SimulateOptions {
  CommonOptions common;
  std::vector<std::string> inputs;  ///< one .json or .pdb, or maps
  std::string output, poses;
  TruthOptions truth;             ///< images, seed, shifts, states, defocus, microscope
  std::optional<int64_t> images;  ///< with `poses`: the first so many
  bool random_ctf = false, no_ctf = false;
  double snr = 0.1;        ///< 0: no noise
  std::optional<int> box;  ///< of a model; its extent in Å stays unless the pixel size is given too
  std::optional<double> pixel_size_angstrom;
  PdbOptions pdb;
  std::string pdb_chain;
  std::vector<std::string> passthrough;  ///< of a .cs in `poses`
};
int run_simulate(const SimulateOptions& options);

/// Ways of searching: the authors' beam under their bound, or a fixed number of distinct rotations.
enum class SearchPreset { fast, paper };

/// The second stage of the multiscale protocol (paper §5.3): poses frozen, a larger decoder.
struct RefineOptions {
  bool enabled = false;
  int epochs = 15, layers = 10, width = 500;
  double learning_rate = 0;  ///< 0: the first stage's
};

struct TrainOptions {
  CommonOptions common;
  std::string output;
  RunConfig run;                                ///< without its stages
  TrainConfig stage;                            ///< the first stage
  LatentSource latent = LatentSource::encoder;  ///< when there is a latent
  Preset start = Preset::paper;                 ///< where `stage` began
  SearchPreset preset = SearchPreset::fast;
  std::optional<Bound> bound;  ///< nothing: the search preset's
  bool full_space = false, no_residual = false, ctf_wanted = false;
  std::optional<int> keep;
  std::optional<double> shift_extent_px;
  RefineOptions refine;
  double checkpoint_seconds = RunHooks().checkpoint_seconds;
  bool dry_run = false;
};
int run_train(const TrainOptions& options);

/// train as RELION calls it: an External job.
struct RelionOptions {
  std::string job;        ///< External/job0NN/
  std::string control;    ///< folder of the RELION_JOB_… files; empty: `job`
  std::string particles;  ///< relative to the project, where RELION runs it
  std::string mask;
  int threads = 0;
  std::vector<std::string> rest;  ///< --LABEL VALUE …: train's options
  bool json = false;
};
int run_relion_external(const RelionOptions& options);

struct VolumesOptions {
  CommonOptions common;
  std::string run, output;
  std::vector<float> z;
  std::string z_file;
  std::vector<int64_t> images;  ///< from 1
  std::optional<int> sweep, kmeans;
  int component = 1;  ///< principal component of the sweep, from 1
  uint64_t seed = 0;  ///< of k-means
};
int run_volumes(const VolumesOptions& options);

struct AnalyzeOptions {
  CommonOptions common;
  std::string run, output;          ///< output: empty for RUN/analysis
  LatentMapOptions map;             ///< but for its images
  std::vector<int64_t> path, line;  ///< images from 1
  bool no_umap = false;
  std::string truth;  ///< JSON of a comparison, or empty
};
int run_analyze(const AnalyzeOptions& options);

struct EncodeOptions {
  CommonOptions common;
  std::string run, particles, output = "z.npy", log_variances;
  io::LoadOptions load;  ///< what is given in place of the run's own
};
int run_encode(const EncodeOptions& options);

struct BackprojectCommand {
  CommonOptions common;
  std::string particles, output;
  io::LoadOptions load;
  PreparationConfig preparation = {.window = false};
  bool no_ctf = false, no_filter = false;
  BackprojectOptions options;
};
int run_backproject(const BackprojectCommand& options);

/// Soft sphere or mask file for an FSC.
struct MaskOptions {
  std::string mask;    ///< a radius in pixels, or a map
  double edge_px = 4;  ///< of the sphere
};

struct CompareFscOptions {
  CommonOptions common;
  std::array<std::string, 2> maps;
  bool align = false;
  std::vector<std::string> align_poses;  ///< none, or two particle files
  std::vector<std::string> passthrough;  ///< of those that are .cs files
  MaskOptions mask;
  std::string aligned_output, output;  ///< the moved map; the curve
};
int run_compare_fsc(const CompareFscOptions& options);

struct ComparePosesOptions {
  CommonOptions common;
  std::array<std::string, 2> stars;
  std::vector<std::string> maps;  ///< none, or two
  MaskOptions mask;
  bool refine = false;
  std::vector<std::string> passthrough;  ///< of those that are .cs files
};
int run_compare_poses(const ComparePosesOptions& options);

/// A run's volumes at its images' z against what simulated images show.
struct CompareStructuresOptions {
  CommonOptions common;
  std::string run, truth, against;  ///< against: a second run, or empty
  int images = 20;                  ///< spread over the true coordinate
  bool align_each = false;
  MaskOptions mask;
};
int run_compare_structures(const CompareStructuresOptions& options);

struct CompareLatentsOptions {
  CommonOptions common;
  std::string latents, truth, column;
};
int run_compare_latents(const CompareLatentsOptions& options);

struct FileOptions {
  bool json = false;
  std::string file, datadir;
  std::vector<std::string> passthrough;  ///< of a .cs file
};
int run_info(const FileOptions& options);
int run_validate(const FileOptions& options);

struct SelectOptions {
  bool json = false;
  std::string input, output, latents, labels, index_file;
  io::LoadOptions load;
  std::vector<std::string> ranges, lassos;  ///< three words each: column, low, high; column, column, corners
  std::vector<int64_t> clusters, images;    ///< labels, from 0; rows, from 1
  std::optional<int> kmeans;
  uint64_t seed = 0;  ///< of k-means
  bool invert = false;
};
int run_select(const SelectOptions& options);

/// Of particles (.star, .cs, stack, run) or of maps and stacks (.mrc).
struct ConvertOptions {
  bool json = false;
  std::string input, output, latents;
  io::LoadOptions load;
  std::optional<io::StarVersion> version;
  bool flip_hand = false, invert = false;
};
int run_convert(const ConvertOptions& options);

struct DownsampleOptions {
  CommonOptions common;
  std::string input, output;
  int box = 128;
  io::LoadOptions load;
};
int run_downsample(const DownsampleOptions& options);

struct MaskCommand {
  bool json = false, angstrom = false;
  std::string map, output;
  std::optional<double> threshold, pixel_size_angstrom;
  double dilation = 3, edge = 6;  ///< voxels, or with `angstrom` A
};
int run_mask(const MaskCommand& options);

struct ExportOptions {
  bool json = false, cryodrgn = false;
  std::string run, output;
  io::LoadOptions load;
};
int run_export(const ExportOptions& options);

struct BenchOptions {
  CommonOptions common;
  std::string operation, variant;  ///< parts of names; empty: all
  std::vector<int> box = {64}, width = {128}, layers = {10}, latent = {0}, batch = {10};
  double seconds = 0.5;         ///< that a variant is repeated for
  std::string output, compare;  ///< JSON files
};
int run_bench(const BenchOptions& options);

int run_doctor(const CommonOptions& options);
int run_version(bool json);

}  // namespace recon::apps
