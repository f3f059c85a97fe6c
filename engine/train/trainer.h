#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include "engine/data/image_window.h"
#include "engine/train/config.h"

namespace recon {

class Backprojection;

/// What an epoch (or the part of it that is done) did.
struct EpochReport {
  int epoch = 0;
  std::string stage;   ///< "random poses", "pose search", "fixed poses"
  int64_t images = 0;  ///< trained on so far in this epoch
  double loss = 0;  ///< mean squared error a pixel, in units of the image variance (weighted, with NoiseMode::shells)
  double kl = 0;    ///< mean KL divergence (or prior penalty) an image
  double band = 0;  ///< largest |k| used, 1/D
  double learning_rate = 0;
  double pose_change_degrees = 0;  ///< median rotation between this epoch's pose and the last one's
  double search_seconds = 0, train_seconds = 0;
  SearchStatistics search;  ///< of an epoch with search
};

/// Trains one model on one data set. Everything random is keyed by (seed, purpose, epoch, image), so a trainer restored
/// from its state goes on with the same bits.
class Trainer {
 public:
  Trainer(Device& device, const Dataset& data, const TrainConfig& config);
  ~Trainer();

  /// Poses to start from: matrices [N·9], shifts [N·2] in pixels.
  void set_poses(const std::vector<float>& matrices, const std::vector<float>& shifts);
  /// Where the latent table starts: [N·Z].
  void set_latents(const std::vector<float>& z);

  /// Runs the next macro-batch; returns false when the last epoch is over. The host does not wait for the device, but
  /// for memory to hand it more work, and once at the end of an epoch.
  bool step_group();
  /// The epoch so far. Waits for the device when a group was issued since the last report.
  const EpochReport& report() const;
  bool epoch_finished() const { return cursor_ == 0; }
  bool finished() const { return epoch_ >= config_.epochs; }
  int epoch() const { return epoch_; }

  Model& model() { return *model_; }
  const Model& model() const { return *model_; }
  const TrainConfig& config() const { return config_; }
  const Dataset& data() const { return *data_; }
  std::vector<float> matrices() const { return matrices_.download(); }
  std::vector<float> shifts() const { return shifts_.download(); }

  /// Latents of all images [N·Z] (the encoder's mean or the table) and, from an encoder, their log variances.
  std::vector<float> latents(std::vector<float>* log_variances = nullptr);

  /// Images of a macro-batch: what step_group takes at a time.
  int64_t group_images() const;
  /// The first epoch that searches for pose and z together; the number of epochs when none does.
  int first_joint_epoch() const;

  /// What an epoch does with the poses, over which band (largest |k|, 1/D), and whether it searches z with them.
  enum class Stage { random, search, fixed };
  static Stage stage_of(const TrainConfig& config, int epoch);
  Stage stage(int epoch) const { return stage_of(config_, epoch); }
  double band(int epoch) const;
  bool searches_jointly(int epoch) const;
  /// The epoch that begins by refining poses without a grid; the number of epochs when none does.
  int polish_epoch() const;
  /// Whether the epoch at hand begins with a linear model's latents.
  bool starts_linearly() const;

  /// Position in the run: with the model's parameters, the poses and the noise weights, all there is to save.
  struct Progress {
    int epoch = 0;
    int64_t cursor = 0;  ///< images of the epoch that are done
    double loss_sum = 0, kl_sum = 0;
    SearchStatistics search;  ///< of the last epoch with search, the part of it that is done
  };
  Progress progress() const;

  /// Relative L2 error of lattice slices against exact ones at the model as it is, over the band of the last epoch with
  /// search; with a latent, of lattices at the centres of bins of z against the network at images' own z, for a
  /// macro-batch. Nothing where exact slices are used, or no epoch has searched.
  std::optional<double> lattice_error();
  /// Square roots of the noise model's weights, one a pixel; all 1 for white noise.
  std::vector<float> weights() const { return weights_.download(); }
  void set_weights(const std::vector<float>& weights) { weights_.upload(weights); }
  void restore(const Progress& progress);

