#include "io/checkpoint.h"

#include "io/crc32c.h"
#include "io/strict_json.h"
#include "tests/io/support.h"

using namespace recon::io;

namespace {

Checkpoint small_checkpoint() {
  const std::vector<float> weights = {1, 2, 3, 4, 5, 6};
  const std::vector<double> moments = {0.5, -0.25};
  const std::vector<uint8_t> bytes = {1, 2, 3};
  const std::vector<int64_t> steps = {123456789012345};
  const std::vector<int32_t> none;
  return {{{"epoch", "3"}, {"note", "quote \" and \\ and \xc3\xa9"}},
          {make_tensor<double>("m", moments, {2}), make_tensor<int64_t>("t", steps, {}),
           make_tensor<float>("w", weights, {2, 3}), make_tensor<int32_t>("nothing", none, {0, 7}),
           make_tensor<uint8_t>("u", bytes, {3})}};
}

std::string written(const Checkpoint& checkpoint) {
  test::TempDir dir;
  write_checkpoint(dir / "c.safetensors", checkpoint);
  CHECK(std::distance(std::filesystem::directory_iterator(dir.path()), {}) == 1);
  return test::slurp(dir / "c.safetensors");
}

/// A safetensors file with the given JSON.
std::string raw_file(const std::string& json, const std::string& data) {
  std::string out(8, '\0');
  for (size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(json.size() >> (8 * i) & 255);
  return out + json + data;
}

}  // namespace

TEST_CASE("a checkpoint comes back equal, wider types first") {
  const Checkpoint checkpoint = small_checkpoint();
  const std::string file = written(checkpoint);
  const Checkpoint back = read_checkpoint(test::memory(file));
  CHECK(back == checkpoint);
  CHECK(tensor_values<float>(*back.find("w")) == std::vector<float>{1, 2, 3, 4, 5, 6});
  CHECK(back.find("absent") == nullptr);
  CHECK_THROWS_AS(tensor_values<double>(*back.find("w")), std::invalid_argument);
  const SafetensorsHeader header = parse_safetensors(test::memory(file));
  for (const TensorEntry& tensor : header.tensors) CHECK(tensor.begin % tensor_type_bytes(tensor.dtype) == 0);
  CHECK(written(checkpoint) == file);
}

TEST_CASE("every flipped bit of a checkpoint is detected") {
  const std::string good = written(small_checkpoint());
  int unseen = 0;
  for (size_t at = 0; at < good.size(); ++at)
    for (int flip = 1; flip < 256; flip += at < 1200 ? 1 : 7) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      unseen += !test::failure([&] { read_checkpoint(test::memory(bad)); }).starts_with("65 ");
      if (flip == 1) unseen += !test::failure([&] { verify_checkpoint(test::memory(bad)); }).starts_with("65 ");
    }
  CHECK(unseen == 0);
}

TEST_CASE("a checkpoint cut at any length, or with bytes added, is refused") {
  const std::string good = written(small_checkpoint());
  int unseen = 0;
  for (size_t length = 0; length < good.size(); ++length) {
    const std::string cut = good.substr(0, length);
    unseen += !test::failure([&] { read_checkpoint(test::memory(cut)); }).starts_with("65 ");
  }
  CHECK(unseen == 0);
  const std::string longer = good + '\0';
  CHECK(test::failure([&] { read_checkpoint(test::memory(longer)); }) ==
        "65 memory: 1 bytes after the last tensor; repair: the file is damaged or not a checkpoint; use another");
}

TEST_CASE("two tensors whose bytes are swapped are detected") {
  Checkpoint checkpoint;
  const std::vector<float> a = {1, 2}, b = {3, 4};
  checkpoint.tensors = {make_tensor<float>("a", a, {2}), make_tensor<float>("b", b, {2})};
  std::string file = written(checkpoint);
  std::swap_ranges(file.end() - 16, file.end() - 8, file.end() - 8);
  CHECK(test::failure([&] { read_checkpoint(test::memory(file)); }) ==
        "65 memory: a: the checksum does not agree; repair: use an earlier checkpoint; this one is damaged");
}

