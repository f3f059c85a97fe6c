#pragma once
#include <algorithm>
#include <cstddef>
#include <map>
#include <unordered_map>

namespace recon::cuda {

/// Released blocks of device memory, kept for the next request of about their size: the driver is asked once, and
/// never in a settled run. All users are on one stream, so a block's next user comes after its last one.
class BlockCache {
 public:
  /// A kept block for `bytes`, or null. It may be a quarter larger than asked for, not more.
  void* take(size_t bytes) {
    const auto found = idle_.lower_bound(bytes);
    if (found == idle_.end() || found->first > bytes + bytes / 4) return nullptr;
    void* block = found->second;
    in_use_[block] = found->first;
    idle_.erase(found);
    return block;
  }
  /// A new block, in use.
  void add(void* block, size_t bytes) {
    in_use_[block] = bytes;
    reserved_ += bytes;
    peak_ = std::max(peak_, reserved_);
  }
  void give_back(void* block) {
    const auto found = in_use_.find(block);
    if (found == in_use_.end()) return;
    idle_.emplace(found->second, block);
    in_use_.erase(found);
  }
  /// Hands every block that nobody uses to `free`.
  template <class Free>
  void drop_idle(const Free& free) {
    for (const auto& [bytes, block] : idle_) {
      free(block);
      reserved_ -= bytes;
    }
    idle_.clear();
  }
  template <class Visit>
  void for_each_in_use(const Visit& visit) const {
    for (const auto& [block, bytes] : in_use_) visit(block, bytes);
  }
  size_t reserved() const { return reserved_; }
  size_t peak() const { return peak_; }
  size_t idle_bytes() const {
    size_t bytes = 0;
    for (const auto& [size, block] : idle_) bytes += size;
    return bytes;
  }

 private:
  std::multimap<size_t, void*> idle_;
  std::unordered_map<void*, size_t> in_use_;
  size_t reserved_ = 0, peak_ = 0;
};

}  // namespace recon::cuda
