#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "io/checkpoint.h"
#include "io/cs.h"
#include "io/mrc.h"
#include "io/npy.h"
#include "io/particles.h"
#include "io/pickle.h"

// Writes a small seed corpus, a folder a target: write_seeds DIR

using namespace recon::io;

namespace {

std::string folder;

void seed(const std::string& target, const std::string& name, const std::string& text) {
  std::filesystem::create_directories(folder + "/" + target);
  std::ofstream(folder + "/" + target + "/" + name, std::ios::binary) << text;
}

std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string unhex(const std::string& digits) {
  std::string bytes;
  for (size_t i = 0; i < digits.size(); i += 2) bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return bytes;
}

void write_mrc_seeds() {
  const std::string path = folder + "/volume.mrc";
  write_volume(path, std::vector<float>(8, 1.0f), 2, 1.5);
  const std::string volume = slurp(path);
  std::filesystem::remove(path);
  seed("mrc", "volume", volume);
  for (const int mode : {0, 1, 6, 12}) {
    std::string other = volume;
    other[12] = static_cast<char>(mode);
    seed("mrc", "mode" + std::to_string(mode), other);
  }
  std::string big = volume;
  for (size_t at = 0; at < 208; at += 4) std::swap(big[at], big[at + 3]), std::swap(big[at + 1], big[at + 2]);
  std::memcpy(big.data() + 212, "\x11\x11", 2);
  seed("mrc", "big", big);
}

void write_star_seeds() {
  const std::vector<EulerDeg> euler = {{1, 2, 3}, {40, 50, 60}};
  const std::vector<ShiftPx> shift = {{0.5, -1}, {0, 2}};
  const std::vector<Ctf> ctf(2);
  const std::vector<int> half = {1, 2};
  const std::string path = folder + "/p.star";
  write_simple_star(path, "s.mrcs", 2, 4, 1.5, euler, shift, ctf, half);
  const std::string modern = slurp(path);
  std::filesystem::remove(path);
  const std::string old =
      "data_images\nloop_\n_rlnImageName #1\n_rlnMagnification\n_rlnDetectorPixelSize\n_rlnAngleRot\n_rlnAngleTilt\n"
      "_rlnAnglePsi\n_rlnOriginX\n_rlnOriginY\n1@'a b.mrcs' 10000 1.5 1 2 3 4 5 # c\n";
  const std::string pairs = "# head\ndata_general\n_a 'b c'\n_d \"\"\n\ndata_x\nloop_\n_e\n1\n2\n";
  for (const char* target : {"star", "particles"}) {
    seed(target, "modern", modern);
    seed(target, "old", old);
    seed(target, "pairs", pairs);
  }
}

void write_array_seeds() {
  const std::string path = folder + "/a";
  write_npy<float>(path, std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3});
  seed("npy", "f4", slurp(path));
  write_npy<int64_t>(path, std::vector<int64_t>{1, 2}, {2});
  seed("npy", "i8", slurp(path));
  Checkpoint checkpoint{{{"epoch", "1"}}, {}};
  seed("safetensors", "bare", std::string("\x02\0\0\0\0\0\0\0{}", 10));
  const std::vector<float> values = {1, 2};
  checkpoint.tensors.push_back(make_tensor<float>("w", values, {2}));
  checkpoint.tensors.push_back(make_tensor<float>("b", values, {1, 2}));
  write_checkpoint(path, checkpoint);
  seed("safetensors", "checkpoint", slurp(path));
  std::filesystem::remove(path);
  seed("json_config", "config",
       R"({"epochs": 20, "model": {"width": 1024, "list": [1, 2.5, null, true]}, "name": "\u00e9"})");
}

void write_table_seeds() {
  const std::string path = folder + "/t";
  CsTable table(2);
  table.set_integers("uid", {}, std::vector<int64_t>{1, 2});
  table.set_texts("blob/path", {"a.mrc", ">b"});
  table.set_integers("blob/idx", {}, std::vector<int64_t>{0, 1});
  table.set_integers("blob/shape", {2}, std::vector<int64_t>(4, 4));
  table.set_floats("blob/psize_A", {}, std::vector<double>(2, 1.5));
  table.set_floats("alignments3D/pose", {3}, std::vector<double>{0, 0, 0, 1, 2, 0.5});
  table.set_floats("alignments3D/shift", {2}, std::vector<double>{0, 1, 2, 3});
  write_cs(path, table);
  seed("cs", "poses", slurp(path));
  CsTable classes(1);
  for (const char* name :
       {"alignments3D_multi/class_posterior", "alignments3D_multi/shift", "alignments3D_multi/pose"}) {
    const int64_t width = name[19] == 'c' ? 1 : name[19] == 's' ? 2 : 3;
    classes.set_floats(name, {2, width}, std::vector<double>(static_cast<size_t>(2 * width), 0.25));
  }
  write_cs(path, classes);
  seed("cs", "classes", slurp(path));
  const std::string header =
      R"({"length": 1, "dtype": [["uid", "<u8"], ["blob/path", "|O"], ["blob/idx", "<u4"]], "compression": "lz4", )"
      R"("compressed_fields": ["blob/path"]})";
  seed("cs", "stream",
       std::string("\x95") + "CSDAT" + static_cast<char>(header.size()) + std::string(3, '\0') + header +
           unhex("080000000100000000000000090000008001000000000000000400000000000000006100"));
  const NpyArray matrix{NpyType::f4, {1, 2}, std::vector<std::byte>(8)};
  write_pickles(path, {{{matrix, matrix}, true}, {{matrix}, false}});
  seed("pickle", "arrays", slurp(path));
  seed("pickle", "numbers",
       std::string("\x80\x04\x95\x0a\0\0\0\0\0\0\0]\x94(K\x01M\x01\x02"
                   "e.",
                   20));
  seed("pickle", "protocol2",
       unhex("8002636e756d70792e636f72652e6d756c746961727261790a5f7265636f6e7374727563740a7100636e756d70"
             "790a6e6461727261790a71014b00857102635f636f646563730a656e636f64650a710358010000006271045806"
             "0000006c6174696e317105867106527107877108527109284b014b0185710a636e756d70790a64747970650a71"
             "0b58020000007531710c898887710d52710e284b0358010000007c710f4e4e4e4affffffff4affffffff4b0074"
             "71106289680358010000000771116805867112527113747114622e"));
  seed("pickle", "protocol5",
       unhex("8005957d000000000000008c126e756d70792e636f72652e6e756d65726963948c0b5f66726f6d627566666572"
             "949394289608000000000000000000e04000000041948c056e756d7079948c0564747970659493948c02663494"
             "898887945294284b038c013c944e4e4e4affffffff4affffffff4b007494624b014b0286948c01439474945294"
             "2e"));
  std::filesystem::remove(path);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return std::fprintf(stderr, "usage: write_seeds DIR\n"), 64;
  folder = arguments[1];
  std::filesystem::create_directories(folder);
  write_mrc_seeds();
  write_star_seeds();
  write_array_seeds();
  write_table_seeds();
}
