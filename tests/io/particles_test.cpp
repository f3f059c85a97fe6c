#include "io/particles.h"

#include <cmath>
#include <limits>

#include "tests/io/support.h"

using namespace recon::io;
using test::MrcBytes;

namespace {

const char* kOptics =
    "data_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnVoltage #2\n_rlnSphericalAberration #3\n_rlnAmplitudeContrast #4\n"
    "_rlnImagePixelSize #5\n_rlnImageSize #6\n1 300 2.7 0.1 2.0 4\n7 200 2.0 0.07 2.0 4\n\n";

/// RELION's matrix A of the Euler angles, third row first column and so on.
std::array<double, 9> relion_matrix(const EulerDeg& euler_deg) {
  const double d = 3.14159265358979323846 / 180;
  const double ca = std::cos(euler_deg[0] * d), sa = std::sin(euler_deg[0] * d), cb = std::cos(euler_deg[1] * d),
               sb = std::sin(euler_deg[1] * d), cg = std::cos(euler_deg[2] * d), sg = std::sin(euler_deg[2] * d);
  return {cg * cb * ca - sg * sa,
          cg * cb * sa + sg * ca,
          -cg * sb,
          -sg * cb * ca - cg * sa,
          -sg * cb * sa + cg * ca,
          sg * sb,
          sb * ca,
          sb * sa,
          cb};
}

std::vector<float> read_all_particles(const ParticleTable& table) {
  std::vector<float> out(size_t(table.size()) * size_t(table.side) * size_t(table.side));
  read_particles(table, 0, table.size(), out);
  return out;
}

/// A header-only stack: the pixels are a hole in the file.
void sparse_stack(const std::string& path, int side, int count) {
  test::spit(path, MrcBytes(side, side, 1).word(3, count).real(11, 0).bytes.substr(0, 1024));
  std::filesystem::resize_file(path, 1024 + uintmax_t(side) * uintmax_t(side) * uintmax_t(count) * 4);
}

/// The current folder is another one for a while.
class InFolder {
 public:
  explicit InFolder(const std::string& folder) { std::filesystem::current_path(folder); }
  ~InFolder() { std::filesystem::current_path(before_); }

 private:
  std::filesystem::path before_ = std::filesystem::current_path();
};

}  // namespace

TEST_CASE("a 3.1 file joins optics groups, prefers origins in Angstrom and reads images in its own order") {
  test::TempDir dir;
  test::spit(dir / "a.mrcs", MrcBytes(4, 4, 3).bytes);
  test::spit(dir / "b.mrcs", MrcBytes(4, 4, 2).bytes);
  test::spit(
      dir / "p.star",
      std::string(kOptics) +
          "data_particles\nloop_\n_rlnImageName\n_rlnOpticsGroup\n_rlnDefocusU\n_rlnDefocusV\n_rlnDefocusAngle\n"
          "_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\n_rlnOriginX\n_rlnOriginY\n_rlnOriginXAngst\n_rlnOriginYAngst\n"
          "_rlnRandomSubset\n3@a.mrcs 7 10000 9000 90 10 20 30 99 99 1 -3 1\n"
          "000001@b.mrcs 1 +11000 9100 45 0 0 0 99 99 0 0 2\n000002@b.mrcs 1 12000 9200 0 1 2 3 99 99 0 0 2\n");
  const ParticleTable table = load_particles(dir / "p.star");
  CHECK(table.side == 4);
  CHECK(table.pixel_size_angstrom == 2);
  CHECK(table.files == std::vector<std::string>{dir / "a.mrcs", dir / "b.mrcs"});
  CHECK(table.images == std::vector<ImageRef>{{0, 2}, {1, 0}, {1, 1}});
  CHECK(table.shift_px[0] == ShiftPx{0.5, -1.5});
  CHECK(table.euler_deg[0] == EulerDeg{10, 20, 30});
  CHECK(table.half_set == std::vector<int>{1, 2, 2});
  CHECK_FALSE(load_particles(dir / "p.star", {.alternate_halves = true}).has_half_sets);
  CHECK(table.ctf[0] == Ctf{10000, 9000, float(3.14159265358979323846 / 2), 200, 2, 0.07f, 0, 0, 1});
  CHECK(table.ctf[1].voltage_kv == 300);
  CHECK(table.warnings.empty());
  std::vector<float> expected;
  for (int i = 32; i < 48; ++i) expected.push_back(float(i));
  for (int i = 0; i < 32; ++i) expected.push_back(float(i));
  CHECK(read_all_particles(table) == expected);
  std::vector<float> chosen(32);
  const std::vector<int64_t> which = {2, 0};
  read_particles(table, which, chosen);
  CHECK(chosen[0] == 16);
  CHECK(chosen[16] == 32);
}

