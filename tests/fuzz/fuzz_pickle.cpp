#include "io/pickle.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace recon::io;
  return try_input(data, size, [&](const MemorySource& memory) {
    for (const auto& pickle : read_pickles(memory)) {
      size_t bytes = 0;
      for (const NpyArray& array : pickle) {
        bytes += array.bytes.size();
        require((array.count() == 0) == array.bytes.empty());
        npy_values(array, "fuzz");
      }
      // A list of numbers becomes eight bytes for each.
      require(bytes <= 8 * size);
    }
  });
}
