#include "engine/train/health.h"

#include <cmath>

#include "engine/geometry/rotation.h"
#include "engine/simulate/model.h"
#include "tests/io/support.h"
#include "tests/reference/compare.h"

using namespace recon;

namespace {

/// Rotations within so many degrees of one another, or anywhere.
std::vector<float> rotations(size_t count, double within_degrees) {
  std::vector<float> out;
  for (size_t i = 0; i < count; ++i) {
    Matrix3 m = random_rotation({7, Purpose::test}, i);
    if (within_degrees < 180) m = axis_angle_to_matrix({m[0], m[1], m[2]}, within_degrees * degree * std::abs(m[8]));
    for (const double v : m) out.push_back(static_cast<float>(v));
  }
  return out;
}

/// A density that depends on the distance from the centre, with some noise.
template <class Profile>
std::vector<float> round_volume(int side, Profile profile, double noise) {
  std::vector<float> out;
  reference::Draws draws(1);
  for (int z = 0; z < side; ++z)
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x) {
        const double r = std::hypot(x - side / 2, y - side / 2, z - side / 2) / (side / 2.0);
        out.push_back(static_cast<float>(profile(r) + noise * draws.uniform(-0.5, 0.5)));
      }
  return out;
}

SearchStatistics statistics(int64_t capped) {
  SearchStatistics s;
  for (int level = 0; level < 4; ++level)
    s.levels.push_back({.images = 1000, .scored = 9000, .kept = 8000, .capped = capped});
  s.levels.back().capped = 0;  // nothing survives the last level
  return s;
}

/// Images that are bright or dark at the centre, with noise; a CTF where wanted.
class Stack {
 public:
  Stack(double centre, double noise, std::vector<io::Ctf> ctf = {}) {
    reference::Draws draws(5);
    std::vector<float> pixels;
    for (int i = 0; i < images; ++i)
      for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x) {
          const double r2 = (x - 8) * (x - 8) + (y - 8) * (y - 8);
          pixels.push_back(static_cast<float>(centre * std::exp(-r2 / 20) + noise * draws.uniform(-0.5, 0.5)));
        }
    auto stack = io::MrcStackWriter::create(folder_ / "particles.mrcs", side, 3);
    stack.append(pixels);
    stack.finish();
    io::write_simple_star(folder_ / "particles.star", "particles.mrcs", images, side, 3, {}, {}, ctf);
  }
  io::ParticleTable table() const { return io::load_particles(folder_ / "particles.star"); }
  static constexpr int images = 40, side = 16;

 private:
  test::TempDir folder_;
};

std::vector<io::Ctf> ctf_of(float defocus, float amplitude_contrast) {
  return std::vector<io::Ctf>(
      Stack::images,
      {.defocus_u_angstrom = defocus, .defocus_v_angstrom = defocus, .amplitude_contrast = amplitude_contrast});
}

bool is(const std::optional<Warning>& warning, const std::string& kind, const std::string& word) {
  return warning && warning->kind == kind && warning->text.find(word) != std::string::npos;
}

}  // namespace

TEST_CASE("Health: the contrast's sign is told, a CTF's own sign taken out") {
  const auto judge = [](const Stack& stack, bool inverted = false) {
    const auto table = stack.table();
    return judge_contrast(measure_contrast(table, table.has_ctf, inverted), inverted);
  };
  CHECK_FALSE(judge(Stack(1, 1)));
  CHECK(is(judge(Stack(-1, 1)), "contrast", "give --invert"));
  CHECK_FALSE(judge(Stack(-1, 1), true));
  CHECK(is(judge(Stack(1, 1), true), "contrast", "leave out --invert"));
  CHECK_FALSE(judge(Stack(0, 1)));
  CHECK_FALSE(judge(Stack(-1, 1, ctf_of(15000, 0.1f))));
  CHECK(is(judge(Stack(1, 1, ctf_of(15000, 0.1f))), "contrast", "give --invert"));
  // Overfocus without amplitude contrast turns the sign of all that the CTF lets through.
  CHECK(is(judge(Stack(-1, 1, ctf_of(-15000, 0))), "contrast", "give --invert"));
  const auto report = measure_contrast(Stack(-1, 0.5, ctf_of(15000, 0.1f)).table(), true, false, 10);
  CHECK(report.images == 10);
  CHECK(report.ctf_negative == 1);
  CHECK(report.agreeing == 1);
  CHECK(report.density_sigma > 10);
  CHECK(report.dark());
}