TEST_CASE("a 3.0 file takes its pixel size from detector and magnification") {
  test::TempDir dir;
  test::spit(dir / "a.mrcs", MrcBytes(4, 4, 1).bytes);
  test::spit(dir / "p.star",
             "data_\nloop_\n_rlnImageName\n_rlnMagnification\n_rlnDetectorPixelSize\n_rlnAngleRot\n_rlnAngleTilt\n"
             "_rlnAnglePsi\n_rlnOriginX\n_rlnOriginY\n1@a.mrcs 20000 4 1 2 3 0.5 -0.25\n");
  const ParticleTable table = load_particles(dir / "p.star");
  CHECK(table.pixel_size_angstrom == 2);
  CHECK(table.shift_px[0] == ShiftPx{0.5, -0.25});
  CHECK_FALSE(table.has_ctf);
  CHECK_FALSE(table.has_half_sets);
  CHECK(load_particles(dir / "p.star", {.pixel_size_angstrom = 3}).pixel_size_angstrom == 3);
}

TEST_CASE("a bare stack has images and a pixel size and nothing else") {
  test::TempDir dir;
  test::spit(dir / "a.mrcs", MrcBytes(4, 4, 3).bytes);
  const ParticleTable table = load_particles(dir / "a.mrcs");
  CHECK(table.size() == 3);
  CHECK(table.pixel_size_angstrom == 2);
  CHECK_FALSE(table.has_ctf);
  CHECK_FALSE(table.has_poses);
  CHECK(table.source.empty());
  CHECK(read_all_particles(table)[47] == 47);
}

TEST_CASE("image paths are found as written, in datadir, beside the STAR file, in its project, or by bare name") {
  test::TempDir dir;
  const std::string stack = MrcBytes(4, 4, 1).bytes;
  const auto find = [&](const std::string& name, const std::string& star, const std::string& datadir = "") {
    test::spit(dir / star, "data_\nloop_\n_rlnImageName\n'1@" + name + "'\n");
    return test::replaced(load_particles(dir / star, {.datadir = datadir}).files[0], dir.path(), "DIR");
  };
  for (const char* folder : {"project/Extract/job1", "project/Refine/job2", "elsewhere/x", "flat"})
    std::filesystem::create_directories(dir / folder);
  test::spit(dir / "project/default_pipeline.star", "");
  for (const char* name : {"default_pipeline.star", "job.star"})  // as RELION 3.1 leaves in every job
    test::spit(dir / "project/Refine/job2/" + name, "");
  for (const char* file :
       {"project/Extract/job1/s.mrcs", "elsewhere/x/t.mrcs", "elsewhere/u.mrcs", "flat/v v.mrcs", "w.mrcs"})
    test::spit(dir / file, stack);
  CHECK(find(dir / "w.mrcs", "flat/p.star") == "DIR/w.mrcs");
  CHECK(find("Extract/job1/s.mrcs", "project/Refine/job2/p.star") == "DIR/project/Extract/job1/s.mrcs");
  CHECK(find("x/t.mrcs", "flat/p.star", dir / "elsewhere") == "DIR/elsewhere/x/t.mrcs");
  CHECK(find("gone/u.mrcs", "flat/p.star", dir / "elsewhere/") == "DIR/elsewhere/u.mrcs");
  CHECK(find("gone/v v.mrcs", "flat/p.star") == "DIR/flat/v v.mrcs");
  CHECK(find("/gone/v v.mrcs", "flat/p.star") == "DIR/flat/v v.mrcs");
  CHECK(find(">flat/v v.mrcs", "flat/p.star") == "DIR/flat/v v.mrcs");
  // The project's root ends the search: what lies above it is another project's.
  CHECK(test::failure([&] { find("w2/../w.mrcs", "project/Refine/job2/p.star"); }).starts_with("66 "));
}

