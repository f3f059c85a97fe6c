#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "io/checkpoint.h"
#include "io/mrc.h"
#include "io/npy.h"
#include "io/particles.h"

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
  const std::vector<std::array<double, 3>> euler = {{1, 2, 3}, {40, 50, 60}};
  const std::vector<std::array<double, 2>> shift = {{0.5, -1}, {0, 2}};
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

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return std::fprintf(stderr, "usage: write_seeds DIR\n"), 64;
  folder = arguments[1];
  std::filesystem::create_directories(folder);
  write_mrc_seeds();
  write_star_seeds();
  write_array_seeds();
}
