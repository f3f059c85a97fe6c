#include "engine/analyze/report.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/analyze/chart.h"
#include "engine/analyze/markup.h"
#include "engine/analyze/report_pictures.h"
#include "engine/analyze/verdict.h"
#include "engine/geometry/rotation.h"
#include "io/error.h"
#include "io/npy.h"
#include "io/strict_json.h"
#include "kernels/runtime/philox.h"
#include "tests/io/support.h"

using namespace recon;

namespace {

constexpr int side = 16;

/// Two balls, `apart` voxels from each other.
std::vector<float> balls(int apart) {
  std::vector<float> map(side * side * side, 0);
  for (int z = 0; z < side; ++z)
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x)
        for (const int centre : {8 - apart / 2, 8 + apart / 2})
          if (std::hypot(x - centre, y - 8, z - 8) < 2) map[static_cast<size_t>((z * side + y) * side + x)] = 1;
  return map;
}

nlohmann::json epoch_event(int epoch, double loss) {
  return {{"event", "epoch"}, {"stage", 0},   {"epoch", epoch},  {"kind", "fixed poses"},
          {"loss", loss},     {"kl", 0.2},    {"band", 8},       {"learning_rate", 1e-3},
          {"search_s", 0},    {"train_s", 1}, {"elapsed_s", 5.0}};
}

/// A run's folder as training leaves it, without its weights: one latent dimension or more, two volumes.
class Folder {
 public:
  explicit Folder(int latent, const std::string& particles = "particles.star", int images = 40) {
    io::create_folders(path() + "/volumes");
    const nlohmann::json stage = {{"model", {{"side", side}, {"latent", latent}, {"source", "table"}}},
                                  {"poses", "given"},
                                  {"noise", "white"},
                                  {"latent_learning_rate", 0.1},
                                  {"learning_rate", 1e-3},
                                  {"final_learning_rate", 1},
                                  {"batch", 4},
                                  {"seed", 0},
                                  {"starts", 1}};
    write("config.json", {{"particles", particles},
                          {"load", {{"datadir", ""}, {"ignore_ctf", false}}},
                          {"stages", {stage}},
                          {"half_maps", false}});
    write("status.json", {{"state", "finished"}, {"stages", 1}, {"epochs", 8}});
    std::string events = io::json_text(nlohmann::json{{"event", "start"}, {"images", images}}) + "\n";
    for (int e = 0; e < 8; ++e) events += io::json_text(epoch_event(e, 0.5 + 0.4 * std::exp(-2 * e))) + "\n";
    io::write_file(path() + "/events.jsonl", events);
    std::vector<float> z(static_cast<size_t>(2 * latent), -1);
    std::fill(z.begin() + latent, z.end(), 1.0f);
    if (latent > 0) io::write_npy(path() + "/volumes/z_values.npy", z, {2, latent});
    for (const int i : {0, 1}) {
      const std::string name = latent == 0 ? "volume" : i == 0 ? "vol_000" : "vol_001";
      io::write_volume(path() + "/volumes/" + name + ".mrc", balls(2 * i), side, 3);
    }
  }
  std::string path() const { return folder_ / "run"; }
  void write(const std::string& name, const nlohmann::json& json) const {
    io::write_file(path() + "/" + name, io::json_text(json));
  }
  void tell(const nlohmann::json& event) const {
    io::AppendFile(path() + "/events.jsonl").append_line(io::json_text(event));
  }

 private:
  test::TempDir folder_;
};

std::vector<float> rotations(int count, bool around_one_axis = false) {
  std::vector<float> out;
  for (int i = 0; i < count; ++i) {
    const Matrix3 r = around_one_axis ? euler_to_matrix({.rot = 360.0 * i / count, .tilt = 90, .psi = 3.0 * i})
                                      : random_rotation({9, Purpose::test}, static_cast<uint64_t>(i));
    for (const double v : r) out.push_back(static_cast<float>(v));
  }
  return out;
}

