#include "io/checkpoint.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace recon::io;
  return try_input(data, size, [&](const MemorySource& memory) {
    const SafetensorsHeader header = parse_safetensors(memory);
    int64_t total = 8 + static_cast<int64_t>(header.text.size());
    for (const TensorEntry& tensor : header.tensors) total += tensor.end - tensor.begin;
    require(total == memory.size());
    read_checkpoint(memory);
  });
}