TEST_CASE("all missing stacks are named in one error") {
  test::TempDir dir;
  std::string star = "data_\nloop_\n_rlnImageName\n";
  for (int i = 0; i < 7; ++i) star += "1@gone" + std::to_string(i) + ".mrcs\n2@gone" + std::to_string(i) + ".mrcs\n";
  test::spit(dir / "p.star", star);
  CHECK(test::replaced(test::failure([&] { load_particles(dir / "p.star"); }), dir.path(), "DIR") ==
        "66 DIR/p.star: _rlnImageName: 7 of 7 image stacks are missing: gone0.mrcs gone1.mrcs gone2.mrcs gone3.mrcs "
        "gone4.mrcs ...; repair: give --datadir FOLDER, the folder that these paths start from");
}

TEST_CASE("a NaN pixel is reported with its file and image, whatever else is read with it") {
  test::TempDir dir;
  test::spit(dir / "a.mrcs", MrcBytes(4, 4, 3).pixel(16 + 5, std::numeric_limits<float>::quiet_NaN()).bytes);
  const ParticleTable table = load_particles(dir / "a.mrcs");
  std::vector<float> image(16);
  read_particles(table, 0, 1, image);
  CHECK(test::replaced(test::failure([&] { read_all_particles(table); }), dir.path(), "DIR") ==
        "65 DIR/a.mrcs: image 2: pixel = '5': a NaN or an infinity; repair: remove this image from the particle file");
}

TEST_CASE("more stacks than may be open at once are read, and one that changed meanwhile is refused") {
  test::TempDir dir;
  std::string star = "data_\nloop_\n_rlnImageName\n";
  for (int i = 0; i < 200; ++i) {
    const std::string name = std::to_string(i) + ".mrcs";
    test::spit(dir / name, MrcBytes(2, 2, 1).pixel(0, float(i)).bytes);
    star += "1@" + name + "\n";
  }
  test::spit(dir / "p.star", star);
  const ParticleTable table = load_particles(dir / "p.star");
  const std::vector<float> images = read_all_particles(table);
  int wrong = 0;
  for (size_t i = 0; i < 200; ++i) wrong += images[4 * i] != float(i);
  CHECK(wrong == 0);
  test::spit(dir / "0.mrcs", MrcBytes(2, 2, 2).bytes);
  std::vector<float> image(4);
  CHECK(test::replaced(test::failure([&] { read_particles(table, 0, 1, image); }), dir.path(), "DIR") ==
        "65 DIR/0.mrcs: the file changed since it was first opened; repair: leave the stacks alone during a run; start "
        "again");
}

TEST_CASE("oddities that can be true are warned of") {
  test::TempDir dir;
  test::spit(dir / "a.mrcs", MrcBytes(4, 4, 1).bytes);
  const auto warnings = [&](const std::string& columns, const std::string& row, int rows = 1) {
    std::string star = "data_\nloop_\n_rlnImageName\n" + columns;
    for (int i = 0; i < rows; ++i) star += "1@a.mrcs " + test::replaced(row, "N", std::to_string(i)) + "\n";
    test::spit(dir / "p.star", star);
    return load_particles(dir / "p.star", {.voltage_kv = 300, .spherical_aberration_mm = 2}).warnings;
  };
  const std::string from_header = "the pixel size is taken from the stack's header";
  using Lines = std::vector<std::string>;
  CHECK(warnings("", "") == Lines{from_header});
  CHECK(warnings("_rlnImagePixelSize\n", "2.05") ==
        Lines{"the pixel size is 2.05 A here and 2 A in the stack's header"});
  CHECK(warnings("_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\n", "1 2 3", 2) ==
        Lines{from_header, "all poses are identical"});
  CHECK(warnings("_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\n", "0.N 1 3.1", 10) ==
        Lines{from_header, "no angle exceeds 3.15: are they radians? They are read as degrees"});
  CHECK(warnings("_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\n_rlnOriginX\n_rlnOriginY\n", "N 1 5 3 0", 2) ==
        Lines{from_header, "2 particles have an origin more than half a box away"});
  CHECK(warnings("_rlnBeamTiltX\n_rlnBeamTiltY\n", "0.1 0") ==
        Lines{from_header, "higher-order aberrations are ignored: _rlnBeamTiltX"});
  CHECK(warnings("_rlnDefocusU\n_rlnDefocusV\n_rlnDefocusAngle\n_rlnAmplitudeContrast\n", "-100 -200 0 0.1") ==
        Lines{from_header, "1 particles have a defocus of zero or less (overfocus)"});
}

