#include <nlohmann/json.hpp>

#include "io/strict_json.h"
#include "tests/fuzz/input.h"

/// What is accepted can be printed, flattened and read back equal.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace recon::io;
  return try_input(data, size, [&](const MemorySource& memory) {
    const nlohmann::json value = parse_json(memory);
    require(parse_json(json_text(value), "again") == value);
    (void)value.flatten();
  });
}