 private:
  struct Step;  // a recorded tape for one (batch size, band, whether the latents move)
  bool steps_poses(int epoch) const;
  bool draws_poses(int epoch) const;
  double search_band(int epoch) const;
  void begin_epoch();
  void end_epoch();
  void wait_for_poses();
  std::vector<int32_t> next_group(int64_t done) const;
  void settle() const;
  void random_poses(const std::vector<int32_t>& images);
  void search_group(const std::vector<int32_t>& images);
  struct SearchInput;
  SearchInput search_input(const std::vector<int32_t>& images);
  void search_images(SliceSource& source, const std::vector<int32_t>& images);
  void search_exactly(const std::vector<int32_t>& images);
  void with_lattices(const std::vector<int32_t>& images, double band,
                     const std::function<void(const std::vector<int32_t>&)>& use);
  void start_latents();
  struct HostImages;
  HostImages host_images(const std::vector<int32_t>& images, int64_t pixels);
  void search_jointly(const std::vector<int32_t>& images, const std::vector<float>& z);
  void search_at(std::span<const float> z, const SearchInput& input, View<float> matrices, View<float> shifts,
                 View<float> scores);
  void polish_poses();
  struct HostPoses {
    std::vector<float> matrices, shifts;
  };
  void polish_round(Lattice& lattice);
  void insert_images(Backprojection& into, const HostPoses& poses, int64_t first, int64_t last);
  HostPoses moved_poses(const Lattice& lattice, const std::vector<int32_t>& images, int64_t pixels,
                        int some_evaluations);
  void step_poses(const std::vector<int32_t>& images);
  void train_group(const std::vector<int32_t>& images);
  std::vector<int32_t> schedule_row(std::span<const int32_t> images, std::span<const int32_t> rows, int64_t pixels);
  void issue_step(Step& step);
  void load_minibatch(Step& step);
  void load_target(View<const int32_t> images, View<const int32_t> rows, View<const float> shifts,
                   View<const Pixel> pixels, View<float> target, View<float> ctf);
  void load_ctf(View<const int32_t> rows, View<const Pixel> pixels, View<float> out);
  void load_encoder_input(View<const int32_t> images, View<const int32_t> rows, View<const float> shifts,
                          View<float> out, View<float> ctf);
  void estimate_noise();
  std::vector<float> encode(const std::vector<int32_t>& images);
  std::vector<float> group_latents(const std::vector<int32_t>& images);
  Step& step_for(int64_t batch, int64_t pixels, bool latents_move);
  void record_step(Step& step);
  double learning_rate_factor() const;

  Device* device_;
  const Dataset* data_;
  TrainConfig config_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<PoseSearch> search_;
  std::unique_ptr<LatticeSource> lattice_;
  std::unique_ptr<ImageWindow> window_;
  Buffer<float> matrices_, shifts_, weights_;
  std::vector<float> last_matrices_;
  std::map<std::tuple<int64_t, int64_t, bool>, std::unique_ptr<Step>> steps_;
  Buffer<int32_t> schedule_, cursor_on_device_, now_;  ///< [steps of a group, words], [1, 1], the row of this step
  Buffer<double> sums_;  ///< [1, 2]: loss and KL divergence, added up over the steps of an epoch
  std::vector<int32_t> order_;
  int epoch_ = 0, order_epoch_ = -1;
  int64_t cursor_ = 0;
  SearchStatistics searched_before_;  ///< in this epoch, before the trainer was restored
  // What stands on the device, as it was read last; `settled_`: nothing was issued since.
  mutable double loss_sum_ = 0, kl_sum_ = 0;
  mutable EpochReport report_;
  mutable SearchStatistics searched_;
  mutable bool settled_ = true;
};

}  // namespace recon
