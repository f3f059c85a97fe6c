#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "io/byte_source.h"

namespace recon::io {

struct JsonLimits {
  int64_t bytes = 16 << 20;
  int depth = 32;
};

/// JSON from an untrusted text: refuses what exceeds the limits, repeated keys, comments and text after the value.
/// Throws InputError (65) with the place.
nlohmann::json parse_json(std::string_view text, const std::string& name, const JsonLimits& limits = {});
/// The same from a file or memory; the size is checked before anything is read.
nlohmann::json parse_json(const ByteSource& source, const JsonLimits& limits = {});

/// The text of a value: on one line, or indented by so many blanks. What is not UTF-8 becomes U+FFFD. Here, and not at
/// each place that writes, because the library's writer takes seconds to compile.
std::string json_text(const nlohmann::json& value, int indent = -1);
std::string json_text(const nlohmann::ordered_json& value, int indent = -1);

}  // namespace recon::io
