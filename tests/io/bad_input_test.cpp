#include <limits>

#include "io/mrc.h"
#include "io/npy.h"
#include "io/particles.h"
#include "io/strict_json.h"
#include "tests/io/support.h"

#include <nlohmann/json.hpp>

// Every kind of bad input with its exact message and exit code: what, where, which value, and what to do about it.

using namespace recon::io;
using test::check_cases;
using test::MrcBytes;

namespace {

std::string star_row(const std::string& labels, const std::string& cells) {
  return "data_\nloop_\n_rlnImageName\n" + labels + "1@a " + cells + "\n";
}

void read_metadata(const std::string& bytes) {
  load_particles(StarDocument::parse_text(bytes, "s"), {.metadata_only = true});
}

std::string edited(MrcBytes file, const std::string& at_end = "") { return file.bytes + at_end; }

}  // namespace

TEST_CASE("bad MRC files are refused with field, value, byte and repair") {
  const std::string damaged = "; repair: the header is damaged; copy or convert the file again";
  const std::string cut = "; repair: the file was cut or its header is damaged; copy it again";
  const std::string is_cut = "; repair: the file was cut or is something else; copy it again";
  const std::string not_mrc = "; repair: decompress or convert it to MRC first";
  const std::string mode = "; repair: convert to mode 2 (float32); readable are 0, 1, 2, 6 and 12";
  const std::string axes = ": the axes are not stored in the order x, y, z; repair: rewrite the file with axes 1, 2, 3";
  const MrcBytes good(4, 4, 3);
  const auto word = [&](int number, int32_t value) { return edited(MrcBytes(good).word(number, value)); };
  const int32_t most = std::numeric_limits<int32_t>::max();
  check_cases(
      {{"empty", "", "65 m: not an MRC file: 0 bytes, less than the 1024 of a header" + is_cut},
       {"short header", good.bytes.substr(0, 1023),
        "65 m: not an MRC file: 1023 bytes, less than the 1024 of a header" + is_cut},
       {"nx 0", word(1, 0), "65 m: byte 0: NX = '0': a size must be at least 1" + damaged},
       {"ny negative", word(2, -4), "65 m: byte 4: NY = '-4': a size must be at least 1" + damaged},
       {"nz negative", word(3, -1), "65 m: byte 8: NZ = '-1': a size must be at least 1" + damaged},
       {"huge sizes", edited(MrcBytes(good).word(1, most).word(2, most).word(3, most)),
        "65 m: byte 0: NX, NY, NZ = '2147483647 x 2147483647 x 2147483647': the file holds 192 bytes of pixels, the "
        "header "
        "asks for more than 2^63" +
            cut},
       {"nz too large", word(3, 1000),
        "65 m: byte 0: NX, NY, NZ = '4 x 4 x 1000': the file holds 192 bytes of pixels, the header asks for 64000: 3 "
        "of 1000 "
        "sections are whole" +
            cut},
       {"one byte short", good.bytes.substr(0, good.bytes.size() - 1),
        "65 m: byte 0: NX, NY, NZ = '4 x 4 x 3': the file holds 191 bytes of pixels, the header asks for 192: 2 of 3 "
        "sections "
        "are whole" +
            cut},
       {"mode 3", word(4, 3),
        "65 m: byte 12: MODE = '3': the pixel type is not readable (complex int16, a transform)" + mode},
       {"mode 4", word(4, 4),
        "65 m: byte 12: MODE = '4': the pixel type is not readable (complex float32, a transform)" + mode},
       {"mode 16", word(4, 16), "65 m: byte 12: MODE = '16': the pixel type is not readable (RGB, a picture)" + mode},
       {"mode 101", word(4, 101),
        "65 m: byte 12: MODE = '101': the pixel type is not readable (4-bit, packed movie frames)" + mode},
       {"mode 99", word(4, 99), "65 m: byte 12: MODE = '99': the pixel type is not readable (unknown)" + mode},
       {"nsymbt negative", word(24, -1000),
        "65 m: byte 92: NSYMBT = '-1000': the extended header does not fit into the file of 1216 bytes" + damaged},
       {"nsymbt beyond the file", word(24, 1 << 30),
        "65 m: byte 92: NSYMBT = '1073741824': the extended header does not fit into the file of 1216 bytes" + damaged},
       {"permuted axes", edited(MrcBytes(good).word(17, 3).word(19, 1)),
        "65 m: byte 64: MAPC, MAPR, MAPS = '3, 2, 1'" + axes},
       {"repeated axes", word(17, 2), "65 m: byte 64: MAPC, MAPR, MAPS = '2, 2, 3'" + axes},
       {"gzip", "\x1f\x8b" + std::string(2000, 'x'), "65 m: not an MRC file but gzip-compressed" + not_mrc},
       {"bzip2", "BZh9" + std::string(2000, 'x'), "65 m: not an MRC file but bzip2-compressed" + not_mrc},
       {"HDF5", "\x89HDF\r\n" + std::string(2000, 'x'), "65 m: not an MRC file but an HDF5 file" + not_mrc},
       {"TIFF", std::string("II*\0", 4) + std::string(2000, 'x'), "65 m: not an MRC file but a TIFF file" + not_mrc},
       {"EER", "II+" + std::string(2000, '\0'), "65 m: not an MRC file but a BigTIFF (EER) file" + not_mrc},
       {"numpy", "\x93NUMPY" + std::string(2000, 'x'), "65 m: not an MRC file but a numpy file" + not_mrc},
       {"text", std::string(2000, 'x'),
        "65 m: byte 12: MODE = '2021161080': the pixel type is not readable (unknown)" + mode}},
      [](const std::string& bytes) { parse_mrc_header(test::memory(bytes, "m")); });
}

