#pragma once

/// Places where a test build can be made to fail, so that crash safety is tested and not hoped for:
/// RECONSTRUCT_FAILPOINT=name:nth:kill|abort|enospc|eio acts at the nth time the named place is reached.
/// The macro gives 0, or the errno that the place shall pretend to have met. Compiled only with RECON_FAULTS.
#ifdef RECON_FAULTS
#include <string_view>
namespace recon::io {
int hit_failpoint(std::string_view name);
}
#define RECON_FAILPOINT(name) ::recon::io::hit_failpoint(name)
#else
#define RECON_FAILPOINT(name) (static_cast<void>(name), 0)
#endif
