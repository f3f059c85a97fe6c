#pragma once
#include <functional>

namespace recon::apps {

/// A parsed command line: what is to be done, and whether for a machine to read.
struct Command {
  std::function<int()> run;
  bool json = false;
};

/// A help text or a usage error is a command too: one that prints it and returns 0 or 64.
Command parse_command_line(int argc, const char* const* argv);

}  // namespace recon::apps
