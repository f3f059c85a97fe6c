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

/// The device broke down in the middle of the work: what it holds is lost, checkpoints are not. Exit code 75: the same
/// command goes on from the last checkpoint.
class DeviceFailure : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

/// Checked in every build, once at the seam of each operation, never inside loops.
inline void expect(bool condition, const char* what, std::source_location at = std::source_location::current()) {
  if (!condition)
    throw ContractError(std::string(what) + " [" + at.file_name() + ":" + std::to_string(at.line()) + "]");
}

}  // namespace recon
