#include "io/npy.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace recon::io;
  return try_input(data, size, [&](const MemorySource& memory) {
    const NpyArray array = read_npy(memory);
    require(array.bytes.size() <= size && (array.count() == 0) == array.bytes.empty());
    require(read_npy_as<double>(memory).shape == array.shape);
    read_npy_as<int32_t>(memory);
  });
}
