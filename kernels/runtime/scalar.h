#pragma once
#include "kernels/runtime/hd.h"

namespace recon {

/// A number that an operation is given, or that it reads from the device's memory when it runs: what changes from step
/// to step stands there, so that a recorded step can be replayed without the host.
template <class T>
struct Scalar {
  T value{};
  const T* at = nullptr;

  Scalar() = default;
  Scalar(T number) : value(number) {}
  explicit Scalar(const T* on_device) : at(on_device) {}
  /// Where the operation runs, never on the host of another device.
  RECON_HD T get() const { return at ? *at : value; }
};

}  // namespace recon
