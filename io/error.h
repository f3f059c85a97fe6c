#pragma once
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace recon::io {

/// What the process returns to the shell; the numbers are sysexits(3)'s, and job scripts rely on them.
enum ExitCode : int {
  ok = 0,
  internal = 1,        ///< a bug of this program
  usage = 64,          ///< the command line is wrong
  bad_data = 65,       ///< an input exists, and what it holds is wrong
  no_input = 66,       ///< an input is missing or cannot be opened
  machine = 71,        ///< the machine or its operating system could not do it
  cannot_create = 73,  ///< an output cannot be made, or is in use by another run
  io_failure = 74,     ///< reading or writing failed underway (disk full, I/O error)
  stopped = 75,        ///< stopped on request with a checkpoint: run the same command again
};

/// What is wrong, where, and what to do about it. Empty members are left out of the message.
struct Fault {
  std::string file = {};
  std::string where = {};    ///< "line 12" or "byte 208"
  std::string field = {};    ///< "_rlnVoltage", "NX"
  std::string value = {};    ///< as the file has it
  std::string problem = {};  ///< "not a number"
  std::string repair = {};   ///< what the user can do
};

/// `FILE: line 12: _rlnVoltage = 'abc': not a number; repair: give --voltage`. Names and values are passed through
/// printable(), so that no input can send escape sequences to a terminal.
std::string describe(const Fault& fault);

/// The text with control characters, stray bytes that are not UTF-8, and text-direction overrides written as \xNN,
/// cut after max_bytes with "...".
std::string printable(std::string_view text, size_t max_bytes = 200);

/// Base of what this layer throws about the world outside; programming errors are std::logic_error.
class Error : public std::runtime_error {
 public:
  Error(Fault fault, ExitCode code) : std::runtime_error(describe(fault)), exit_code(code), fault_(std::move(fault)) {}
  const Fault& fault() const { return fault_; }
  const ExitCode exit_code;

 private:
  Fault fault_;
};

/// An input that cannot be used: it is missing (66) or what it holds is wrong (65).
class InputError : public Error {
 public:
  explicit InputError(Fault fault, ExitCode code = bad_data) : Error(std::move(fault), code) {}
};

/// Inputs that are missing (66): the message names the first ones, `files` all of them, as the list that names them
/// writes them.
class MissingFiles : public InputError {
 public:
  MissingFiles(Fault fault, std::vector<std::string> missing)
      : InputError(std::move(fault), no_input), files(std::move(missing)) {}
  const std::vector<std::string> files;
};

/// An output that cannot be made (73), or a read or write that failed underway (74).
class IoError : public Error {
 public:
  explicit IoError(Fault fault, ExitCode code = io_failure) : Error(std::move(fault), code) {}
};

}  // namespace recon::io