TEST_CASE("writing poses changes the pose columns, completes relative image paths, and changes nothing else") {
  test::TempDir dir;
  test::spit(dir / "a.mrcs", MrcBytes(4, 4, 2).bytes);
  const std::vector<EulerDeg> euler = {{1.5, -2, 3}, {4, 5, 6}};
  const std::vector<ShiftPx> shift = {{0.5, -1}, {0, 2}};
  test::spit(dir / "p.star", "# kept\n" + std::string(kOptics) +
                                 "data_particles\nloop_\n_rlnImageName\n_rlnAngleRot\n_rlnOpticsGroup\n_userText\n"
                                 "1@a.mrcs 99.000 1 'b  c'\n00002@a.mrcs 98 7 1.10\n\ndata_other\n_x 1\n");
  const ParticleTable incomplete = [&] {
    test::spit(dir / "q.star", test::replaced(test::slurp(dir / "p.star"), "_rlnAngleRot", "_old"));
    return load_particles(dir / "q.star");
  }();
  write_particles_star(dir / "out.star", incomplete, euler, shift, {{"cdrgnZ1", {0.25, 1e-12}}});
  CHECK(test::slurp(dir / "out.star") ==
        "# kept\n" + std::string(kOptics) +
            "data_particles\nloop_\n_rlnImageName #1\n_old #2\n_rlnOpticsGroup #3\n_userText #4\n_rlnAngleRot #5\n"
            "_rlnAngleTilt #6\n_rlnAnglePsi #7\n_rlnOriginXAngst #8\n_rlnOriginYAngst #9\n_cdrgnZ1 #10\n"
            "1@" +
            dir.path() +
            "/a.mrcs 99.000 1 'b  c' 1.5 -2 3 1 -2 0.25\n"
            "00002@" +
            dir.path() + "/a.mrcs 98 7 1.10 4 5 6 0 4 1e-12\n\ndata_other\n_x 1\n");
  const ParticleTable back = load_particles(dir / "out.star");
  CHECK(back.euler_deg == euler);
  CHECK(back.shift_px == shift);
  CHECK_THROWS_AS(write_particles_star(dir / "o", back, std::span(euler).first(1), shift), std::invalid_argument);
}

TEST_CASE(
    "a STAR file written into another folder finds the images that the input found, and keeps the names that do") {
  test::TempDir dir;
  for (const char* folder : {"data/stacks", "elsewhere", "run/deeper"})
    std::filesystem::create_directories(dir / folder);
  for (const char* file : {"data/beside one.mrcs", "data/stacks/below.mrcs", "elsewhere/given.mrcs", "absolute.mrcs"})
    test::spit(dir / file, MrcBytes(4, 4, 2).bytes);
  test::spit(dir / "data/p.star",
             "data_\nloop_\n_rlnImageName\n'2@beside one.mrcs'\n01@>stacks/below.mrcs\n1@gone/given.mrcs\n2@" +
                 (dir / "absolute.mrcs") + "\n");
  const ParticleTable table = load_particles(dir / "data/p.star", {.datadir = dir / "elsewhere"});
  const std::vector<EulerDeg> euler(4);
  const std::vector<ShiftPx> shift(4);
  write_particles_star(dir / "run/deeper/poses.star", table, euler, shift);
  const ParticleTable back = load_particles(dir / "run/deeper/poses.star");
  CHECK(back.images == table.images);
  CHECK(back.files == table.files);
  CHECK(read_all_particles(back) == read_all_particles(table));
  // From the current folder a relative name is found wherever the file lies, and is kept.
  const InFolder data(dir / "data");
  write_particles_star(dir / "run/deeper/poses.star", load_particles("stacks/below.mrcs"), std::span(euler).first(2),
                       std::span(shift).first(2));
  test::spit(dir / "run/q.star", "data_\nloop_\n_rlnImageName\n1@stacks/below.mrcs\n'1@beside one.mrcs'\n");
  write_particles_star(dir / "run/q.star", load_particles(dir / "run/q.star"), std::span(euler).first(2),
                       std::span(shift).first(2));
  CHECK(load_particles(dir / "run/deeper/poses.star").files == std::vector<std::string>{"stacks/below.mrcs"});
  CHECK(load_particles(dir / "run/q.star").files == std::vector<std::string>{"stacks/below.mrcs", "beside one.mrcs"});
}

