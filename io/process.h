#pragma once
#include <string>

namespace recon::io {

/// This machine's name; "unknown" where the system does not tell.
std::string host_name();
/// 2026-11-25T22:50:09Z
std::string utc_now();

}  // namespace recon::io
