#include "engine/data/image_window.h"

#include <algorithm>
#include <utility>

#include "kernels/table/table.h"

namespace recon {

ImageWindow::ImageWindow(Device& device, const Dataset& data, int64_t capacity)
    : device_(device), data_(data), capacity_(data.images.empty() ? std::min(capacity, data.count) : data.count) {
  if (!data.images.empty()) return;
  table_ = Buffer<float>(device, 2 * capacity_, data.pixel_count());
  if (data.halves == nullptr) {
    transfer_ = Transfer::open(device, static_cast<size_t>(table_.size()) / 2 * sizeof(float));
    transfer_->release_targets();
  }
  for (Turn& turn : turns_) turn.place.assign(static_cast<size_t>(data.count), -1);
}

View<const float> ImageWindow::table() const { return table_.empty() ? data_.images.view() : table_.view(); }

bool ImageWindow::holds(const Turn& turn, std::span<const int32_t> images) const {
  return std::all_of(images.begin(), images.end(), [&](int32_t i) { return turn.place[static_cast<size_t>(i)] >= 0; });
}

std::vector<int32_t> ImageWindow::rows(std::span<const int32_t> images) {
  std::vector<int32_t> out(images.begin(), images.end());
  if (table_.empty()) return out;
  if (!holds(turns_[at_hand_], images)) {
    const int next = 1 - at_hand_;
    if (!sent_ahead_ || !holds(turns_[next], images)) fetch_ahead(images);
    if (transfer_) transfer_->receive(next);
    at_hand_ = next;
    sent_ahead_ = false;
    if (transfer_)
      transfer_->release_targets();  // what was issued before reads the other turn, what comes now does not
  }
  for (int32_t& i : out)
    i = turns_[at_hand_].place[static_cast<size_t>(i)] + static_cast<int32_t>(at_hand_ * capacity_);
  return out;
}

void ImageWindow::fetch_ahead(std::span<const int32_t> images) {
  if (table_.empty()) return;
  expect(static_cast<int64_t>(images.size()) <= capacity_, "image window: more images than it has room for");
  const int next = 1 - at_hand_;
  Turn& turn = turns_[next];
  for (const int32_t i : turn.images) turn.place[static_cast<size_t>(i)] = -1;
  turn.images.assign(images.begin(), images.end());
  for (size_t k = 0; k < images.size(); ++k) turn.place[static_cast<size_t>(images[k])] = static_cast<int32_t>(k);
  const bool again = std::exchange(sent_ahead_, true);
  if (!transfer_) return widen(next, images);
  if (again) transfer_->release_targets();  // once more into a turn that nothing has read since
  if (auto* memory = static_cast<float*>(transfer_->memory(next))) fill(memory, images);
  const auto columns = static_cast<size_t>(data_.pixel_count());
  transfer_->send(next, table_.view().row(next * capacity_), images.size() * columns * sizeof(float));
}

int32_t ImageWindow::stored_row(int32_t image) const {
  return data_.stored_rows.empty() ? image : data_.stored_rows[static_cast<size_t>(image)];
}

void ImageWindow::widen(int turn, std::span<const int32_t> images) {
  std::vector<int32_t> stored;
  for (const int32_t i : images) stored.push_back(stored_row(i));
  const Buffer<int32_t> rows(device_, stored);
  widen_rows(device_, WidenRows{.from = data_.halves->view(),
                                .rows = rows.view(),
                                .to = table_.rows(turn * capacity_, static_cast<int64_t>(images.size()))});
}

void ImageWindow::fill(float* to, std::span<const int32_t> images) const {
  const int64_t columns = data_.pixel_count();
  const auto copy = [&](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; ++k) {
      const int64_t row = stored_row(images[static_cast<size_t>(k)]);
      std::copy_n(data_.host_images.get() + row * columns, columns, to + k * columns);
    }
  };
  device_.threads().for_range(static_cast<int64_t>(images.size()), 16, copy);
}

}  // namespace recon
