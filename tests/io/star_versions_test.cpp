#include "io/particles.h"
#include "tests/io/support.h"

using namespace recon::io;

namespace {

const char* kModern =
    "# mine\ndata_optics\nloop_\n_rlnOpticsGroup\n_rlnImagePixelSize\n_rlnImageSize\n_rlnVoltage\n"
    "_rlnSphericalAberration\n_rlnAmplitudeContrast\n_rlnBeamTiltX\n_rlnMtfFileName\n"
    "1 2 4 300 2.7 0.1 0.25 'a b.star'\n2 2 4 300 2.7 0.1 -0.5 c.star\n\n"
    "data_particles\nloop_\n_rlnImageName\n_rlnOpticsGroup\n_rlnDefocusU\n_rlnDefocusV\n_rlnDefocusAngle\n_userNote\n"
    "1@s.mrcs 2 1e4 9e3 10 x\n2@s.mrcs 1 1e4 9e3 10 y\n";

std::vector<std::string> column(const StarDocument& document, const std::string& block, const std::string& label) {
  const StarLoop& loop = document.find(block)->loops.at(0);
  std::vector<std::string> cells;
  loop.for_each_row([&](int64_t, auto row) { cells.emplace_back(row[static_cast<size_t>(loop.column(label))]); });
  return cells;
}

}  // namespace

TEST_CASE("columns of an optics table go along to RELION 3.0, one value a particle, and back") {
  test::TempDir dir;
  test::spit(dir / "s.mrcs", test::MrcBytes(4, 4, 2).bytes);
  ParticleTable table = load_particles(StarDocument::parse_text(kModern, "t"), {.datadir = dir.path()});
  set_star_version(table, StarVersion::v3_0);
  write_particles(dir / "old.star", table);
  const StarDocument old = StarDocument::parse(dir / "old.star");
  CHECK(column(old, "", "_rlnBeamTiltX") == std::vector<std::string>{"-0.5", "0.25"});
  CHECK(column(old, "", "_rlnMtfFileName") == std::vector<std::string>{"c.star", "a b.star"});
  CHECK(column(old, "", "_userNote") == std::vector<std::string>{"x", "y"});
  CHECK(old.find("optics") == nullptr);
  table = load_particles(old);
  set_star_version(table, StarVersion::v3_1);
  write_particles(dir / "new.star", table);
  const StarDocument back = StarDocument::parse(dir / "new.star");
  CHECK(column(back, "particles", "_rlnBeamTiltX") == std::vector<std::string>{"-0.5", "0.25"});
  CHECK(column(back, "optics", "_rlnVoltage") == std::vector<std::string>{"300"});
}

TEST_CASE("a table that has the wanted version's form already is left as it is") {
  test::TempDir dir;
  ParticleTable table = load_particles(StarDocument::parse_text(kModern, "t"), {.metadata_only = true});
  set_star_version(table, StarVersion::v3_1);
  write_particles(dir / "same.star", table);
  CHECK(test::slurp(dir / "same.star") == kModern);
}
