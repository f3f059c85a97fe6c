#include "io/error.h"

#include <cstdio>

namespace recon::io {
namespace {

/// Length of the UTF-8 sequence that starts at text[at], 0 if it is none or names a code point no terminal should get.
size_t safe_sequence(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(at);
  if (lead >= 0x20 && lead < 0x7f) return 1;
  const size_t length = lead >= 0xc2 && lead < 0xe0   ? 2
                        : lead >= 0xe0 && lead < 0xf0 ? 3
                        : lead >= 0xf0 && lead < 0xf5 ? 4
                                                      : 0;
  if (length == 0 || length > text.size() - at) return 0;
  unsigned code = lead & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(at + i) & 0x3f);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && (code < 0x10000 || code > 0x10ffff));
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  const bool control = code >= 0x80 && code < 0xa0;
  const bool direction = (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
                         (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
  return overlong || surrogate || control || direction ? 0 : length;
}

}  // namespace

std::string printable(std::string_view text, size_t max_bytes) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (out.size() >= max_bytes) return out + "...";
    if (const size_t length = safe_sequence(text, at)) {
      out += text.substr(at, length);
      at += length;
      continue;
    }
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(text[at])));
    out += escaped;
    ++at;
  }
  return out;
}

std::string describe(const Fault& fault) {
  std::string out;
  const auto part = [&](const std::string& text) {
    if (!out.empty()) out += ": ";
    out += text;
  };
  if (!fault.file.empty()) part(printable(fault.file, 1000));
  if (!fault.where.empty()) part(printable(fault.where));
  if (!fault.field.empty() || !fault.value.empty()) {
    std::string item = printable(fault.field);
    if (!fault.value.empty()) item.append(item.empty() ? "'" : " = '").append(printable(fault.value, 80)) += '\'';
    part(item);
  }
  part(printable(fault.problem, 4000));
  if (!fault.repair.empty()) out += "; repair: " + printable(fault.repair, 1000);
  return out;
}

}  // namespace recon::io