TEST_CASE("what the safetensors format forbids is refused by name") {
  const auto of = [](const std::string& json, const std::string& data) {
    const std::string file = raw_file(json, data);
    return test::replaced(test::failure([&] { parse_safetensors(test::memory(file)); }),
                          "; repair: the file is damaged or not a checkpoint; use another", "");
  };
  const std::string four(4, 'x'), eight(8, 'x');
  CHECK(of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", four) == "");
  CHECK(of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", eight) ==
        "65 memory: a: a hole or an overlap before its bytes");
  CHECK(
      of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
         four) == "65 memory: b: a hole or an overlap before its bytes");
  CHECK(of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", eight) ==
        "65 memory: a: the shape needs 4 bytes, data_offsets give 8");
  CHECK(of(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4611686018427387904],"data_offsets":[0,4]}})", four) ==
        "65 memory: a: the shape's product exceeds 2^63");
  CHECK(of(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", four) ==
        "65 memory: a: a number in shape or data_offsets is not from 0 to 2^63-1");
  CHECK(of(R"({"a":{"dtype":"F16","shape":[1],"data_offsets":[0,4]}})", four) ==
        "65 memory: a: dtype is not one of F32, F64, I32, I64, U8");
  CHECK(of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "") ==
        "65 memory: a: data_offsets do not lie within the file");
  CHECK(of(R"(["a"] )", four) == "65 memory: header: does not begin with '{'");
  CHECK(of(R"({"__metadata__":{"a":1}})", "") == "65 memory: __metadata__: a is not a text");
  CHECK(
      of(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
         "") == "65 memory: a: the key stands twice; repair: correct or replace the file");
  CHECK(of("{" + std::string(100, '['), "") ==
        "65 memory: byte 8: nested more than 8 deep; repair: correct or replace the file");
  std::string huge = raw_file("{}", four);
  huge[7] = '\x7f';
  CHECK(test::failure([&] {
          parse_safetensors(test::memory(huge));
        }).find("header length: 9151314442816847874 bytes") != std::string::npos);
}

TEST_CASE("a file of the format without our checksums is no checkpoint") {
  const std::string file = raw_file(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "xxxx");
  CHECK(test::failure([&] { read_checkpoint(test::memory(file)); }) ==
        "65 memory: header: no checksum: not a checkpoint of this program; repair: use an earlier checkpoint; this one "
        "is "
        "damaged");
}

TEST_CASE("names and metadata that could imitate a checksum are refused or harmless") {
  test::TempDir dir;
  Checkpoint checkpoint = small_checkpoint();
  checkpoint.metadata["recon.crc32c:w"] = "00000000";
  CHECK_THROWS_AS(write_checkpoint(dir / "c", checkpoint), std::invalid_argument);
  checkpoint = small_checkpoint();
  checkpoint.metadata["x"] = "\"recon.crc32c\":\"00000000\"";
  checkpoint.tensors[0].name = "recon.crc32c\":\"";
  write_checkpoint(dir / "c", checkpoint);
  CHECK(read_checkpoint(dir / "c") == checkpoint);
  checkpoint.metadata["x"] = "\xff";
  CHECK_THROWS_AS(write_checkpoint(dir / "c", checkpoint), std::invalid_argument);
  checkpoint = small_checkpoint();
  checkpoint.tensors[1].name = checkpoint.tensors[0].name;
  CHECK_THROWS_AS(write_checkpoint(dir / "c", checkpoint), std::invalid_argument);
}

TEST_CASE("the checksum is CRC-32C, in both of its versions") {
  const std::string digits = "123456789";
  CHECK(crc32c(std::as_bytes(std::span(digits))) == 0xe3069283u);
  std::string data;
  for (int i = 0; i < 1000; ++i) data += static_cast<char>(i * i >> 3);
  for (size_t length : {0, 1, 7, 8, 9, 64, 999, 1000}) {
    const auto part = std::as_bytes(std::span(data)).first(length);
    CHECK(crc32c(part) == crc32c_portable(part));
    const auto head = part.first(length / 3), tail = part.subspan(length / 3);
    CHECK(crc32c(tail, crc32c(head)) == crc32c(part));
  }
}
