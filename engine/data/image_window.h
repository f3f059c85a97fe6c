#pragma once
#include <memory>
#include <span>
#include <vector>

#include "engine/data/dataset.h"
#include "kernels/runtime/transfer.h"

namespace recon {

/// Where the images of a data set stand on the device in fp32. Those in its memory: where they are. Those in 16 bits or
/// in the host's memory: in a table of two turns, each for a group of images; while the device works on one, the other
/// is filled from the host.
class ImageWindow {
 public:
  /// For groups of at most `capacity` images. The data set must outlive the window.
  ImageWindow(Device& device, const Dataset& data, int64_t capacity);

  /// [N, P] or [2 · capacity, P]; the same memory as long as the window lives.
  View<const float> table() const;

  /// The rows of the table where these images stand, for the operations issued from now on. Unless they are part of
  /// the group at hand, the group that was fetched ahead, or else they themselves, become the group at hand.
  /// Throws ContractError for more than `capacity` images.
  std::vector<int32_t> rows(std::span<const int32_t> images);

  /// Copies the images that will be asked for next, beside the operations that were issued before.
  void fetch_ahead(std::span<const int32_t> images);

 private:
  struct Turn {
    std::vector<int32_t> images, place;  ///< place: of every image of the set in this turn, or −1
  };
  bool holds(const Turn& turn, std::span<const int32_t> images) const;
  int32_t stored_row(int32_t image) const;
  void widen(int turn, std::span<const int32_t> images);
  void fill(float* to, std::span<const int32_t> images) const;

  Device& device_;
  const Dataset& data_;
  int64_t capacity_;
  Buffer<float> table_;
  std::unique_ptr<Transfer> transfer_;
  Turn turns_[2];
  int at_hand_ = 0;
  bool sent_ahead_ = false;
};

}  // namespace recon
