#include <cstdlib>
#include <cstring>

#include "kernels/cpu.h"

namespace recon {

const Ops& cpu_ops() {
  static const Ops table = {
      .name = "cpu",
      .allocate = [](size_t bytes) { return std::aligned_alloc(64, (bytes + 63) / 64 * 64); },
      .release = std::free,
      .upload = [](void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); },
      .download = [](void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); },
      .zero = [](void* pointer, size_t bytes) { std::memset(pointer, 0, bytes); },
      .hartley2d = cpu::hartley2d,
      .hartley3d = cpu::hartley3d,
      .window_images = cpu::window_images,
      .gather_pixels = cpu::gather_pixels,
      .shift_images = cpu::shift_images,
      .evaluate_ctf = cpu::evaluate_ctf,
      .phase_flip = cpu::phase_flip,
  };
  return table;
}

}  // namespace recon