TEST_CASE("poses for a bare stack make a new 3.1 file, poses of a 3.0 file stay in pixels") {
  test::TempDir dir;
  test::spit(dir / "a b.mrcs", MrcBytes(4, 4, 2).bytes);
  const std::vector<EulerDeg> euler = {{1, 2, 3}, {4, 5, 6}};
  const std::vector<ShiftPx> shift = {{0.5, -1}, {0, 2}};
  write_particles_star(dir / "new.star", load_particles(dir / "a b.mrcs"), euler, shift);
  ParticleTable table = load_particles(dir / "new.star");
  CHECK(table.euler_deg == euler);
  CHECK(table.shift_px == shift);
  CHECK(table.pixel_size_angstrom == 2);
  CHECK(table.source.find("optics") != nullptr);
  test::spit(dir / "old.star", "data_images\nloop_\n_rlnImageName\n'1@a b.mrcs'\n'2@a b.mrcs'\n");
  write_particles_star(dir / "out.star", load_particles(dir / "old.star"), euler, shift);
  table = load_particles(dir / "out.star");
  CHECK(table.source.find("images")->loops[0].column("rlnOriginX") == 4);
  CHECK(table.shift_px == shift);
}

TEST_CASE("a simulated set comes back with poses, CTF of several microscopes and half sets") {
  test::TempDir dir;
  test::spit(dir / "s.mrcs", MrcBytes(4, 4, 3).bytes);
  const std::vector<EulerDeg> euler = {{1, 2, 3}, {4, 5, 6}, {7, 8, -9.25}};
  const std::vector<ShiftPx> shift = {{0.5, -1}, {0, 2}, {1, 1}};
  const std::vector<Ctf> ctf = {{10000, 9000, 0.5f, 300, 2.7f, 0.1f, 0, 0, 1},
                                {10000, 9000, 0.5f, 200, 2.7f, 0.1f, 0.25f, 50, 0.5f},
                                {11000, 9500, 0, 300, 2.7f, 0.1f, 0, 0, 1}};
  const std::vector<int> half = {1, 2, 1};
  write_simple_star(dir / "p.star", "s.mrcs", 3, 4, 1.75, euler, shift, ctf, half);
  const ParticleTable table = load_particles(dir / "p.star", {.pixel_size_angstrom = 1.75});
  CHECK(table.euler_deg == euler);
  for (size_t i = 0; i < 3; ++i)
    for (size_t axis = 0; axis < 2; ++axis)
      CHECK(table.shift_px[i][axis] == doctest::Approx(shift[i][axis]).epsilon(1e-9));
  CHECK(table.half_set == half);
  REQUIRE(table.has_ctf);
  CHECK(table.source.find("optics")->loops[0].rows() == 2);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(table.ctf[i].voltage_kv == ctf[i].voltage_kv);
    CHECK(table.ctf[i].defocus_u_angstrom == ctf[i].defocus_u_angstrom);
    CHECK(table.ctf[i].defocus_angle_rad == doctest::Approx(ctf[i].defocus_angle_rad).epsilon(1e-6));
    CHECK(table.ctf[i].phase_shift_rad == doctest::Approx(ctf[i].phase_shift_rad).epsilon(1e-6));
    CHECK(table.ctf[i].b_factor_angstrom2 == ctf[i].b_factor_angstrom2);
    CHECK(table.ctf[i].scale == ctf[i].scale);
  }
  write_simple_star(dir / "q.star", "s.mrcs", 3, 4, 2, euler, shift);
  CHECK_FALSE(load_particles(dir / "q.star").has_ctf);
  CHECK_THROWS_AS(write_simple_star(dir / "r.star", "s.mrcs", 2, 4, 2, euler, shift), std::invalid_argument);
}

