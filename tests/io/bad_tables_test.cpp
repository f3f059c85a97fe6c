#include <cmath>

#include "io/cs.h"
#include "io/npy.h"
#include "io/particles.h"
#include "io/pickle.h"
#include "tests/io/support.h"

// Bad cryoSPARC tables, pickles and files of poses, CTF and selections, with their exact messages and exit codes.

using namespace recon::io;
using test::check_cases;
using test::MrcBytes;

namespace {

std::string npy(const std::string& header, const std::string& data = "") {
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(header.size() & 255);
  out += static_cast<char>(header.size() >> 8);
  return out + header + data;
}

std::string table(const std::string& fields, const std::string& shape = "(1,)", const std::string& data = "") {
  return npy("{'descr': [" + fields + "], 'fortran_order': False, 'shape': " + shape + "}", data);
}

}  // namespace

TEST_CASE("bad .cs files are refused with the place in the header") {
  const std::string save = "; repair: write it again with numpy.save";
  const auto at = [&](int character, const std::string& problem) {
    return std::string("65 c: header character ").append(std::to_string(character)).append(": " + problem + save);
  };
  check_cases(
      {{"plain array", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "xxxx"),
        at(15, "a plain array; a table with named fields is expected")},
       {"object field", table("('a', '|O')"), at(21, "an object type (pickled data), which is never read")},
       {"field of fields", table("('a', [('b', '<f4')])"), at(17, "a field of fields")},
       {"unicode field", table("('a', '<U4')"), at(22, "the type '<U4' of a field is not readable")},
       {"float of 3 bytes", table("('a', '<f3')"), at(22, "the type '<f3' of a field is not readable")},
       {"repeated field", table("('a', '<f4'), ('a', '<f4')"), at(37, "the field 'a' stands twice")},
       {"no fields", table(""), at(12, "no fields")},
       {"subarray of 2^40", table("('a', '<f4', (1048576, 1048576))"), at(43, "a field of more than 2^20 elements")},
       {"negative subarray", table("('a', '<f4', (-1,))"),
        at(25, "a size in 'shape' is not a number from 0 to 2^63-1")},
       {"two dimensions", table("('a', '|u1')", "(1, 1)", "x"),
        "65 c: byte 76: shape (1, 1) is not one row a particle" + save},
       {"rows missing", table("('a', '<f4')", "(3,)", "12345678"),
        "65 c: byte 74: shape = '(3,)': the rows need 12 bytes, the file holds 8; repair: the file was cut or is "
        "damaged; export it again"},
       {"2^63 rows", table("('a', '<f4')", "(9223372036854775807,)", "12345678"),
        "65 c: byte 92: shape = '(9223372036854775807,)': the rows need more than 2^63 bytes, the file holds 8; "
        "repair: "
        "the file was cut or is damaged; export it again"}},
      [](const std::string& bytes) { read_cs(test::memory(bytes, "c")); });
}

