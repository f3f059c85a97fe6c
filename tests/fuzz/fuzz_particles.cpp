#include "io/particles.h"
#include "tests/fuzz/input.h"

/// Metadata of STAR files; the stacks are not looked for.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace recon::io;
  return try_input(data, size, [&](const MemorySource& memory) {
    const ParticleTable table = load_particles(StarDocument::parse(memory), {.metadata_only = true});
    const size_t n = static_cast<size_t>(table.size());
    require(n > 0 && table.side >= 0 && table.pixel_size_angstrom >= 0);
    require(table.ctf.size() == (table.has_ctf ? n : 0) && table.half_set.size() == (table.has_half_sets ? n : 0));
    require(table.euler_deg.size() == (table.has_poses ? n : 0) && table.shift_px.size() == table.euler_deg.size());
    for (const ImageRef& image : table.images) require(image.index >= 0 && image.file < table.files.size());
  });
}
