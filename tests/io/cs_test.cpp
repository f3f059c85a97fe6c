#include "io/cs.h"

#include <cmath>
#include <numbers>

#include "io/lz4.h"
#include "io/npy.h"
#include "io/particles.h"
#include "io/rotation.h"
#include "tests/io/support.h"

using namespace recon::io;
using test::MrcBytes;

namespace {

/// Three particles of one stack in a folder, as cryoSPARC writes them; `edit` may add fields.
CsTable three(const std::string& stack) {
  CsTable table(3);
  const std::vector<int64_t> uids = {7, 5, 6}, indices = {2, 0, 1}, shapes(6, 4);
  table.set_integers("uid", {}, uids);
  table.set_texts("blob/path", {">" + stack, stack, stack});
  table.set_integers("blob/idx", {}, indices);
  table.set_integers("blob/shape", {2}, shapes);
  table.set_floats("blob/psize_A", {}, std::vector<double>(3, 2.0));
  table.set_floats("blob/sign", {}, std::vector<double>(3, -1.0));
  return table;
}

/// v' = M v about an axis by an angle, in the textbook form cos + sin K + (1 - cos) k kᵀ.
RotationMatrix rodrigues(const std::array<double, 3>& v) {
  const double angle = std::hypot(v[0], v[1], v[2]), c = std::cos(angle), s = std::sin(angle);
  const std::array<double, 3> k = {v[0] / angle, v[1] / angle, v[2] / angle};
  return {c + (1 - c) * k[0] * k[0],        (1 - c) * k[0] * k[1] - s * k[2], (1 - c) * k[0] * k[2] + s * k[1],
          (1 - c) * k[0] * k[1] + s * k[2], c + (1 - c) * k[1] * k[1],        (1 - c) * k[1] * k[2] - s * k[0],
          (1 - c) * k[0] * k[2] - s * k[1], (1 - c) * k[1] * k[2] + s * k[0], c + (1 - c) * k[2] * k[2]};
}

double apart(const RotationMatrix& a, const RotationMatrix& b) {
  double worst = 0;
  for (size_t i = 0; i < 9; ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
  return worst;
}

}  // namespace

TEST_CASE("cryoSPARC: a pose is the transpose of its Rodrigues matrix, the zero vector the identity") {
  const RotationMatrix one = {1, 0, 0, 0, 1, 0, 0, 0, 1};
  CHECK(apart(matrix_of_cryosparc_pose({0, 0, 0}), one) == 0);
  for (const std::array<double, 3>& v : std::vector<std::array<double, 3>>{
           {0.1, -0.7, 2}, {1e-3, 0, 0}, {1e-5, 2e-5, -1e-5}, {0, 3.14159, 0}, {-1, 1, 1.5}, {1e-8, 0, 1e-9}}) {
    const RotationMatrix found = matrix_of_cryosparc_pose(v), textbook = rodrigues(v);
    for (size_t i = 0; i < 3; ++i)
      for (size_t j = 0; j < 3; ++j) CHECK(found[3 * i + j] == doctest::Approx(textbook[3 * j + i]).epsilon(1e-12));
    CHECK(apart(matrix_of_cryosparc_pose(cryosparc_pose_of_matrix(found)), found) < 1e-9);
    CHECK(apart(matrix_of_euler(euler_of_matrix(found)), found) < 1e-6);
    CHECK(distance_from_rotation(found) < 1e-12);
  }
  CHECK(distance_from_rotation({-1, 0, 0, 0, 1, 0, 0, 0, 1}) == 2);
}

TEST_CASE("cryoSPARC: shifts are scaled from the pixels they were found at, split is the half set") {
  test::TempDir dir;
  test::spit(dir / "s.mrc", MrcBytes(4, 4, 3).bytes);
  CsTable cs = three("s.mrc");
  cs.set_floats("alignments3D/pose", {3}, std::vector<double>{0, 0, 0, 0.5, 0, 0, 0, 0, 1});
  cs.set_floats("alignments3D/shift", {2}, std::vector<double>{1, -2, 0, 0, 3, 0.5});
  cs.set_floats("alignments3D/psize_A", {}, std::vector<double>(3, 6.0));
  cs.set_integers("alignments3D/split", {}, std::vector<int64_t>{0, 1, 0});
  write_cs(dir / "p.cs", cs);
  const ParticleTable table = load_particles(dir / "p.cs");
  CHECK(table.images == std::vector<ImageRef>{{0, 2}, {0, 0}, {0, 1}});
  CHECK(table.pixel_size_angstrom == 2);
  CHECK(table.contrast_sign == -1);
  CHECK(table.half_set == std::vector<int>{1, 2, 1});
  CHECK(table.shift_px == std::vector<ShiftPx>{{3, -6}, {0, 0}, {9, 1.5}});
  CHECK(table.euler_deg[0] == EulerDeg{0, 0, 0});
  CHECK(apart(matrix_of_euler(table.euler_deg[1]), matrix_of_cryosparc_pose({0.5, 0, 0})) < 1e-6);
  // A psi of its own: x' = cos x + sin y in RELION's matrix, and the transposed vector turns the other way.
  CHECK(table.euler_deg[2][2] == doctest::Approx(180 / std::numbers::pi).epsilon(1e-6));
  CHECK(load_particles(dir / "p.cs", {.pixel_size_angstrom = 3}).shift_px[0][0] == 2);
  std::vector<float> first(16);
  read_particles(table, 0, 1, first);
  CHECK(first[0] == 32);
}

TEST_CASE("cryoSPARC: of several classes the most probable one counts") {
  test::TempDir dir;
  CsTable many = three("s.mrc"), groups = three("s.mrc");
  const std::vector<double> posterior = {0.1, 0.9, 0.8, 0.2, 0.4, 0.6};
  many.set_floats("alignments3D_multi/class_posterior", {2}, posterior);
  std::vector<double> poses(18, 0.0), shifts(12, 0.0);
  for (size_t row = 0; row < 3; ++row) shifts[4 * row] = 1, shifts[4 * row + 2] = 2;
  many.set_floats("alignments3D_multi/pose", {2, 3}, poses);
  many.set_floats("alignments3D_multi/shift", {2, 2}, shifts);
  for (int k = 0; k < 2; ++k) {
    const std::string group = "alignments_class_" + std::to_string(k);
    std::vector<double> mine, moves;
    for (size_t row = 0; row < 3; ++row) {
      mine.push_back(posterior[2 * row + size_t(k)]);
      moves.insert(moves.end(), {1.0 + k, 0});
    }
    groups.set_floats(group + "/class_posterior", {}, mine);
    groups.set_floats(group + "/pose", {3}, std::vector<double>(9, 0.0));
    groups.set_floats(group + "/shift", {2}, moves);
  }
  for (const CsTable& cs : {many, groups}) {
    write_cs(dir / "p.cs", cs);
    const ParticleTable table = load_particles(dir / "p.cs", {.metadata_only = true});
    CHECK(table.shift_px == std::vector<ShiftPx>{{2, 0}, {1, 0}, {2, 0}});
  }
}

TEST_CASE("cryoSPARC: passthrough fields are joined by uid, in any order") {
  test::TempDir dir;
  CsTable main(3), other(4);
  main.set_integers("uid", {}, std::vector<int64_t>{7, 5, 6});
  main.set_floats("ctf/df1_A", {}, std::vector<double>{1, 2, 3});
  other.set_integers("uid", {}, std::vector<int64_t>{5, 6, 9, 7});
  other.set_floats("ctf/df1_A", {}, std::vector<double>(4, 99));
  other.set_floats("ctf/df2_A", {}, std::vector<double>{20, 30, 40, 10});
  main.join(other, "main", "other");
  CHECK(main.columns().size() == 3);
  for (int64_t row = 0; row < 3; ++row) {
    CHECK(main.find("ctf/df1_A")->number(row) == double(row + 1));
    CHECK(main.find("ctf/df2_A")->number(row) == 10 * double(row + 1));
  }
}

TEST_CASE("cryoSPARC: fields survive a selection and a round trip, and a table becomes STAR and back") {
  test::TempDir dir;
  test::spit(dir / "s.mrc", MrcBytes(4, 4, 3).bytes);
  CsTable cs = three("s.mrc");
  cs.set_texts("location/note", {"a", "", "longer"});
  write_cs(dir / "p.cs", cs);
  const std::vector<int64_t> rows = {2, 0};
  const ParticleTable some = take_particles(load_particles(dir / "p.cs"), rows);
  const std::vector<EulerDeg> euler = {{10, 20, 30}, {0, 0, 0}};
  const std::vector<ShiftPx> shift = {{1, 2}, {0, -1}};
  write_particles_cs(dir / "q.cs", some, euler, shift);
  const ParticleTable again = load_particles(dir / "q.cs");
  CHECK(again.images == std::vector<ImageRef>{{0, 1}, {0, 2}});
  CHECK(again.cs->find("location/note")->text(0) == "longer");
  CHECK(again.cs->uids("q") == std::vector<uint64_t>{6, 7});
  CHECK(again.euler_deg[0][1] == doctest::Approx(20).epsilon(1e-6));
  CHECK(again.shift_px == shift);
  write_particles_star(dir / "q.star", again, again.euler_deg, again.shift_px);
  const ParticleTable star = load_particles(dir / "q.star");
  CHECK(star.images == again.images);
  write_particles_cs(dir / "r.cs", star, star.euler_deg, star.shift_px);
  const ParticleTable back = load_particles(dir / "r.cs");
  CHECK(back.images == again.images);
  for (size_t i = 0; i < 2; ++i)
    for (size_t axis = 0; axis < 2; ++axis) CHECK(back.shift_px[i][axis] == doctest::Approx(shift[i][axis]));
}

TEST_CASE("LZ4: literals, matches that overlap themselves and long lengths; nothing beyond the block") {
  const auto decoded = [](const std::string& block, size_t size) {
    std::vector<std::byte> out;
    const bool good = decode_lz4_block(std::as_bytes(std::span(block)), size, out);
    return good ? std::string(reinterpret_cast<const char*>(out.data()), out.size()) : "refused";
  };
  CHECK(decoded(std::string("\x30"
                            "abc",
                            4),
                3) == "abc");
  const std::string repeated(
      "\x21"
      "ab\x02\x00\x10"
      "c",
      7);  // ab, five bytes from two back, c
  CHECK(decoded(repeated, 8) == "abababac");
  const std::string run(
      "\x1f"
      "x\x01\x00\xff\x05\x10"
      "y",
      8);  // 4 + 15 + 255 + 5 of them
  std::string long_run(281, 'x');
  long_run.back() = 'y';
  CHECK(decoded(run, 281) == long_run);
  for (const size_t size : {7, 9}) CHECK(decoded(repeated, size) == "refused");
  for (size_t cut = 0; cut < run.size(); ++cut) CHECK(decoded(run.substr(0, cut), 281) == "refused");
  CHECK(decoded(std::string("\x10"
                            "a\x02\x00\x10"
                            "b",
                            6),
                6) == "refused");  // from before the beginning
  CHECK(decoded(std::string("\x10"
                            "a\x00\x00\x10"
                            "b",
                            6),
                6) == "refused");
}

TEST_CASE("cryoSPARC: a stream of columns reads as its table, plain and compressed") {
  // In the form of cryosparc-tools 5: uid, two texts, and a field of two numbers.
  const auto stream = [](const std::string& header, const std::string& data) {
    return std::string(
               "\x95"
               "CSDAT") +
           static_cast<char>(header.size()) + std::string(3, '\0') + header + data;
  };
  const std::string types =
      R"({"length": 2, "dtype": [["uid", "<u8"], ["blob/path", "|O"], ["blob/shape", "<u4", [2]]], "compression": )";
  const std::string uids("\x10\0\0\0\x07\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0", 20), heap("\0a/b.mrc\0c\0", 11);
  const std::string offsets("\x01\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0", 16);
  const std::string shapes("\x04\0\0\0\x04\0\0\0\x04\0\0\0\x06\0\0\0", 16);
  const std::string sixteen("\x10\0\0\0", 4), packed("\x12\0\0\0\xf0\x01", 6);  // a block of 16 literals
  const std::string plain =
      stream(types + R"(null, "compressed_fields": []})", uids + sixteen + offsets + sixteen + shapes + heap);
  const std::string small = stream(types + R"("lz4", "compressed_fields": ["blob/path", "blob/shape"]})",
                                   uids + packed + offsets + packed + shapes + heap);
  for (const std::string& bytes : {plain, small}) {
    const CsTable table = read_cs(test::memory(bytes, "c"));
    CHECK(table.uids("c") == std::vector<uint64_t>{7, 9});
    CHECK(table.find("blob/path")->text(0) == "a/b.mrc");
    CHECK(table.find("blob/path")->text(1) == "c");
    CHECK(table.find("blob/shape")->number(1, 1) == 6);
    for (size_t cut = 6; cut < bytes.size(); ++cut)
      CHECK(test::failure([&] { read_cs(test::memory(bytes.substr(0, cut), "c")); }).starts_with("65 c"));
  }
}

TEST_CASE("cryoSPARC: real particles agree with the STAR file of the same images") {
  const std::string path = test::shared_data("cryodrgn/empiar_10076_7.cs");
  if (path.empty()) return;
  const ParticleTable cs = load_particles(path),
                      star = load_particles(test::shared_data("cryodrgn/empiar_10076_7.star"));
  CHECK(cs.images == star.images);
  CHECK(cs.pixel_size_angstrom == doctest::Approx(star.pixel_size_angstrom).epsilon(1e-5));
  for (size_t i = 0; i < cs.ctf.size(); ++i) {
    CHECK(cs.ctf[i].defocus_u_angstrom == doctest::Approx(star.ctf[i].defocus_u_angstrom).epsilon(1e-6));
    CHECK(cs.ctf[i].defocus_v_angstrom == doctest::Approx(star.ctf[i].defocus_v_angstrom).epsilon(1e-6));
    CHECK(cs.ctf[i].defocus_angle_rad == doctest::Approx(star.ctf[i].defocus_angle_rad).epsilon(1e-3));
    CHECK(cs.ctf[i].amplitude_contrast == star.ctf[i].amplitude_contrast);
  }
}

TEST_CASE("cryoDRGN's poses, CTF and selections give what the STAR file of the same particles says") {
  const std::string star = test::shared_data("cryodrgn/FinalRefinement-OriginalParticles-PfCRT.star");
  if (star.empty()) return;
  test::TempDir dir;
  test::spit(dir / "s.mrcs", MrcBytes(300, 300, 5).real(11, 300 * 1.035f).bytes);
  const ParticleTable wanted =
      load_particles(star, {.pixel_size_angstrom = 1.035, .amplitude_contrast = 0.1, .metadata_only = true});
  const LoadOptions files = {.poses = test::shared_data("cryodrgn/pose.star.pkl"),
                             .ctf = test::shared_data("cryodrgn/ctf1.pkl")};
  const ParticleTable found = load_particles(dir / "s.mrcs", files);
  REQUIRE(found.has_poses);
  REQUIRE(found.has_ctf);
  for (size_t i = 0; i < 5; ++i) {
    CHECK(apart(matrix_of_euler(found.euler_deg[i]), matrix_of_euler(wanted.euler_deg[i])) < 1e-6);
    for (size_t axis = 0; axis < 2; ++axis)
      CHECK(found.shift_px[i][axis] == doctest::Approx(wanted.shift_px[i][axis]).epsilon(1e-6));
    CHECK(found.ctf[i].defocus_u_angstrom == wanted.ctf[i].defocus_u_angstrom);
    CHECK(found.ctf[i].defocus_angle_rad == doctest::Approx(wanted.ctf[i].defocus_angle_rad));
    CHECK(found.ctf[i].spherical_aberration_mm == doctest::Approx(wanted.ctf[i].spherical_aberration_mm));
  }
  // Half the box: the same extent in Angstrom, so twice the pixel size.
  test::spit(dir / "half.mrcs", MrcBytes(150, 150, 5).real(11, 0).bytes);
  CHECK(load_particles(dir / "half.mrcs", {.ctf = files.ctf}).pixel_size_angstrom == doctest::Approx(2.07));
  write_npy<int64_t>(dir / "ind.npy", std::vector<int64_t>{4, 1}, {2});
  LoadOptions selected = files;
  selected.subset = dir / "ind.npy";
  const ParticleTable two = load_particles(dir / "s.mrcs", selected);
  CHECK(two.images == std::vector<ImageRef>{{0, 4}, {0, 1}});
  CHECK(two.ctf[0] == found.ctf[4]);
  CHECK(two.euler_deg[1] == found.euler_deg[1]);
}