TEST_CASE("bad CSDAT streams are refused with byte and field") {
  const auto stream = [](const std::string& header, const std::string& data) {
    std::string length;
    for (int i = 0; i < 4; ++i) length += static_cast<char>(header.size() >> (8 * i) & 255);
    return std::string("\x95").append("CSDAT").append(length).append(header).append(data);
  };
  const std::string one = R"({"length": 1, "dtype": [["a", "<u4"]], "compression": "lz4", "compressed_fields": )";
  const std::string again = "; repair: export the file again";
  const auto text = [](const std::string& offset) {
    return std::string("\x08\0\0\0", 4) + offset + std::string(7, '\0');
  };
  const std::string pointer = R"({"length": 1, "dtype": [["a", "|O"]], "compression": null, "compressed_fields": []})";
  check_cases({{"long header",
                "\x95"
                "CSDAT\xff\xff\xff\x7f"
                "xx",
                "65 c: byte 10: header: a length of 2147483647 bytes goes beyond the file" + again},
               {"no fields", stream("{}", ""),
                "65 c: byte 12: the header does not list length, dtype, compression and compressed_fields" + again},
               {"unknown type",
                stream(R"({"length": 1, "dtype": [["a", "<c8"]], "compression": null, "compressed_fields": []})", ""),
                "65 c: byte 94: a: the type '<c8' is not readable" + again},
               {"too many rows",
                stream(R"({"length": 1000000, "dtype": [], "compression": null, "compressed_fields": []})", ""),
                "65 c: byte 88: length: more rows than the file can hold" + again},
               {"short field", stream(one + "[]}", std::string("\x03\0\0\0xxx", 7)),
                "65 c: byte 99: a: the field's 3 bytes do not hold 1 rows" + again},
               {"damaged block", stream(one + R"(["a"]})", std::string("\x02\0\0\0\xf0x", 6)),
                "65 c: byte 104: a: a damaged LZ4 block" + again},
               {"text beyond the file", stream(pointer, text("\x09") + "ab"),
                "65 c: byte 107: a: a text that is not in the file" + again},
               {"text without an end", stream(pointer, text(std::string(1, '\0')) + "ab"),
                "65 c: byte 107: a: a text that is not in the file" + again}},
              [](const std::string& bytes) { read_cs(test::memory(bytes, "c")); });
}

TEST_CASE("bad fields of particles are refused with row, field and value") {
  test::TempDir dir;
  CsTable good(2);
  good.set_integers("uid", {}, std::vector<int64_t>{1, 2});
  good.set_texts("blob/path", {"a.mrc", "a.mrc"});
  good.set_integers("blob/idx", {}, std::vector<int64_t>{0, 1});
  good.set_integers("blob/shape", {2}, std::vector<int64_t>(4, 4));
  good.set_floats("blob/psize_A", {}, std::vector<double>(2, 2.0));
  const auto message = [&](const std::function<void(CsTable&)>& edit, LoadOptions options = {}) {
    CsTable edited = good;
    edit(edited);
    write_cs(dir / "p.cs", edited);
    options.metadata_only = true;
    return test::replaced(test::failure([&] { load_particles(dir / "p.cs", options); }), dir.path(), "DIR");
  };
  CHECK(message([](CsTable&) {}) == "");
  const std::string join = "; repair: join the file that holds it with --passthrough";
  CHECK(message([](CsTable& t) {
          t.set_integers("blob/path", {}, std::vector<int64_t>{1, 2});
        }) == "65 DIR/p.cs: blob/path: the field is missing: nothing says where the images are" + join);
  CHECK(message([](CsTable& t) {
          t.set_texts("blob/path", {"a", ""});
        }) == "65 DIR/p.cs: row 2: blob/path: not a path; repair: correct or remove the particle");
  CHECK(message([](CsTable& t) {
          t.set_floats("blob/idx", {}, std::vector<double>{0, -1});
        }) == "65 DIR/p.cs: row 2: blob/idx = '-1.000000': not an image number from 0; repair: correct the number");
  CHECK(message([](CsTable& t) {
          t.set_integers("blob/shape", {2}, std::vector<int64_t>{4, 4, 4, 6});
        }) ==
        "65 DIR/p.cs: row 2: blob/shape = '6.000000': another box size than the first particle's 4.000000; repair: "
        "rescale to one box size");
  CHECK(message([](CsTable& t) {
          t.set_floats("blob/sign", {}, std::vector<double>{1, -1});
        }) ==
        "65 DIR/p.cs: row 2: blob/sign = '-1.000000': particles of both contrasts in one file; repair: invert one kind "
        "of them first");
  CHECK(message([](CsTable& t) { t.set_floats("alignments3D/pose", {3}, std::vector<double>(6)); }) ==
        "65 DIR/p.cs: alignments3D/shift: the field is missing: a pose needs a shift" + join);
  CHECK(message([](CsTable& t) {
          t.set_floats("alignments3D/pose", {3}, std::vector<double>{0, 0, 0, 0, 0, NAN});
          t.set_floats("alignments3D/shift", {2}, std::vector<double>(4));
        }) == "65 DIR/p.cs: row 2: alignments3D/pose = 'nan': not a finite number; repair: remove the particle");
  CHECK(message([](CsTable& t) { t.set_floats("ctf/df1_A", {}, std::vector<double>(2)); }) ==
        "65 DIR/p.cs: ctf/df2_A: the field is missing: the CTF is incomplete without it" + join);
  CHECK(message([](CsTable& t) {
          t.set_floats("alignments3D/split", {}, std::vector<double>{0, 7});
        }) ==
        "65 DIR/p.cs: row 2: alignments3D/split = '7.000000': a half set is 0 or 1; repair: give --alternate-halves");
  write_cs(dir / "other.cs", good.take(std::vector<int64_t>{0}));
  CHECK(
      message([](CsTable&) {}, {.passthrough = {dir / "other.cs"}}) ==
      "65 DIR/p.cs: row 2: uid = '2': no such particle in DIR/other.cs; repair: give the passthrough file of the same "
      "job");
  write_cs(dir / "other.cs", good.take(std::vector<int64_t>{0, 0}));
  CHECK(message([](CsTable&) {}, {.passthrough = {dir / "other.cs"}}) ==
        "65 DIR/other.cs: row 2: uid = '1': the uid stands twice; repair: give a file with one row a particle");
}