TEST_CASE("Health: views that cluster are told from even and from uneven ones") {
  for (const size_t count : {50u, 1000u}) {
    const auto even = rotations(count, 180);
    CHECK(view_spread(even) == doctest::Approx(1).epsilon(0.2));
    CHECK_FALSE(judge_views(even));
    CHECK(is(judge_views(rotations(count, 10)), "views", "--seed"));
    CHECK_FALSE(judge_views(rotations(count, 90)));  // a preferred side
  }
  CHECK_FALSE(judge_views(rotations(10, 1)));  // too few to tell
}

TEST_CASE("Health: a search is restless when the cap always bites and poses still turn") {
  CHECK(is(judge_search(statistics(1000), 120, 5), "search", "--keep"));
  CHECK_FALSE(judge_search(statistics(1000), 5, 5));    // settled
  CHECK_FALSE(judge_search(statistics(700), 120, 5));   // a third of the images know better
  CHECK_FALSE(judge_search(statistics(1000), 120, 2));  // it has hardly begun
  CHECK_FALSE(judge_search({}, 120, 5));
}

TEST_CASE("Health: a loss that stays or rises is told") {
  CHECK(is(judge_loss(0.98, 0.98, 4), "loss", "--lr"));
  CHECK(is(judge_loss(0.98, 1.5, 4), "loss", "--lr"));
  CHECK_FALSE(judge_loss(0.98, 0.979, 4));
  CHECK_FALSE(judge_loss(0.98, 0.98, 1));
}

TEST_CASE("Health: a latent at its prior, or a table that has not spread") {
  TrainConfig config;
  config.model.latent = 2;
  config.model.source = LatentSource::encoder;
  const std::vector<float> spread = {-1, 1, 0.5f, -0.5f}, still = {0.01f, -0.01f, 0, 0};
  CHECK(is(judge_latents(config, spread, 0.1), "latent", "--kl-weight"));
  CHECK_FALSE(judge_latents(config, spread, 3));
  config.model.source = LatentSource::table;
  CHECK(is(judge_latents(config, still, 3), "latent", "--latent-lr"));
  CHECK_FALSE(judge_latents(config, spread, 0));
  config.latent_learning_rate = 0;
  CHECK_FALSE(judge_latents(config, still, 0));  // it was not to move
}

TEST_CASE("Health: half maps that agree at low resolution are no matter, others are") {
  std::vector<double> fsc(32);
  for (size_t i = 0; i < fsc.size(); ++i) fsc[i] = i < 12 ? 0.95 : 0.1;
  CHECK_FALSE(judge_half_maps(fsc));
  CHECK(is(judge_half_maps(std::vector<double>(32, 0.1)), "half_maps", "noise"));
}

TEST_CASE("Health: balls and shells are told from molecules, with noise too") {
  const auto ball = [](double r) { return r < 0.6 ? 1.0 : 0.0; };
  const auto shell = [](double r) { return std::exp(-(r - 0.6) * (r - 0.6) / 0.01); };
  for (const int side : {16, 24, 50, 64})
    for (const double noise : {0.0, 0.25}) {
      CHECK(is(judge_volume(shape_of(round_volume(side, ball, noise), side)), "volume", "ball"));
      CHECK(is(judge_volume(shape_of(round_volume(side, shell, noise), side)), "volume", "shell"));
    }
  const auto device = Device::cpu(1);
  for (const int side : {16, 32, 48})
    CHECK_FALSE(judge_volume(shape_of(model_volume(*device, one_bond_complex(side), 0.5), side)));
}