std::vector<float> normal_latents(int64_t count, int latent) {
  std::vector<float> z(static_cast<size_t>(count * latent));
  const Philox random{3, Purpose::test};
  for (size_t i = 0; i < z.size(); ++i) z[i] = normal_from(random.draw(i).v[0]);
  return z;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("Report: one page that asks for nothing elsewhere, with every section that the run has evidence for") {
  const Folder folder(2, "particles.star", 400);
  const auto matrices = rotations(400);
  const std::vector<float> shifts(800, 0.5f), z = normal_latents(400, 2);
  io::ParticleTable particles;
  particles.has_ctf = true;
  particles.ctf.assign(400, {.defocus_u_angstrom = 15000, .defocus_v_angstrom = 14000});
  const std::string html =
      report_html({.run = folder.path(), .particles = &particles, .matrices = matrices, .shifts = shifts, .z = z});
  for (const char* id : {"verdict", "volumes", "latent", "training", "poses", "ctf", "data"})
    CHECK_MESSAGE(has(html, std::string("<section id=\"").append(id).append("\"")), id);
  for (const char* source : {"http:", "https:", "src=\"/", "url(", "@import", "<link", "fetch(", "XMLHttp"})
    CHECK_MESSAGE(!has(html, source), source);
  CHECK(has(html, "default-src 'none'"));
  const size_t answer = html.find("class=\"why\"");
  CHECK_MESSAGE(has(html, "It looks like it."), html.substr(answer, 120));
  CHECK_FALSE(has(html, "<img src=\"data:image/png;base64,\""));
  for (size_t at = 0; (at = html.find("<img ", at)) != std::string::npos; ++at)
    CHECK(has(html.substr(at, html.find('>', at) - at), " alt=\""));
}

TEST_CASE("Report: names that look like HTML stay text") {
  const Folder folder(1, "<script>alert(1)</script>&\"'.star");
  folder.tell({{"event", "warning"}, {"text", "a <b>bold</b> warning"}});
  const std::string html = report_html({.run = folder.path(), .z = normal_latents(40, 1)});
  CHECK_FALSE(has(html, "<script>alert"));
  CHECK_FALSE(has(html, "<b>bold"));
  CHECK(has(html, "&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#39;.star"));
  CHECK(has(html, "a &lt;b&gt;bold"));
}

TEST_CASE("Report: epochs that a stopped run tells twice count once, and a folder without anything is no error") {
  const Folder folder(0);
  folder.tell(epoch_event(6, 0.7));
  const RunRecord record = read_run_record(folder.path());
  CHECK(record.epochs.size() == 7);
  CHECK(record.epochs.back().loss == 0.7);
  CHECK(record.series.size() == 1);
  io::write_file(folder.path() + "/events.jsonl", test::slurp(folder.path() + "/events.jsonl") + "{\"event\": \"epo");
  CHECK(read_run_record(folder.path()).epochs.size() == 7);
  const test::TempDir empty;
  io::create_folders(empty / "nothing");
  CHECK(has(report_html({.run = empty / "nothing"}), "Too early to tell."));
  io::write_file(folder.path() + "/events.jsonl", "{\"event\": \"epoch\"}\n");
  CHECK_THROWS_AS(read_run_record(folder.path()), io::InputError);
  CHECK_THROWS_AS(read_run_record(empty / "nothing", "", empty / "absent.json"), io::InputError);
}

TEST_CASE("Report: a million images take less than 5 MB and a minute" * doctest::test_suite("slow")) {
  constexpr int64_t images = 1'000'000;
  const Folder folder(8, "particles.star", images);
  std::vector<int32_t> labels(images);
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int32_t>(i * 7 % 10);
  const std::string analysis = folder.path() + "/analysis";
  io::create_folders(analysis);
  io::write_npy(analysis + "/labels.npy", labels, {images});
  const auto z = normal_latents(images, 8);
  io::write_npy(analysis + "/umap.npy", normal_latents(images, 2), {images, 2});
  nlohmann::json series = nlohmann::json::array();
  for (const char* name : {"kmeans", "pc1", "pc2", "path", "line"}) {
    io::create_folders(analysis + "/" + name);
    io::write_npy(analysis + "/" + name + "/z_values.npy", normal_latents(10, 8), {10, 8});
    for (int i = 0; i < 10; ++i) {
      std::vector<float> map(64 * 64 * 64);  // noise compresses worst
      for (size_t v = 0; v < map.size(); ++v) map[v] = normal_from(Philox{uint64_t(i), Purpose::test}.draw(v).v[0]);
      io::write_volume(analysis + "/" + name + "/vol_00" + std::to_string(i) + ".mrc", map, 64, 2);
    }
    series.push_back({{"folder", name}});
  }
  folder.write("analysis/summary.json", {{"series", series}});
  std::vector<float> matrices = rotations(images);
  const std::vector<float> shifts = normal_latents(images, 2);
  io::ParticleTable particles;
  particles.has_ctf = true;
  particles.ctf.assign(images, {.defocus_u_angstrom = 15000, .defocus_v_angstrom = 14000});
  const auto begin = std::chrono::steady_clock::now();
  const std::string html = report_html({.run = folder.path(),
                                        .analysis = analysis,
                                        .particles = &particles,
                                        .matrices = matrices,
                                        .shifts = shifts,
                                        .z = z});
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  MESSAGE(html.size(), " bytes in ", seconds, " s");
  CHECK(html.size() < 5'000'000);
  CHECK(seconds < 60);
  CHECK(has(html, "id=\"places\""));
}

TEST_CASE("Verdict: what is good is told from what is not") {
  RunRecord run{.path = "run", .state = "finished", .stage_names = {"main"}, .images = 100};
  for (int e = 0; e < 8; ++e)
    run.epochs.push_back({.epoch = e, .kind = "fixed poses", .loss = 0.5 + std::exp(-2.0 * e)});
  run.half_maps = FscRecord{.frequency = {0.1, 0.2, 0.3, 0.4, 0.5}, .correlation = {1, 1, 0.9, 0.6, 0.1}};
  Evidence evidence{.run = run, .volumes = {{.one_piece = 0.95, .at_rim = 0}}, .change = {}, .views = {{}}};
  CHECK(judge(evidence).answer == "Yes.");
  evidence.volumes[0].one_piece = 0.2;
  CHECK(judge(evidence).sign == Sign::bad);
  CHECK(has(judge(evidence).why, "density"));
  evidence.volumes[0].one_piece = 0.95;
  evidence.views[0].weakest = 0.1;
  CHECK(judge(evidence).answer == "Probably.");
  run.searches = true;  // one start, poses that never settled
  run.epochs.back().pose_change_degrees = 12;
  CHECK(judge(evidence).answer == "Doubtful.");
  run.state = "running";
  CHECK(judge(evidence).answer == "Too early to tell.");
  run.epochs.back().loss = 1.2;
  CHECK(judge(evidence).answer == "Not so far.");
}

TEST_CASE(
    "Verdict: a structure that no second random start came to is probably wrong, and two that agree are a good sign") {
  RunRecord run{.path = "run", .state = "finished", .stage_names = {"start 1", "start 2", "main"}, .images = 100};
  run.searches = true, run.starts = 2, run.agreement = 0.95, run.agreed = true;
  for (int e = 0; e < 12; ++e)
    run.epochs.push_back(
        {.stage = 2, .epoch = e, .kind = "pose search", .loss = 0.9 + std::exp(-2.0 * e), .pose_change_degrees = 1});
  const auto verdict = [&] {
    return judge({.run = run, .volumes = {{.one_piece = 0.95, .at_rim = 0}}, .change = {}, .views = {{}}});
  };
  CHECK(verdict().sign == Sign::good);
  run.agreement = 0.2, run.agreed = false;
  CHECK(verdict().answer == "Probably not.");
  CHECK(has(verdict().why, "random starts"));
}

TEST_CASE("Verdict: even views are even, views about one axis leave gaps, and density counts in pieces") {
  const ViewFigures even = view_figures(rotations(3000));
  CHECK(even.empty == 0);
  CHECK(even.weakest > 0.9);
  const ViewFigures ring = view_figures(rotations(3000, true));
  CHECK(ring.empty > 0.5);
  CHECK(ring.weakest == doctest::Approx(0).epsilon(1e-3));
  CHECK(look_at(balls(2), side).figures.one_piece == 1);
  CHECK(look_at(balls(10), side).figures.one_piece == doctest::Approx(0.5));
}

TEST_CASE("Chart: the values stand in it for the script, as JSON, and gaps interrupt the line") {
  const std::string html = html_of(LineChart{
      .title = "T <1>", .x_label = "x", .y_label = "y", .curves = {{.name = "a", .x = {1, 2, 3}, .y = {5, NAN, 6}}}});
  CHECK(has(html, "T &lt;1&gt;"));
  const size_t begin = html.find("data-chart=\"") + 12;
  std::string data = html.substr(begin, html.find('"', begin) - begin);
  for (size_t at = 0; (at = data.find("&quot;")) != std::string::npos;) data.replace(at, 6, 1, '"');
  const auto json = io::parse_json(data, "chart");
  CHECK(json["curves"][0]["y"][1].is_null());
  CHECK(json["curves"][0]["y"][2] == 6);
  const size_t curve = html.find("class=\"curve");
  const std::string path = html.substr(curve, html.find("/>", curve) - curve);
  CHECK(std::count(path.begin(), path.end(), 'M') == 2);
  CHECK(has(html_of(LineChart{.title = "empty"}), "No values yet"));
  CHECK(round_ticks(0, 1, 5) == std::vector<double>{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1});
  const double loss = 1.0802618050088686;  // values that differ by rounding have no round numbers between them
  CHECK(round_ticks(loss, std::nextafter(loss, 2), 5).size() == 1);
  CHECK(has(
      html_of(LineChart{.title = "t", .curves = {{.name = "a", .x = {1, 2}, .y = {loss, std::nextafter(loss, 2)}}}}),
      "<svg"));
  CHECK(histogram({loss, std::nextafter(loss, 2)}, 4).heights.size() == 4);
  CHECK(density_raster(std::vector<float>{1e20f, 1e20f, 1e20f, 1e20f}).cell_of.size() == 4);
  const BarChart bars = histogram({0, 1, 1, 4}, 4);
  CHECK(bars.heights == std::vector<double>{1, 2, 0, 1});
}

TEST_CASE("Markup: base64 by RFC 4648's own examples, numbers and times for people") {
  const auto of = [](const std::string& text) {
    return base64(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
  };
  CHECK(of("") == "");
  CHECK(of("f") == "Zg==");
  CHECK(of("fo") == "Zm8=");
  CHECK(of("foobar") == "Zm9vYmFy");
  CHECK(count_text(1234567) == "1,234,567");
  CHECK(count_text(-1234) == "-1,234");
  CHECK(time_text(3725) == "1 h 2 min");
  CHECK(number_text(0.68632) == "0.6863");
}