TEST_CASE("pickles that are no arrays are refused and nothing of them is looked up") {
  const std::string plain = "; repair: save plain NumPy arrays: numpy.save to .npy, or pickle.dump of an array";
  const auto refused = [&](int byte, const std::string& problem) {
    return std::string("65 p: byte ").append(std::to_string(byte)).append(": " + problem + plain);
  };
  const auto three = [](const std::string& body) { return std::string("\x80\x03").append(body); };
  check_cases(
      {{"empty", "", "65 p: the file is empty; repair: save plain NumPy arrays: numpy.save to .npy"},
       {"protocol 0", "cos\nsystem\n(S'x'\ntR.", refused(1, "no pickle of protocol 2 or later begins here")},
       {"protocol 9", "\x80\x09N.", refused(2, "pickle protocol 9; 2 to 5 are read")},
       {"a command", three("cposix\nsystem\nX\x02" + std::string(3, '\0') + "ls\x85R."),
        refused(16,
                "the pickle asks for 'posix.system', which is no part of a NumPy array of numbers; it is not "
                "looked up")},
       {"a torch tensor", three("ctorch._utils\n_rebuild_tensor_v2\n."),
        refused(35,
                "the pickle asks for 'torch._utils._rebuild_tensor_v2', which is no part of a NumPy array of "
                "numbers; it is not looked up")},
       {"a dictionary", three("}."), refused(3, "opcode 125, which is no part of a NumPy array of numbers")},
       {"text of 4 GB", three("X\xff\xff\xff\xff"), refused(7, "a length of 4294967295 bytes goes beyond the file")},
       {"nothing on the stack", three("."), refused(3, "a value is missing")},
       {"no mark", three("t."), refused(3, "a mark is missing")},
       {"unknown memo", three("h\x05."), refused(4, "a value that was never stored")},
       {"one number", three("K\x05."), refused(5, "the pickle holds no array")},
       {"objects", three("cnumpy\ndtype\nX\x02" + std::string(3, '\0') + "O8\x85R."),
        refused(24, "an array of 'O8'; numbers are wanted")},
       {"an array without a state", three("cnumpy.core.multiarray\n_reconstruct\n)R."),
        refused(41, "something else than a NumPy array")},
       {"cut", three("X"), refused(3, "the pickle ends too early")}},
      [](const std::string& bytes) { read_pickles(test::memory(bytes, "p")); });
}

