#include <cblas.h>

#include <cstdlib>
#include <cstring>

#include "kernels/cpu.h"
#include "kernels/decoder/tile_products.h"
#include "kernels/runtime/device.h"

namespace recon {

std::string Device::blas_report() {
  return std::string(openblas_get_config()) + ", kernels of " + openblas_get_corename();
}

const Ops& cpu_ops() {
  static const Ops table = {
      .name = "cpu",
      .open = nullptr,
      .count = nullptr,
      .report =
          [] {
            std::vector<std::string> products;
            for (const cpu::TileProducts* p : cpu::all_tile_products()) products.emplace_back(p->name);
            return products;
          },
      .allocate = [](Device&, size_t bytes) { return std::aligned_alloc(64, (bytes + 63) / 64 * 64); },
      .release = [](Device&, void* pointer) { std::free(pointer); },
      .upload = [](Device&, void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); },
      .download = [](Device&, void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); },
      .zero = [](Device&, void* pointer, size_t bytes) { std::memset(pointer, 0, bytes); },
      .hartley2d = cpu::hartley2d,
      .hartley3d = cpu::hartley3d,
      .window_images = cpu::window_images,
      .gather_pixels = cpu::gather_pixels,
      .shift_images = cpu::shift_images,
      .evaluate_ctf = cpu::evaluate_ctf,
      .phase_flip = cpu::phase_flip,
      .scale_pixels = cpu::scale_pixels,
      .residual_power = cpu::residual_power,
      .decodes_in = cpu::decodes_in,
      .decode_slices = cpu::decode_slices,
      .decode_points = cpu::decode_points,
      .decode_slices_backward = cpu::decode_slices_backward,
      .adam = cpu::adam,
      .adam_product = cpu::adam_product,
      .adam_rows = cpu::adam_rows,
      .average_weights = cpu::average_weights,
      .linear_forward = cpu::linear_forward,
      .linear_backward = cpu::linear_backward,
      .reparameterize = cpu::reparameterize,
      .reparameterize_backward = cpu::reparameterize_backward,
      .gather_latents = cpu::gather_latents,
      .latent_prior = cpu::latent_prior,
      .squared_error = cpu::squared_error,
      .sum_values = cpu::sum_values,
      .sample_slices = cpu::sample_slices,
      .pose_score = cpu::pose_score,
      .pose_best = cpu::pose_best,
      .pose_bound = cpu::pose_bound,
      .pose_reserve = cpu::pose_reserve,
      .pose_equations = cpu::pose_equations,
      .pose_select = cpu::pose_select,
      .pose_expand = cpu::pose_expand,
      .pose_count = cpu::pose_count,
      .scatter_volume = cpu::scatter_volume,
      .pad_volume = cpu::pad_volume,
      .gather_rows = cpu::gather_rows,
      .scatter_rows = cpu::scatter_rows,
      .take_row = cpu::take_row,
      .narrow = cpu::narrow,
      .widen_rows = cpu::widen_rows,
      .pose_finalists = cpu::pose_finalists,
  };
  // The pool's threads each call BLAS on their own tile; BLAS must not start threads of its own.
  static const bool serial = [] {
    openblas_set_num_threads(1);
    return true;
  }();
  (void)serial;
  return table;
}

}  // namespace recon