TEST_CASE("maps that are no finite cube are refused") {
  test::TempDir dir;
  const auto message = [&](const MrcBytes& file) {
    test::spit(dir / "v.mrc", file.bytes);
    return test::replaced(test::failure([&] { read_volume(dir / "v.mrc"); }), dir.path(), "DIR");
  };
  CHECK(message(MrcBytes(4, 4, 4)) == "");
  CHECK(message(MrcBytes(4, 4, 3)) ==
        "65 DIR/v.mrc: byte 0: NX, NY, NZ = '4 x 4 x 3': a map must be a cube; repair: pad or crop the map to a cube");
  CHECK(message(MrcBytes(4, 4, 4).pixel(9, std::numeric_limits<float>::infinity())) ==
        "65 DIR/v.mrc: voxel 9: the map holds a NaN or an infinity; repair: rewrite the map without it");
}

TEST_CASE("bad STAR text is refused with its line") {
  const std::string star = "; repair: give a STAR file";
  const std::string row = " columns; repair: complete the row; cells with blanks must be quoted";
  const std::string quote =
      ": a quote is not closed on its line; repair: close the quote, or quote the whole value with the other kind";
  check_cases(
      {{"empty", "", "65 s: line 1: no data_ block" + star},
       {"comments only", "# a\n# b\n", "65 s: line 2: no data_ block" + star},
       {"text before a block", "hello world\n", "65 s: line 1: 'hello': text before the first data_ block" + star},
       {"table before a block", "\nloop_\n_x\n1\n",
        "65 s: line 2: loop_: a table before the first data_ block; repair: add a data_ line before it"},
       {"label before a block", "_x 1\n",
        "65 s: line 1: _x: a label before the first data_ block; repair: add a data_ line before it"},
       {"NUL byte", std::string("data_\n_x \0\n", 11), "65 s: line 2: a NUL byte: this is not a text file" + star},
       {"too few cells", "data_\nloop_\n_x\n_y\n1 2\n\n3\n",
        "65 s: line 7: the row has 1 cells, the table has 2" + row},
       {"too many cells", "data_\nloop_\n_x\n_y\n1 2 3\n", "65 s: line 5: the row has 3 cells, the table has 2" + row},
       {"repeated column", "data_\nloop_\n_x\n_x\n1 2\n",
        "65 s: line 4: _x: the column stands twice in this table; repair: remove one of the two"},
       {"open quote in a row", "data_\nloop_\n_x\n'a b\n", "65 s: line 4" + quote},
       {"open quote in a pair", "data_\n_x \"a\n", "65 s: line 2" + quote},
       {"label without value", "data_\n_x\n",
        "65 s: line 2: _x: a label without a value; repair: put the value on the same line"},
       {"two values", "data_\n_x 1 \x1b[2J\n",
        "65 s: line 2: _x: text after it on the same line; repair: remove '\\x1b[2J'"},
       {"table without labels", "data_\nloop_\n\ndata_b\n",
        "65 s: line 4: a table without labels; repair: list the labels after loop_"},
       {"stray text", "data_\n_x 1\nsave_frame\n",
        "65 s: line 3: 'save_frame': neither a label nor part of a table; repair: begin a label with '_', a table with "
        "'loop_'"},
       {"multi-line value", "data_\nloop_\n_x\n;text\n;\n",
        "65 s: line 4: ';text': values over several lines are not supported; repair: put the value on one line"}},
      [](const std::string& bytes) { StarDocument::parse_text(bytes, "s"); });
}

