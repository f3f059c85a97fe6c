#pragma once
// Test-only readers of other people's reference files, independent of io/: .npy, stored .npz, MRC mode 2. They trust
// their input.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace recon::reference {

/// The folder of reference data, or an empty path where there is none: the test then says so and returns.
inline std::filesystem::path data_folder() {
  if (const char* set = std::getenv("RECONSTRUCT_TEST_DATA")) return set;
  const std::filesystem::path beside = std::filesystem::path(RECON_SOURCE_DIR) / "../shared/data";
  return std::filesystem::exists(beside) ? beside : std::filesystem::path{};
}

/// An array of any numeric type, widened to doubles.
struct Array {
  std::vector<int64_t> shape;
  std::vector<double> values;
  int64_t rows() const { return shape.empty() ? 1 : shape[0]; }
  int64_t columns() const { return static_cast<int64_t>(values.size()) / rows(); }
  double operator()(int64_t row, int64_t column) const { return values[static_cast<size_t>(row * columns() + column)]; }
};

inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

template <class T>
T load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
std::vector<double> widen(const char* from, size_t count) {
  std::vector<double> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<double>(load<T>(from + i * sizeof(T)));
  return values;
}

/// The values of a matrix [rows, columns] that is stored by columns.
inline std::vector<double> row_major(const Array& by_columns) {
  std::vector<double> values;
  for (int64_t i = 0; i < by_columns.rows(); ++i)
    for (int64_t j = 0; j < by_columns.columns(); ++j)
      values.push_back(by_columns.values[static_cast<size_t>(j * by_columns.rows() + i)]);
  return values;
}

inline Array parse_npy(const std::string& bytes) {
  const size_t length = bytes[6] == 1 ? load<uint16_t>(&bytes[8]) : load<uint32_t>(&bytes[8]);
  const size_t start = bytes[6] == 1 ? 10 : 12;
  const std::string header = bytes.substr(start, length);
  Array array;
  size_t count = 1;
  const size_t open = header.find('(') + 1;
  std::string sizes = header.substr(open, header.find(')') - open);
  for (char* at = sizes.data(); *at;) {
    char* end = nullptr;
    const long long size = std::strtoll(at, &end, 10);
    if (end == at) break;
    array.shape.push_back(size);
    count *= static_cast<size_t>(size);
    at = *end ? end + 1 : end;
  }
  const char* data = bytes.data() + start + length;
  if (header.find("<f4") != std::string::npos)
    array.values = widen<float>(data, count);
  else if (header.find("<f8") != std::string::npos)
    array.values = widen<double>(data, count);
  else if (header.find("<i8") != std::string::npos)
    array.values = widen<int64_t>(data, count);
  else if (header.find("|b1") != std::string::npos)
    array.values = widen<uint8_t>(data, count);
  else
    throw std::runtime_error("npy: type not read by the tests: " + header);
  if (header.find("'fortran_order': True") != std::string::npos) array.values = row_major(array);
  return array;
}

inline Array read_npy(const std::filesystem::path& path) { return parse_npy(read_bytes(path)); }

/// The members of an .npz that numpy.savez wrote (stored, found through the central directory).
inline std::map<std::string, Array> read_npz(const std::filesystem::path& path) {
  const std::string bytes = read_bytes(path);
  std::map<std::string, Array> members;
  const size_t end = bytes.rfind("PK\x05\x06");
  size_t at = load<uint32_t>(&bytes[end + 16]);
  for (int left = load<uint16_t>(&bytes[end + 10]); left > 0; --left) {
    const size_t size = load<uint32_t>(&bytes[at + 24]), name = load<uint16_t>(&bytes[at + 28]);
    const size_t local = load<uint32_t>(&bytes[at + 42]);
    if (load<uint16_t>(&bytes[at + 10]) != 0) throw std::runtime_error("npz: deflated members are not read");
    const size_t data = local + 30 + load<uint16_t>(&bytes[local + 26]) + load<uint16_t>(&bytes[local + 28]);
    members[bytes.substr(at + 46, name - 4)] = parse_npy(bytes.substr(data, size));
    at += 46 + name + load<uint16_t>(&bytes[at + 30]) + load<uint16_t>(&bytes[at + 32]);
  }
  return members;
}

/// An MRC file of floats: [sections, rows, columns].
inline Array read_mrc(const std::filesystem::path& path) {
  const std::string bytes = read_bytes(path);
  if (load<int32_t>(&bytes[12]) != 2) throw std::runtime_error("mrc: only mode 2 is read by the tests");
  Array array;
  array.shape = {load<int32_t>(&bytes[8]), load<int32_t>(&bytes[4]), load<int32_t>(&bytes[0])};
  const size_t count = static_cast<size_t>(array.shape[0] * array.shape[1] * array.shape[2]);
  array.values = widen<float>(&bytes[1024 + load<uint32_t>(&bytes[92])], count);
  return array;
}

}  // namespace recon::reference
