#include "io/star.h"

#include <filesystem>
#include <memory>

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
  loop.set_column("x", std::vector<std::string>{"7", ""});
  loop.set_column("_new", std::vector<std::string>{"e f", "_g"});
  CHECK(document.text() ==
        "# head\ndata_optics\n_a  1.50\n\ndata_particles\nloop_\n_x #1\n_y #2\n_new #3\n7 'b c' 'e f'\n'' d '_g'\n\n# "
        "tail\n");
  const StarDocument again = StarDocument::parse_text(document.text(), "again");
  CHECK(again.find("particles")->loops[0].row(1) == std::vector<std::string>{"", "d", "_g"});
  CHECK_THROWS_AS(loop.set_column("z", std::vector<std::string>{"1"}), std::invalid_argument);
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
  second.blocks()[0].loops[0].set_column("x", std::vector<std::string>{"2"});
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

namespace {

/// Rows of every length up to more than a piece of reading, comments and blank lines between them.
std::string long_text(size_t rows, std::vector<std::string>& cells) {
  std::string text = "# head\ndata_particles\nloop_\n_rlnImageName #1\n_value #2\n";
  for (size_t i = 0; i < rows; ++i) {
    cells.push_back(std::to_string(i) + std::string(i % 1000 == 999 ? 9000 : i * i % 90, 'x'));
    text += cells.back() + (i % 3 == 0 ? "  'a b'\r\n" : "\t7\n") + (i % 5 == 0 ? "\n# between\n" : "");
  }
  return text + "\n\ndata_after\n_end 1";
}

}  // namespace

TEST_CASE("lines are the same in whatever pieces they are read, with their places and numbers") {
  std::vector<std::string> cells;
  const std::string text = long_text(4000, cells);
  const MemorySource source = test::memory(text);
  StarLines lines(source);
  size_t begin = 0;
  int64_t number = 0;
  std::vector<std::pair<size_t, std::string>> all;
  for (std::string_view line; lines.next(line); begin += line.size() + 1) {
    REQUIRE(line == text.substr(begin, text.find('\n', begin) - begin));
    CHECK(lines.begin() == static_cast<int64_t>(begin));
    CHECK(lines.line() == ++number);
    all.emplace_back(begin, line);
  }
  CHECK(begin == text.size() + 1);
  for (size_t i = 0; i < 300; ++i) {
    const auto& [at, wanted] = all[i * 7919 % all.size()];
    lines.seek(static_cast<int64_t>(at));
    std::string_view line;
    REQUIRE(lines.next(line));
    CHECK(line == wanted);
  }
}

TEST_CASE("a document whose rows stay in its file gives cells, lines and text of one that is held in memory") {
  test::TempDir dir;
  std::vector<std::string> cells;
  const std::string text = long_text(30'000, cells);
  test::spit(dir / "p.star", text);
  StarDocument document = StarDocument::parse(std::shared_ptr<const ByteSource>(new FileSource(dir / "p.star")));
  CHECK(document.text() == text);
  StarLoop& loop = document.find("particles")->loops.at(0);
  REQUIRE(loop.rows() == 30'000);
  size_t same = 0;
  loop.for_each_row([&](int64_t row, auto found) {
    same += found[0] == cells[static_cast<size_t>(row)] && found[1] == (row % 3 == 0 ? "a b" : "7");
  });
  CHECK(same == cells.size());
  const auto line_of = [&](size_t row) { return 6 + row + 2 * ((row + 4) / 5); };
  CHECK(loop.line(29'999) == static_cast<int64_t>(line_of(29'999)));

  loop.set_column("twice", [](int64_t row, std::string_view before) {
    CHECK(before.empty());
    return std::to_string(2 * row);
  });
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < 10'000; ++i) kept.push_back(i * 7919 % 30'000);
  loop.keep_rows(kept);
  REQUIRE(loop.rows() == 10'000);
  CHECK(loop.line(1) == static_cast<int64_t>(line_of(7919)));
  CHECK(loop.row(2)[0] == cells[2 * 7919]);
  const StarDocument again = StarDocument::parse_text(document.text(), "again");
  same = 0;
  again.find("particles")->loops.at(0).for_each_row([&](int64_t row, auto found) {
    const auto from = static_cast<size_t>(kept[static_cast<size_t>(row)]);
    same += found[0] == cells[from] && found[2] == std::to_string(2 * from);
  });
  CHECK(same == kept.size());
  CHECK(again.find("after")->pair("end")->value == "1");
  CHECK_THROWS_AS(loop.keep_rows(std::vector<int64_t>{10'000}), std::out_of_range);
}

TEST_CASE("rows of a file that has changed since it was parsed are refused, and nothing is written") {
  test::TempDir dir;
  test::spit(dir / "p.star", "data_\nloop_\n_x\n1\n2\n");
  const StarDocument document = StarDocument::parse(std::shared_ptr<const ByteSource>(new FileSource(dir / "p.star")));
  test::spit(dir / "p.star", "data_\nloop_\n_x\n1\n2 3\n");
  const std::string wanted =
      "65 DIR/p.star: the file has changed since it was opened; repair: leave it as it is until this program has "
      "ended, "
      "and run the same command again";
  const auto message = [&](auto&& act) { return test::replaced(test::failure(act), dir.path(), "DIR"); };
  CHECK(message([&] { document.blocks()[0].loops[0].for_each_row([](int64_t, auto) {}); }) == wanted);
  CHECK(message([&] { document.write(dir / "out.star"); }) == wanted);
  CHECK_FALSE(std::filesystem::exists(dir / "out.star"));
}

TEST_CASE("a file that is removed, or replaced by another of its name, can still be visited") {
  test::TempDir dir;
  test::spit(dir / "p.star", "data_\nloop_\n_x\n1\n2\n");
  const StarDocument document = StarDocument::parse(std::shared_ptr<const ByteSource>(new FileSource(dir / "p.star")));
  document.write(dir / "p.star");
  std::filesystem::remove(dir / "p.star");
  CHECK(document.text() == "data_\nloop_\n_x\n1\n2\n");
}