TEST_CASE("bad image names, numbers and poses are refused with line, column and value") {
  const std::string image = "data_\nloop_\n_rlnImageName\n";
  const std::string name = "; repair: write NUMBER@STACK.mrcs with a number from 1";
  const std::string fix = "; repair: correct or remove the row";
  const std::string angles = "_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\n";
  check_cases(
      {{"no particle table", "data_optics\n_x 1\n",
        "65 s: no particle table (data_particles, data_images or data_); repair: give a particle STAR file"},
       {"two particle tables", image + "1@a\n" + image + "1@a\n",
        "65 s: line 1: data_: there are 2 blocks of this name; repair: keep one of them"},
       {"block without a table", "data_particles\n_x 1\n",
        "65 s: line 1: data_particles: the block holds no table; repair: give a particle STAR file"},
       {"no rows", image, "65 s: the particle table has no rows; repair: give a file with particles"},
       {"no image column", "data_\nloop_\n_rlnAngleRot\n1\n",
        "65 s: _rlnImageName: the column is missing: nothing says where the images are; repair: give a particle STAR "
        "file"},
       {"no @", image + "a.mrcs\n", "65 s: line 4: _rlnImageName = 'a.mrcs': not an image name" + name},
       {"nothing after @", image + "1@\n", "65 s: line 4: _rlnImageName = '1@': not an image name" + name},
       {"negative image", image + "-1@a\n", "65 s: line 4: _rlnImageName = '-1@a': not an image name" + name},
       {"image 10^30", image + "1" + std::string(30, '0') + "@a\n",
        "65 s: line 4: _rlnImageName = '1000000000000000000000000000000@a': not an image name" + name},
       {"image 0", image + "000@a\n",
        "65 s: line 4: _rlnImageName = '000@a': images are counted from 1; repair: correct the number before '@'"},
       {"not a number", star_row("_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\n", "1 abc 2"),
        "65 s: line 7: _rlnAngleTilt = 'abc': not a number" + fix},
       {"comma decimal", star_row("_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\n", "1 1,5 2"),
        "65 s: line 7: _rlnAngleTilt = '1,5': not a number; repair: write decimals with a point"},
       {"nan", star_row(angles + "_rlnOriginX\n_rlnOriginY\n", "1 2 3 nan 0"),
        "65 s: line 9: _rlnOriginX = 'nan': not a finite number" + fix},
       {"far", star_row(angles, "1 -2e6 3"),
        "65 s: line 7: _rlnAngleTilt = '-2e+06': out of range: an angle in degrees is expected; repair: correct the "
        "value, "
        "or give it as an option"},
       {"1e400", star_row(angles, "1 2 1e400"), "65 s: line 7: _rlnAnglePsi = '1e400': not a finite number" + fix},
       {"empty cell", star_row("_rlnRandomSubset\n", "''"), "65 s: line 5: _rlnRandomSubset: not a number" + fix},
       {"half set 3", star_row("_rlnRandomSubset\n", "3"),
        "65 s: line 5: _rlnRandomSubset = '3': a half set is 1 or 2; repair: correct it, or remove the column"},
       {"two angles of three", star_row("_rlnAngleRot\n_rlnAnglePsi\n", "1 2"),
        "65 s: _rlnAngleTilt: the column is missing: a pose needs all three angles; repair: add it, or remove the "
        "other angles"},
       {"x origin without y", star_row("_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\n_rlnOriginX\n", "1 2 3 4"),
        "65 s: _rlnOriginY: the column is missing: an origin needs x and y; repair: add it, or remove the other"},
       {"origin in A without pixel size",
        star_row("_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\n_rlnOriginXAngst\n_rlnOriginYAngst\n", "1 2 3 4 5"),
        "65 s: _rlnOriginXAngst: origins in Angstrom need a pixel size, and the file gives none; repair: give --apix"}},
      read_metadata);
}

