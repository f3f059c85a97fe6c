#include "io/cs.h"

#include "io/particle_columns.h"
#include "tests/fuzz/input.h"

/// cryoSPARC tables and the particles in them; the stacks are not looked for.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace recon::io;
  return try_input(data, size, [&](const MemorySource& memory) {
    const CsTable table = read_cs(memory);
    size_t bytes = 0;
    for (const CsColumn& column : table.columns()) bytes += column.bytes.size();
    require(bytes <= 256 * size * table.columns().size() + (1 << 20) * table.columns().size());  // LZ4 blocks grow
    const ParticleTable particles = load_cs_particles(table, "fuzz", {.metadata_only = true});
    const size_t n = static_cast<size_t>(particles.size());
    require(n == static_cast<size_t>(table.rows()) && particles.ctf.size() == (particles.has_ctf ? n : 0));
    require(particles.euler_deg.size() == (particles.has_poses ? n : 0));
    require(particles.shift_px.size() == particles.euler_deg.size());
    require(particles.half_set.size() == (particles.has_half_sets ? n : 0));
    for (const ImageRef& image : particles.images) require(image.index >= 0 && image.file < particles.files.size());
  });
}