TEST_CASE("a 3.0 refinement gives the poses and CTF that cryoDRGN's authors expect") {
  const std::string path = test::shared_data("cryodrgn/FinalRefinement-OriginalParticles-PfCRT.star");
  if (path.empty()) return;
  test::TempDir dir;
  sparse_stack(dir / "FinalRefinement-OriginalParticles-PfCRT.mrcs", 300, 5);
  const ParticleTable table = load_particles(path, {.datadir = dir.path(), .amplitude_contrast = 0.1});
  CHECK(table.side == 300);
  CHECK(table.pixel_size_angstrom == doctest::Approx(1.035).epsilon(1e-12));
  // From pose.star.pkl (shifts times 300 px) and ctf1.pkl.
  const double shift[5][2] = {
      {-0.14063, -0.04688}, {-0.14062, 0.046875}, {-0.10937, -0.23438}, {0.140625, 0.015625}, {-0.04688, 0.203125}};
  const double ctf[5][3] = {{15686.0, 17521.4, 87.62907},
                            {16061.0, 17896.4, 87.62907},
                            {15184.0, 16345.9, 10.870927},
                            {15686.7, 16848.6, 10.870927},
                            {14106.6, 15297.2, 10.903939}};
  const std::array<double, 9> first = {-0.28309893, 0.94840288, 0.14278294, -0.02083069, -0.15491828,
                                       0.98770765,  0.95886447, 0.27664471, 0.06361309};
  const std::array<double, 9> matrix = relion_matrix(table.euler_deg[0]);
  for (size_t i = 0; i < 9; ++i) CHECK(std::abs(matrix[i] - first[i]) < 1e-7);
  for (size_t i = 0; i < 5; ++i) {
    CHECK(std::abs(table.shift_px[i][0] - shift[i][0]) < 1e-7);
    CHECK(std::abs(table.shift_px[i][1] - shift[i][1]) < 1e-7);
    CHECK(table.ctf[i].defocus_u_angstrom == float(ctf[i][0]));
    CHECK(table.ctf[i].defocus_v_angstrom == float(ctf[i][1]));
    CHECK(table.ctf[i].defocus_angle_rad == doctest::Approx(ctf[i][2] * 3.14159265358979323846 / 180).epsilon(1e-7));
    CHECK(table.ctf[i].voltage_kv == 300);
    CHECK(table.ctf[i].spherical_aberration_mm == 0.001f);
    CHECK(table.ctf[i].amplitude_contrast == 0.1f);
    CHECK(table.ctf[i].phase_shift_rad == 0);
  }
  CHECK(table.half_set == std::vector<int>{2, 1, 2, 2, 2});
}

TEST_CASE("real 3.0, 3.1 and tilt-series sets load with their images") {
  struct Expected {
    const char* file;
    int64_t count;
    int side;
    double pixel_size_angstrom;
    bool ctf, poses;
  };
  for (const Expected& expected : {Expected{"cryodrgn/empiar_10076_7.star", 7, 320, 5e4 / 38168, true, false},
                                   Expected{"cryodrgn/relion31.star", 5, 256, 2.806, true, true},
                                   Expected{"cryodrgn/relion31.v2.star", 5, 256, 2.806, true, true},
                                   Expected{"cryodrgn/sta_testing_bin8.star", 219, 64, 1.96, true, true},
                                   Expected{"ribo32/particles_snr0.1.star", 500, 32, 10, false, true}}) {
    const std::string path = test::shared_data(expected.file);
    if (path.empty()) continue;
    const ParticleTable table = load_particles(path);
    CHECK(table.size() == expected.count);
    CHECK(table.side == expected.side);
    CHECK(table.pixel_size_angstrom == doctest::Approx(expected.pixel_size_angstrom).epsilon(1e-9));
    CHECK(table.has_ctf == expected.ctf);
    CHECK(table.has_poses == expected.poses);
    const std::vector<float> images = read_all_particles(table);
    double squares = 0;
    for (const float pixel : images) squares += double(pixel) * pixel;
    CHECK(squares > 0);
  }
}

TEST_CASE("a RELION 5 file loads, its aberrations are named as ignored, and its images are found by bare name") {
  const std::string path = test::shared_data("cryodrgn/relion5.star");
  if (path.empty()) return;
  test::TempDir dir;
  sparse_stack(dir / "toy_images_a.mrcs", 448, 20);
  sparse_stack(dir / "toy_images_b.mrcs", 448, 20);
  const ParticleTable table = load_particles(path, {.datadir = dir.path(), .pixel_size_angstrom = 0.89});
  CHECK(table.size() == 17);
  CHECK(table.files.size() == 2);
  CHECK(table.ctf[0].voltage_kv == 100);
  CHECK(table.euler_deg[0] == EulerDeg{111.508618f, 36.742536f, 141.158035f});
  CHECK(table.shift_px[0][0] == doctest::Approx(-3.12578 / 0.89));
  REQUIRE(table.warnings.size() == 1);
  CHECK(table.warnings[0].starts_with("higher-order aberrations are ignored: _rlnBeamTiltX, "));
}
