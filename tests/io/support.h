#pragma once
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "io/byte_source.h"
#include "io/error.h"

namespace test {

/// A folder of its own for one test, removed at its end.
class TempDir {
 public:
  TempDir() {
    static std::atomic<int> serial{0};
    path_ = (std::filesystem::temp_directory_path() /
             ("recon_io_test." + std::to_string(::getpid()) + "." + std::to_string(serial++)))
                .string();
    std::filesystem::create_directories(path_);
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

inline void spit(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

inline recon::io::MemorySource memory(const std::string& bytes, std::string name = "memory") {
  return {std::as_bytes(std::span(bytes)), std::move(name)};
}

/// An MRC file in memory: float32, little-endian, `sections` images of side `side` at 2 Å, pixel i = i; `edit` may
/// change header words.
class MrcBytes {
 public:
  MrcBytes(int nx, int ny, int nz, int mode = 2, size_t bytes_per_pixel = 4) {
    bytes.assign(1024 + size_t(nx) * size_t(ny) * size_t(nz) * bytes_per_pixel, '\0');
    word(1, nx), word(2, ny), word(3, nz), word(4, mode);
    word(8, nx), word(9, ny), word(10, 1);
    real(11, 2.0f * float(nx)), real(12, 2.0f * float(ny)), real(13, 2.0f);
    for (int i = 14; i <= 16; ++i) real(i, 90);
    for (int i = 0; i < 3; ++i) word(17 + i, 1 + i);
    std::memcpy(bytes.data() + 208, "MAP \x44\x44\0\0", 8);
    if (mode == 2)
      for (size_t i = 0; i < size_t(nx) * size_t(ny) * size_t(nz); ++i) pixel(i, float(i));
  }
  MrcBytes& word(int number, int32_t value) { return std::memcpy(bytes.data() + 4 * (number - 1), &value, 4), *this; }
  MrcBytes& real(int number, float value) { return std::memcpy(bytes.data() + 4 * (number - 1), &value, 4), *this; }
  template <class T>
  MrcBytes& pixel(size_t i, T value) {
    return std::memcpy(bytes.data() + 1024 + i * sizeof(T), &value, sizeof(T)), *this;
  }
  /// Turns every header number and every pixel of `width` bytes around.
  MrcBytes& to_big_endian(size_t width) {
    for (size_t at = 0; at < 208; at += 4) std::reverse(bytes.begin() + long(at), bytes.begin() + long(at + 4));
    for (const size_t at : {216, 220}) std::reverse(bytes.begin() + long(at), bytes.begin() + long(at + 4));
    for (size_t at = 1024; at + width <= bytes.size(); at += width)
      std::reverse(bytes.begin() + long(at), bytes.begin() + long(at + width));
    std::memcpy(bytes.data() + 212, "\x11\x11\0\0", 4);
    return *this;
  }
  std::string bytes;
};

/// What an action throws, as "CODE message"; "" if nothing.
inline std::string failure(const std::function<void()>& action) {
  try {
    action();
  } catch (const recon::io::Error& error) {
    return std::to_string(error.exit_code) + " " + error.what();
  }
  return "";
}

/// A kind of bad input, and what reading it throws.
struct Case {
  std::string kind, bytes, expected;
};

/// Every case is refused with exactly its message, which says what to do about it.
inline void check_cases(const std::vector<Case>& cases, const std::function<void(const std::string&)>& read) {
  for (const Case& one : cases) {
    CAPTURE(one.kind);
    CHECK(failure([&] { read(one.bytes); }) == one.expected);
    CHECK(one.expected.find("; repair: ") != std::string::npos);
  }
}

/// `text` with every `from` replaced.
inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

/// A file of the shared test data, or "" (with a message) where that is absent.
inline std::string shared_data(const std::string& name) {
  const char* given = std::getenv("RECONSTRUCT_TEST_DATA");
  const std::string path =
      (given ? std::string(given) : std::string(RECON_SOURCE_DIR) + "/../shared/data") + "/" + name;
  if (std::filesystem::exists(path)) return path;
  MESSAGE("skipped: no shared test data at " << path);
  return "";
}

}  // namespace test
