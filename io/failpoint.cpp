#include "io/failpoint.h"

#ifdef RECON_FAULTS
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <string>

namespace recon::io {

int hit_failpoint(std::string_view name) {
  static std::mutex mutex;
  static std::string armed;
  static long hits = 0;
  const std::lock_guard lock(mutex);
  // Read anew each time: tests change it between cases. A new value starts a new count.
  const char* environment = std::getenv("RECONSTRUCT_FAILPOINT");
  const std::string wanted = environment ? environment : "";
  if (wanted != armed) armed = wanted, hits = 0;
  const size_t first = wanted.find(':'), second = wanted.find(':', first + 1);
  if (first == std::string::npos || second == std::string::npos || wanted.substr(0, first) != name) return 0;
  if (++hits != std::atol(wanted.c_str() + first + 1)) return 0;
  const std::string action = wanted.substr(second + 1);
  if (action == "kill") std::raise(SIGKILL);
  if (action == "abort") std::abort();
  return action == "enospc" ? ENOSPC : action == "eio" ? EIO : 0;
}

}  // namespace recon::io
#endif