TEST_CASE("bad CTF and optics are refused with line, column and value") {
  const std::string image = "data_\nloop_\n_rlnImageName\n";
  const std::string ctf =
      "_rlnDefocusU\n_rlnDefocusV\n_rlnDefocusAngle\n_rlnVoltage\n_rlnSphericalAberration\n_rlnAmplitudeContrast\n";
  const std::string optics = "data_optics\nloop_\n_rlnOpticsGroup\n_rlnImagePixelSize\n_rlnImageSize\n";
  const std::string particles = "data_particles\nloop_\n_rlnImageName\n_rlnOpticsGroup\n";
  const std::string option = "; repair: correct the value, or give it as an option";
  const std::string no_ctf = "; repair: estimate the CTF again, or leave the CTF out with --no-ctf";
  check_cases(
      {{"half a CTF", star_row("_rlnDefocusU\n_rlnDefocusAngle\n", "1 2"),
        "65 s: _rlnDefocusV: the column is missing: the CTF is incomplete without it" + no_ctf},
       {"CTF without voltage", star_row("_rlnDefocusU\n_rlnDefocusV\n_rlnDefocusAngle\n", "1 2 3"),
        "65 s: _rlnVoltage: the column is missing: the CTF is incomplete without it; repair: give --voltage KV"},
       {"voltage 0", star_row(ctf, "1 2 3 0 2.7 0.1"),
        "65 s: line 10: _rlnVoltage = '0': out of range: a voltage lies between 10 and 2000 kV" + option},
       {"Cs -1", star_row(ctf, "1 2 3 300 -1 0.1"),
        "65 s: line 10: _rlnSphericalAberration = '-1': out of range: Cs lies between -0.1 and 20 mm" + option},
       {"amplitude contrast 7", star_row(ctf, "1 2 3 300 2.7 7"),
        "65 s: line 10: _rlnAmplitudeContrast = '7': out of range: amplitude contrast lies between 0 and 1" + option},
       {"defocus 1e9", star_row(ctf, "1e9 2 3 300 2.7 0.1"),
        "65 s: line 10: _rlnDefocusU = '1e+09': out of range: a defocus lies between -1e6 and 1e6 A" + option},
       {"magnification 0", star_row("_rlnMagnification\n_rlnDetectorPixelSize\n", "0 5"),
        "65 s: line 6: _rlnMagnification = '0': a magnification must be positive; repair: give --apix"},
       {"unknown optics group", optics + "1 2 4\n" + particles + "1@a 5\n",
        "65 s: line 11: _rlnOpticsGroup = '5': no such group in the optics table; repair: add it to data_optics"},
       {"repeated optics group", optics + "1 2 4\n1 3 4\n" + particles + "1@a 1\n",
        "65 s: line 7: _rlnOpticsGroup = '1': the optics group stands twice; repair: give each group its own number"},
       {"optics of two rows, nothing to join", optics + "1 2 4\n2 3 4\n" + image + "1@a\n",
        "65 s: _rlnOpticsGroup: the column is missing: the optics table has 2 rows and nothing joins them; repair: add "
        "the "
        "column to both tables"},
       {"mixed pixel sizes", optics + "1 2 4\n2 3 4\n" + particles + "1@a 1\n1@a 2\n",
        "65 s: line 7: _rlnImagePixelSize = '3': particles of different pixel size (the first has 2); repair: rescale "
        "to one "
        "size, or give --apix"},
       {"mixed boxes", optics + "1 2 4\n2 2 8\n" + particles + "1@a 1\n1@a 2\n",
        "65 s: line 7: _rlnImageSize = '8': particles of different box size (the first has 4); repair: rescale to one "
        "box size"},
       {"box of 4.5 pixels", optics + "1 2 4.5\n" + particles + "1@a 1\n",
        "65 s: line 6: _rlnImageSize = '4.5': not a box size in pixels; repair: correct it"},
       {"subtomograms", "data_optics\nloop_\n_rlnOpticsGroup\n_rlnImageDimensionality\n1 3\n" + particles + "1@a 1\n",
        "65 s: line 5: _rlnImageDimensionality = '3': the particles are not 2-D images; repair: project the "
        "subtomograms, or "
        "extract 2-D stacks"}},
      read_metadata);
}

