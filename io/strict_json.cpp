#include "io/strict_json.h"

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "io/error.h"

namespace recon::io {
namespace {

using nlohmann::json;

[[noreturn]] void refuse_json(const std::string& name, const std::string& where, const std::string& problem) {
  throw InputError({.file = name, .where = where, .problem = problem, .repair = "correct or replace the file"});
}

/// The library's own parser nests by recursion only when it destroys or prints: the depth must be known before it runs.
void check_depth(std::string_view text, const std::string& name, int most) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > most)
        refuse_json(name, "byte " + std::to_string(i), "nested more than " + std::to_string(most) + " deep");
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
}

}  // namespace

json parse_json(std::string_view text, const std::string& name, const JsonLimits& limits) {
  if (static_cast<int64_t>(text.size()) > limits.bytes)
    refuse_json(name, "",
                std::to_string(text.size()) + " bytes of JSON, more than the " + std::to_string(limits.bytes) +
                    " that make sense here");
  check_depth(text, name, limits.depth);
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && !keys.back().insert(value.get_ref<const std::string&>()).second)
      throw InputError({.file = name,
                        .field = value.get<std::string>(),
                        .problem = "the key stands twice",
                        .repair = "correct or replace the file"});
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), watch);
  } catch (const json::parse_error& error) {
    refuse_json(name, "byte " + std::to_string(error.byte), "not JSON");
  } catch (const json::exception&) {
    refuse_json(name, "", "a number in the JSON is out of range");
  }
}

json parse_json(const ByteSource& source, const JsonLimits& limits) {
  if (source.size() > limits.bytes)
    refuse_json(source.name(), "",
                std::to_string(source.size()) + " bytes of JSON, more than the " + std::to_string(limits.bytes) +
                    " that make sense here");
  return parse_json(read_all(source), source.name(), limits);
}

std::string json_text(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

std::string json_text(const nlohmann::ordered_json& value, int indent) {
  return value.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace recon::io
