#include "io/npy.h"

#include <cmath>

#include "tests/io/support.h"

using namespace recon::io;

namespace {

std::string npy(const std::string& descr, const std::string& order, const std::string& shape, const std::string& data,
                int version = 1) {
  const std::string header = "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
  std::string out = std::string("\x93NUMPY") + static_cast<char>(version) + '\0';
  for (size_t i = 0; i < (version == 1 ? 2u : 4u); ++i) out += static_cast<char>(header.size() >> (8 * i) & 255);
  return out + header + data;
}

template <class T>
std::string raw(const std::vector<T>& values, bool swap = false) {
  std::string out;
  for (T value : values) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    if (swap) std::reverse(bytes, bytes + sizeof(T));
    out.append(bytes, sizeof(T));
  }
  return out;
}

template <class T>
void check_round_trip(const std::vector<T>& values, const std::vector<int64_t>& shape) {
  test::TempDir dir;
  write_npy(dir / "a.npy", values, shape);
  const NpyData<T> back = read_npy_as<T>(dir / "a.npy");
  CHECK(back.shape == shape);
  CHECK(back.values == values);
  CHECK(std::filesystem::file_size(dir / "a.npy") % 64 == values.size() * sizeof(T) % 64);
}

}  // namespace

TEST_CASE("arrays of every type come back with shape and values") {
  check_round_trip<float>({1, -2, 3, 4, 5, 6}, {2, 3});
  check_round_trip<double>({1e300, -0.1}, {2});
  check_round_trip<int32_t>({-5}, {});
  check_round_trip<int64_t>({INT64_MIN, INT64_MAX}, {1, 2, 1});
  check_round_trip<uint8_t>({}, {0, 4});
}

TEST_CASE("formats 1 to 3, both byte orders and both index orders give the same array") {
  const std::vector<float> c_order = {0, 1, 2, 3, 4, 5}, fortran = {0, 3, 1, 4, 2, 5};
  for (const int version : {1, 2, 3})
    for (const bool big : {false, true}) {
      const std::string type = big ? ">f4" : "<f4";
      for (const auto& [order, values] : {std::pair("False", c_order), std::pair("True", fortran)}) {
        const std::string file = npy(type, order, "(2, 3)", raw(values, big), version);
        CHECK(read_npy_as<float>(test::memory(file)).values == c_order);
        CHECK(read_npy_as<double>(test::memory(file)).values == std::vector<double>(c_order.begin(), c_order.end()));
      }
    }
  std::vector<int32_t> cube(24), expected(24);
  for (int z = 0; z < 2; ++z)
    for (int y = 0; y < 3; ++y)
      for (int x = 0; x < 4; ++x)
        cube[size_t(z + 2 * (y + 3 * x))] = expected[size_t(x + 4 * (y + 3 * z))] = 100 * z + 10 * y + x;
  CHECK(read_npy_as<int32_t>(test::memory(npy("<i4", "True", "(2, 3, 4)", raw(cube)))).values == expected);
}

TEST_CASE("numbers convert to wider types and never silently to ones that cannot hold them") {
  CHECK(read_npy_as<double>(test::memory(npy("<f2", "False", "(2,)", raw<uint16_t>({0x3c00, 0xc100})))).values ==
        std::vector<double>{1, -2.5});
  CHECK(read_npy_as<float>(test::memory(npy("|b1", "False", "(2,)", std::string("\1\0", 2)))).values ==
        std::vector<float>{1, 0});
  CHECK(read_npy_as<int64_t>(test::memory(npy("<u4", "False", "(1,)", raw<uint32_t>({4000000000u})))).values ==
        std::vector<int64_t>{4000000000});
  CHECK(test::failure([] {
          read_npy_as<int32_t>(test::memory(npy("<u4", "False", "(1,)", raw<uint32_t>({4000000000u}))));
        }) == "65 memory: element 0: a number out of range; repair: save the array with the expected type");
  CHECK(
      test::failure([] { read_npy_as<int32_t>(test::memory(npy("<f8", "False", "(1,)", raw<double>({1})))); }) ==
      "65 memory: element 0: floating-point numbers where whole numbers are expected; repair: save the array with the "
      "expected type");
  CHECK(test::failure([] {
          read_npy_as<int64_t>(test::memory(npy("<u8", "False", "(1,)", raw<uint64_t>({~0ull}))));
        }) == "65 memory: element 0: a number out of range; repair: save the array with the expected type");
}

TEST_CASE("a shape that does not hold the values is a programming error") {
  test::TempDir dir;
  CHECK_THROWS_AS(write_npy<float>(dir / "a.npy", std::vector<float>(5), {2, 3}), std::invalid_argument);
  CHECK_THROWS_AS(write_npy<float>(dir / "a.npy", std::vector<float>(5), {-5}), std::invalid_argument);
}

TEST_CASE("rows of numbers are taken from the shapes that mean them and from no other") {
  test::TempDir dir;
  const std::string path = dir / "rows.npy";
  const std::vector<double> six = {1, 2, 3, 4, 5, 6};
  const auto rows = [&](const std::vector<int64_t>& shape, int64_t width) {
    write_npy(path, six, shape);
    return read_npy_rows<float>(path, width) == std::vector<float>(six.begin(), six.end());
  };
  CHECK(rows({3, 2}, 2));
  CHECK(rows({6}, 6));
  for (const auto& shape : {std::vector<int64_t>{6}, {6, 1}, {1, 6}}) CHECK(rows(shape, 1));
  for (const auto& shape : {std::vector<int64_t>{3, 2}, {6}, {2, 1, 3}, {2, 3, 1}})
    CHECK(test::failure([&] { rows(shape, 3); }).find("rows of 3 numbers are wanted") != std::string::npos);
  CHECK(test::failure([&] {
          rows({2, 3}, 1);
        }) ==
        "65 " + path + ": shape = '(2, 3)': rows of 1 number are wanted; repair: save an array of shape (rows, 1)");
  write_npy(path, std::vector<double>{1, 2, 3, NAN}, {2, 2});
  CHECK(test::failure([&] { read_npy_rows<double>(path, 2); }) == "65 " + path + ": row 1: holds a NaN or an infinity");
}

TEST_CASE("the expected images of cryoDRGN's test read with their shape") {
  const std::string path = test::shared_data("cryodrgn/hand_11_particles.npy");
  if (path.empty()) return;
  const NpyData<float> array = read_npy_as<float>(path);
  CHECK(array.shape == std::vector<int64_t>{11, 65, 65});
}