TEST_CASE("particles that disagree with their stacks are refused") {
  test::TempDir dir;
  test::spit(dir / "a.mrcs", MrcBytes(4, 4, 3).bytes);
  test::spit(dir / "b.mrcs", MrcBytes(6, 6, 3).bytes);
  test::spit(dir / "c.mrcs", MrcBytes(4, 6, 3).bytes);
  test::spit(dir / "unknown.mrcs", MrcBytes(4, 4, 3).real(11, 0).bytes);
  test::spit(dir / "volumes.mrcs", MrcBytes(4, 4, 8).word(23, 401).bytes);
  test::spit(dir / "map.mrc", MrcBytes(4, 4, 4).word(23, 1).bytes);
  test::spit(dir / "p.cs", "");
  test::spit(dir / "p.txt", "");
  const auto star = [&](const std::string& rows, const std::string& labels = "") {
    test::spit(dir / "p.star", "data_\nloop_\n_rlnImageName\n" + labels + rows);
    return dir / "p.star";
  };
  const auto message = [&](const std::string& path, const LoadOptions& options = {}) {
    return test::replaced(test::failure([&] { load_particles(path, options); }), dir.path(), "DIR");
  };
  CHECK(message(star("3@a.mrcs\n4@a.mrcs\n")) ==
        "65 DIR/p.star: line 5: _rlnImageName = '4@DIR/a.mrcs': the stack has only 3 images; repair: check that the "
        "stack "
        "belongs to this file");
  CHECK(message(star("2147483647@a.mrcs\n")).find("the stack has only 3 images") != std::string::npos);
  CHECK(
      message(star("2147483648@a.mrcs\n")) ==
      "65 DIR/p.star: line 4: _rlnImageName = '2147483648@a.mrcs': no stack holds so many images; repair: correct the "
      "number before '@'");
  CHECK(message(star("1@a.mrcs\n1@b.mrcs\n")) ==
        "65 DIR/b.mrcs: byte 0: NX = '6': the other particles have a box of 4 pixels; repair: rescale to one box size");
  CHECK(message(star("1@c.mrcs\n")) ==
        "65 DIR/c.mrcs: byte 0: NX, NY = '4 x 6': the images are not square; repair: extract square particles");
  CHECK(message(star("1@volumes.mrcs\n")) ==
        "65 DIR/volumes.mrcs: byte 88: ISPG = '401': a stack of volumes, not of images; repair: give the particle "
        "images");
  CHECK(message(star("1@unknown.mrcs\n")) ==
        "65 DIR/p.star: no pixel size, neither here nor in the stack; repair: give --apix");
  CHECK(message(star("1@a.mrcs 3\n", "_rlnImagePixelSize\n")) ==
        "65 DIR/p.star: the pixel size is 3 A here and 2 A in the stack's header; repair: say with --apix which is "
        "right");
  CHECK(message(star("1@a.mrcs 3\n", "_rlnImagePixelSize\n"), {.pixel_size_angstrom = 3}) == "");
  CHECK(message(star("1@a.mrcs\n"), {.pixel_size_angstrom = -1}) ==
        "64 --apix = '-1.000000': not a pixel size in Angstrom; repair: give a number of Angstrom per pixel");
  CHECK(message(star("1@a.mrcs\n"), {.allow_missing_ctf = false}) ==
        "65 DIR/p.star: _rlnDefocusU: the column is missing: the file has no CTF; repair: estimate the CTF again, or "
        "leave the "
        "CTF out with --no-ctf");
  CHECK(message(dir / "map.mrc") ==
        "65 DIR/map.mrc: byte 88: ISPG = '1': a volume, not a stack of images; repair: give the particle images, or "
        "rename the "
        "file to .mrcs if it is a stack");
  CHECK(message(dir / "p.cs") ==
        "65 DIR/p.cs: byte 0: not a .npy file: too short for its header; repair: write it again with numpy.save");
  CHECK(message(dir / "p.txt") ==
        "65 DIR/p.txt: not a particle file by its name; repair: give a .star, .cs or .mrcs file");
  CHECK(message(dir / "gone.star") ==
        "66 DIR/gone.star: cannot be opened: No such file or directory; repair: check the path");
  std::filesystem::create_directories(dir / "d.mrcs");
  CHECK(message(star("1@d.mrcs\n")) ==
        "66 DIR/d.mrcs: not a regular file but a directory; repair: give a file on disk");
}

