#pragma once
#include <source_location>
#include <stdexcept>
#include <string>

namespace recon {

/// A caller broke a kernel's contract (shape, aliasing, range). Always a bug of this program: exit code 1.
class ContractError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// The machine could not do what was asked (no memory, no such device). Exit code 71.
class DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Checked in every build, once at the seam of each operation, never inside loops.
inline void expect(bool condition, const char* what, std::source_location at = std::source_location::current()) {
  if (!condition)
    throw ContractError(std::string(what) + " [" + at.file_name() + ":" + std::to_string(at.line()) + "]");
}

}  // namespace recon