TEST_CASE("files of poses, CTF and selections that do not fit the images are refused") {
  test::TempDir dir;
  test::spit(dir / "s.mrcs", MrcBytes(4, 4, 2).bytes);
  const auto message = [&](const LoadOptions& options) {
    return test::replaced(test::failure([&] { load_particles(dir / "s.mrcs", options); }), dir.path(), "DIR");
  };
  const auto write = [&](std::vector<double> values, std::vector<int64_t> shape) {
    write_npy<double>(dir / "a.npy", values, shape);
  };
  const std::string same =
      "; repair: give the file made from the same images, before any selection (--ind selects after)";
  write(std::vector<double>(27, 0.0), {3, 3, 3});
  CHECK(message({.poses = dir / "a.npy"}) ==
        "65 DIR/a.npy: '3 rows': not one rotation for each of the 2 images" + same);
  write(std::vector<double>(18, 0.0), {2, 3, 3});
  CHECK(message({.poses = dir / "a.npy"}) ==
        "65 DIR/a.npy: row 1: not a rotation matrix; repair: export the poses again");
  write(std::vector<double>(4, 0.0), {2, 2});
  CHECK(message({.poses = dir / "a.npy"}) ==
        "65 DIR/a.npy: shape = '(2, 2)': rotations [images, 3, 3] is wanted; repair: give a file that cryoDRGN or this "
        "program wrote for these images");
  CHECK(message({.ctf = dir / "a.npy"}) ==
        "65 DIR/a.npy: shape = '(2, 2)': CTF rows [images, 9] is wanted; repair: give a file that cryoDRGN or this "
        "program wrote for these images");
  write({4, 2, 1e4, 1e4, 0, 3, 2.7, 0.1, 0}, {1, 9});
  CHECK(message({.ctf = dir / "a.npy"}) ==
        "65 DIR/a.npy: row 1: voltage (kV) = '3.000000': out of range; repair: make the file again with cryoDRGN's "
        "parse_ctf tools");
  write({4, 2, 1e4, 1e4, 0, 300, 2.7, 0.1, 0}, {1, 9});
  CHECK(message({.ctf = dir / "a.npy"}) == "65 DIR/a.npy: '1 rows': not one CTF for each of the 2 images" + same);
  const auto subset = [&](const std::vector<int64_t>& rows) {
    write_npy<int64_t>(dir / "i.npy", rows, {static_cast<int64_t>(rows.size())});
    return message({.subset = dir / "i.npy"});
  };
  const std::string selection = "; repair: give the selection that was made from these images";
  CHECK(subset({0, 2}) == "65 DIR/i.npy: element 1: '2': not one of the 2 images, counted from 0" + selection);
  CHECK(subset({1, 1}) == "65 DIR/i.npy: element 1: '1': the image stands here twice" + selection);
  CHECK(subset({}) == "65 DIR/i.npy: it keeps no image; repair: give a selection of one or more");
  const auto lines = [&](const std::string& text) {
    test::spit(dir / "i.txt", text);
    return message({.subset = dir / "i.txt"});
  };
  test::spit(dir / "i.txt", "# two images\n 2 \r\n\n1\n");
  CHECK(read_subset(dir / "i.txt", 2) == std::vector<int64_t>{1, 0});
  CHECK(lines("1\n0\n") == "65 DIR/i.txt: line 2: '0': not one of the 2 images, counted from 1" + selection);
  CHECK(lines("1\n1\n") == "65 DIR/i.txt: line 2: '1': the image stands here twice" + selection);
  CHECK(lines("1 2\n") ==
        "65 DIR/i.txt: line 1: '1 2': not a whole number; repair: a line holds one row of the particle file, counted "
        "from 1");
  CHECK(lines("# none\n") == "65 DIR/i.txt: it keeps no image; repair: give a selection of one or more");
  CHECK(message({.passthrough = {"x.cs"}}) ==
        "64 DIR/s.mrcs: --passthrough: is for a cryoSPARC .cs file; repair: leave it out");
}
