#pragma once
#include <exception>
#include <vector>

#include "kernels/runtime/device.h"

namespace recon {

/// Device memory as the host sees it, for work that only the host does: on the CPU the memory itself, elsewhere a copy
/// that is written back at the end of the scope.
template <class T>
class HostAccess {
 public:
  enum class Intent { read, write, update };

  HostAccess(Device& device, View<T> view, Intent intent) : device_(&device), view_(view), intent_(intent) {
    data_ = device.state_or_null() ? nullptr : const_cast<Value*>(view.data);
    if (data_ || view.size() == 0) return;
    copy_.resize(static_cast<size_t>(view.size()));
    if (intent != Intent::write) device.download(copy_.data(), view.data, copy_.size() * sizeof(T));
    data_ = copy_.data();
  }
  HostAccess(const HostAccess&) = delete;
  HostAccess& operator=(const HostAccess&) = delete;
  ~HostAccess() noexcept(false) {
    if constexpr (!std::is_const_v<T>)
      if (intent_ != Intent::read && !copy_.empty() && std::uncaught_exceptions() == 0)
        device_->upload(view_.data, copy_.data(), copy_.size() * sizeof(T));
  }

  T* data() const { return data_; }
  T& operator[](int64_t i) const { return data_[i]; }
  View<T> view() const { return {data_, view_.rows, view_.cols}; }

 private:
  using Value = std::remove_const_t<T>;
  Device* device_;
  View<T> view_;
  Intent intent_;
  Value* data_ = nullptr;
  std::vector<Value> copy_;
};

/// `host_read`: what stands there; `host_write`: all of it will be written; `host_update`: both.
template <class T>
HostAccess<const T> host_read(Device& device, View<T> view) {
  return {device, view, HostAccess<const T>::Intent::read};
}
template <class T>
HostAccess<T> host_write(Device& device, View<T> view) {
  return {device, view, HostAccess<T>::Intent::write};
}
template <class T>
HostAccess<T> host_update(Device& device, View<T> view) {
  return {device, view, HostAccess<T>::Intent::update};
}

}  // namespace recon
