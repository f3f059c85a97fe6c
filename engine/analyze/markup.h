#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace recon {

/// Text as it may stand in HTML, also within quotation marks.
std::string escaped(std::string_view text);

/// At most four digits, without needless zeros: 0.6863, 12.5, 3.2e-7.
std::string number_text(double value);
/// 225,792
std::string count_text(int64_t number);
/// 1 h 12 min, 3 min 20 s, 12 s
std::string time_text(double seconds);

/// RFC 4648, with padding.
std::string base64(std::span<const uint8_t> bytes);

}  // namespace recon