TEST_CASE("bad .npy files are refused with the place in the header") {
  const auto npy = [](const std::string& header, const std::string& data = "") {
    std::string out("\x93NUMPY\x01\x00", 8);
    out += static_cast<char>(header.size() & 255);
    out += static_cast<char>(header.size() >> 8);
    return out + header + data;
  };
  const std::string save = "; repair: write it again with numpy.save";
  const auto at = [&](int character, const std::string& problem) {
    return "65 n: header character " + std::to_string(character) + ": " + problem + save;
  };
  const std::string rest = ", 'fortran_order': False, 'shape': (1,)}";
  check_cases(
      {{"empty", "", "65 n: byte 0: not a .npy file: too short for its header" + save},
       {"other file", std::string(20, 'x'), "65 n: byte 0: not a .npy file: it does not begin with \\x93NUMPY" + save},
       {"version 9", std::string("\x93NUMPY\x09\x00\x00\x00\x00\x00", 12),
        "65 n: byte 0: unknown .npy format 9.0" + save},
       {"header of 4 GB", std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12),
        "65 n: byte 0: the header length 4294967295 does not fit the file of 12 bytes" + save},
       {"object type", npy("{'descr': '|O'" + rest), at(14, "an object type (pickled data), which is never read")},
       {"structured type", npy("{'descr': [('a', '<f4')]" + rest),
        at(10, "a structured type; a plain array is expected")},
       {"complex", npy("{'descr': '<c8'" + rest), at(15, "the type '<c8' is not readable")},
       {"text", npy("{'descr': '<U5'" + rest), at(15, "the type '<U5' is not readable")},
       {"code", npy("{'descr': __import__('os')" + rest), at(10, "a quoted name expected")},
       {"unknown key", npy("{'x': 1}"), at(5, "an unknown or repeated key 'x'")},
       {"missing key", npy("{'descr': '<f4'}"), at(16, "one of 'descr', 'fortran_order', 'shape' is missing")},
       {"negative extent", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"),
        at(51, "a size in 'shape' is not a number from 0 to 2^63-1")},
       {"number for a shape", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1)}", "xxxx"),
        at(52, "',' expected")},
       {"text after the header", npy("{'descr': '<f4'" + rest + "x"), at(55, "text after the dictionary")},
       {"data short", npy("{'descr': '<f4'" + rest, "xxx"),
        "65 n: byte 65: shape = '(1,)': the array needs 4 bytes, the file holds 3; repair: the file was cut or is "
        "damaged; "
        "write it again"},
       {"product overflow", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}"),
        "65 n: byte 85: shape = '(4294967296, 4294967296)': the array needs more than 2^63 bytes, the file holds 0; "
        "repair: "
        "the file was cut or is damaged; write it again"}},
      [](const std::string& bytes) { read_npy(test::memory(bytes, "n")); });
}

TEST_CASE("bad JSON is refused with its place") {
  const std::string repair = "; repair: correct or replace the file";
  check_cases({{"empty", "", "65 j: byte 1: not JSON" + repair},
               {"cut", "{\"a\": [1, 2", "65 j: byte 12: not JSON" + repair},
               {"two values", "{} {}", "65 j: byte 4: not JSON" + repair},
               {"comment", "{} // x", "65 j: byte 4: not JSON" + repair},
               {"not UTF-8", "\"\xff\"", "65 j: byte 2: not JSON" + repair},
               {"repeated key", "{\"a\": 1, \"b\": {\"a\": 1}, \"a\": 2}", "65 j: a: the key stands twice" + repair},
               {"number too large", "1e999", "65 j: a number in the JSON is out of range" + repair},
               {"a million deep", std::string(1'000'000, '['), "65 j: byte 32: nested more than 32 deep" + repair},
               {"too long", "\"" + std::string(17 << 20, 'x') + "\"",
                "65 j: 17825794 bytes of JSON, more than the 16777216 that make sense here" + repair}},
              [](const std::string& bytes) { parse_json(bytes, "j"); });
}
