#pragma once
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "io/mrc.h"

namespace recon::io {

/// Keeps at most kMostOpen stacks open, so that a data set of 10^5 stacks does not exhaust file descriptors. A stack
/// that is opened again must be the one that was checked at first.
class StackPool {
 public:
  static constexpr size_t kMostOpen = 128;
  explicit StackPool(const MrcOptions& options) : options_(options) {}

  /// Registers a file, opening and checking it. Its number is the count of files before it. Throws InputError.
  MrcHeader add(const std::string& path);
  /// Thread-safe. Throws InputError if the file changed since add().
  MrcFile get(uint32_t file);

 private:
  struct Known {
    std::string path;
    MrcHeader header;
    int64_t size = 0, modified_ns = 0;
  };
  MrcFile keep(uint32_t file, MrcFile opened);

  MrcOptions options_;
  std::mutex mutex_;
  std::vector<Known> known_;
  std::unordered_map<uint32_t, MrcFile> open_;
  std::list<uint32_t> age_;  // oldest first
};

}  // namespace recon::io
