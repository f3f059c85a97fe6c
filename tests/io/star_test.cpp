#include "io/star.h"

#include "tests/io/support.h"

using namespace recon::io;

namespace {

const char* kOddButLegal =
    "# RELION; version 3.1\n\n\ndata_general\n\n_rlnName 'two words'   # why not\n_rlnEmpty "
    "\"\"\n\ndata_optics\nloop_\n"
    "_rlnOpticsGroup #1\n_rlnOpticsGroupName #2\n  1   it's  \n 2 \"a 'b' c\"\t\n\n# between\nDATA_particles\n\nLOOP_ "
    "\n"
    "_rlnImageName #1\n_rlnOpticsGroup\n\n000001@'a.mrcs 1\r\n# a comment between rows\n2@b#c.mrcs 2 # and behind "
    "one\n\n"
    "'3@d e.mrcs'   1";

}  // namespace

TEST_CASE("quotes, comments, blank lines, CRLF and a missing last line break are read as STAR") {
  const StarDocument document = StarDocument::parse_text(kOddButLegal, "odd.star");
  REQUIRE(document.blocks().size() == 3);
  CHECK(document.find("general")->pair("rlnName")->value == "two words");
  CHECK(document.find("general")->pair("_rlnEmpty")->value == "");
  CHECK(document.find("general")->pair("rlnAbsent") == nullptr);
  const StarLoop& optics = document.find("optics")->loops.at(0);
  CHECK(optics.row(0).at(1) == "it's");
  CHECK(optics.row(1).at(1) == "a 'b' c");
  const StarLoop& particles = document.find("particles")->loops.at(0);
  REQUIRE(particles.rows() == 3);
  CHECK(particles.column("rlnOpticsGroup") == 1);
  CHECK(particles.column("_rlnImageName") == 0);
  CHECK(particles.column("rln") == -1);
  CHECK(particles.row(0).at(0) == "000001@'a.mrcs");
  CHECK(particles.row(1).at(0) == "2@b#c.mrcs");
  CHECK(particles.row(2).at(0) == "3@d e.mrcs");
  CHECK(particles.line(0) == 23);
  CHECK(particles.line(2) == 27);
}

TEST_CASE("a document that is not changed is written back byte by byte") {
  test::TempDir dir;
  for (const std::string& text : {std::string(kOddButLegal), "\xef\xbb\xbf" + std::string(kOddButLegal) + "\n\n"}) {
    StarDocument::parse_text(text, "odd.star").write(dir / "out.star");
    CHECK(test::slurp(dir / "out.star") == text);
  }
}

TEST_CASE("a changed column leaves every other cell, block and comment text-exact") {
  StarDocument document = StarDocument::parse_text(
      "# head\ndata_optics\n_a  1.50\n\ndata_particles\nloop_ \n_x #1\n_y #2\n 1.10   'b c' # gone\n2.200 d\n\n# "
      "tail\n",
      "t");
  StarLoop& loop = document.find("particles")->loops[0];
  loop.set_column("x", {"7", ""});
  loop.set_column("_new", {"e f", "_g"});
  CHECK(document.text() ==
        "# head\ndata_optics\n_a  1.50\n\ndata_particles\nloop_\n_x #1\n_y #2\n_new #3\n7 'b c' 'e f'\n'' d '_g'\n\n# "
        "tail\n");
  const StarDocument again = StarDocument::parse_text(document.text(), "again");
  CHECK(again.find("particles")->loops[0].row(1) == std::vector<std::string_view>{"", "d", "_g"});
  CHECK_THROWS_AS(loop.set_column("z", {"1"}), std::invalid_argument);
}

TEST_CASE("any text survives quoting") {
  for (const std::string text : {"plain", "", "a b", "it's", "'", "\"", "' \"", "#", "_x", "data_x", "Loop_", ";",
                                 "a' b", "a\" b", "$x", "[1,2]", "x\t"}) {
    CAPTURE(text);
    const StarDocument document = StarDocument::parse_text("data_\n_label " + star_quote(text) + "\n", "t");
    CHECK(document.blocks()[0].pairs[0].value == text);
  }
  CHECK_THROWS_AS(star_quote("a\nb"), std::invalid_argument);
  CHECK_THROWS_AS(star_quote("a' b\" c"), std::invalid_argument);
}

TEST_CASE("copies of a document share its text and change alone") {
  StarDocument first = StarDocument::parse_text("data_\nloop_\n_x\n1\n", "t");
  StarDocument second = first;
  second.blocks()[0].loops[0].set_column("x", {"2"});
  first = StarDocument();
  CHECK(first.text().empty());
  CHECK(second.text() == "data_\nloop_\n_x #1\n2\n");
}

TEST_CASE("a long line and many columns are no trouble") {
  const std::string cell(1'000'000, 'x');
  std::string text = "data_\nloop_\n";
  for (int i = 0; i < 5000; ++i) text += "_c" + std::to_string(i) + "\n";
  text += cell;
  for (int i = 1; i < 5000; ++i) text += " 1";
  const StarDocument document = StarDocument::parse_text(text, "t");
  CHECK(document.blocks()[0].loops[0].row(0)[0].size() == 1'000'000);
}
