#include <algorithm>
#include <memory>
#include <vector>

#include "io/mrc.h"
#include "tests/fuzz/input.h"

/// Headers, then the pixels of the first and the last section.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace recon::io;
  return try_input(data, size, [&](const MemorySource& memory) {
    const MrcFile file = MrcFile::open(std::make_shared<MemorySource>(memory));
    const MrcHeader& header = file.header();
    require(header.data_offset + header.nz * header.pixels_per_image() * header.bytes_per_pixel() <= memory.size());
    std::vector<float> pixels(static_cast<size_t>(header.pixels_per_image()));
    file.read_images(0, 1, pixels);
    file.read_images(header.nz - 1, 1, pixels);
  });
}
