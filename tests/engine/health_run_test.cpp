// Whole runs on data made to go wrong, and on data that are right: what the run warns of.
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/geometry/rotation.h"
#include "engine/simulate/simulate.h"
#include "engine/train/run.h"
#include "tests/io/support.h"
#include "tests/reference/compare.h"

using namespace recon;

namespace {

constexpr int side = 16, images = 60;

/// particles.star with random poses (true ones where there is a molecule) and a stack beside it.
class DataSet {
 public:
  /// `value(image, x, y)`: grey values without their noise; x, y from the centre.
  template <class Value>
  DataSet(Value value, double noise) {
    reference::Draws draws(4);
    std::vector<float> pixels;
    for (int i = 0; i < images; ++i)
      for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x)
          pixels.push_back(static_cast<float>(value(i, x - side / 2, y - side / 2) + noise * double(draws.normal())));
    write(pixels, draw_truths({.images = images, .seed = 3}));
  }
  /// A molecule.
  explicit DataSet(Device& device) {
    const std::vector<ImageTruth> truths = draw_truths({.images = images, .seed = 3});
    const GaussianModel model = one_bond_complex(side);
    const Buffer<float> rendered(device, images, int64_t{side} * side);
    render(device, *projectable(model), truths, 0, rendered.view());
    write(rendered.download(), truths);
  }
  std::string particles() const { return folder_ / "particles.star"; }
  std::string run() const { return folder_ / "run"; }

 private:
  void write(const std::vector<float>& pixels, const std::vector<ImageTruth>& truths) {
    auto stack = io::MrcStackWriter::create(folder_ / "particles.mrcs", side, 3);
    stack.append(pixels);
    stack.finish();
    std::vector<io::EulerDeg> euler;
    for (const ImageTruth& truth : truths) {
      const EulerDegrees e = matrix_to_euler(truth.rotation);
      euler.push_back({float(e.rot), float(e.tilt), float(e.psi)});
    }
    io::write_simple_star(particles(), "particles.mrcs", images, side, 3, euler, std::vector<io::ShiftPx>(images));
  }
  test::TempDir folder_;
};

RunConfig config_for(const DataSet& data, PoseMode poses, int epochs) {
  TrainConfig stage;
  stage.model = {.side = side, .decoder_layers = 1, .decoder_width = 24, .seed = 5};
  stage.poses = poses;
  stage.epochs = epochs, stage.batch = 4, stage.macro_batch = 20, stage.learning_rate = 1e-2;
  stage.search = {.subdivisions = 1, .shift_extent_px = 1, .shift_grid = 3, .band_min = 4, .max_kept = 3};
  stage.seed = 5;
  RunConfig config;
  config.particles = data.particles();
  config.stages = {stage};
  return config;
}

/// Kinds of the warnings of a run.
std::set<std::string> warned(Device& device, const RunConfig& config, const std::string& path) {
  std::set<std::string> kinds;
  io::RunFolder folder = io::RunFolder::open(path);
  run_training(device, config, io::load_particles(config.particles), folder,
               {.warning = [&](const Warning& w) { kinds.insert(w.kind); }});
  return kinds;
}

using Kinds = std::set<std::string>;

}  // namespace

TEST_CASE("Health: a run on one view, sixty times, tells that views have collapsed") {
  const auto device = Device::cpu(2);
  const DataSet data([](int, int x, int y) { return std::exp(-(x - 2) * (x - 2) / 8.0 - y * y / 3.0); }, 0.05);
  CHECK(warned(*device, config_for(data, PoseMode::search, 6), data.run()).contains("views"));
}

TEST_CASE("Health: half maps of noise are told to disagree") {
  const auto device = Device::cpu(2);
  const DataSet data([](int, int, int) { return 0.0; }, 1);
  RunConfig config = config_for(data, PoseMode::given, 4);
  config.half_maps = true;
  CHECK(warned(*device, config, data.run()) == Kinds{"half_maps"});
}

TEST_CASE("Health: a run on images of a ball tells that its volume has no features") {
  const auto device = Device::cpu(2);
  const DataSet data([](int, int x, int y) { return std::sqrt(std::max(0.0, 25.0 - x * x - y * y)); }, 0.2);
  CHECK(warned(*device, config_for(data, PoseMode::given, 10), data.run()) == Kinds{"volume"});
}

TEST_CASE("Health: an encoder under a heavy prior tells that its latent has collapsed") {
  const auto device = Device::cpu(2);
  const DataSet data(*device);
  RunConfig config = config_for(data, PoseMode::given, 3);
  TrainConfig& stage = config.stages.front();
  stage.model.latent = 1, stage.model.source = LatentSource::encoder;
  stage.model.encoder_layers = 1, stage.model.encoder_width = 8;
  stage.kl_weight = 1000;
  config.sweep = 1;
  CHECK(warned(*device, config, data.run()) == Kinds{"latent"});
}

TEST_CASE("Health: a molecule seen from all sides is nothing to warn of, with half maps and with a latent") {
  const auto device = Device::cpu(2);
  for (const int latent : {0, 1}) {
    const DataSet data(*device);
    RunConfig config = config_for(data, PoseMode::given, 6);
    TrainConfig& stage = config.stages.front();
    config.half_maps = latent == 0;
    if (latent > 0) stage.model.latent = 1, stage.model.source = LatentSource::table, stage.latent_learning_rate = 1;
    CHECK(warned(*device, config, data.run()) == Kinds{});
  }
}
