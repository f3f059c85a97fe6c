// The table of the CUDA backend. The same file serves the emulator, which answers for the queue (tests/simt).
#include "kernels/cuda.h"
#include "kernels/device/queue.h"

namespace recon {

using cuda::queue_of;

const Ops* cuda_ops() {
  static const Ops table = {
      .name = "cuda",
      .open = [](int index) -> std::unique_ptr<DeviceState> { return std::make_unique<cuda::Queue>(index); },
      .count = [](const DeviceState& like) -> std::unique_ptr<DeviceState> {
        return std::make_unique<cuda::Queue>(static_cast<const cuda::Queue&>(like));
      },
      .report = cuda::Queue::report,
      .allocate = [](Device& device, size_t bytes) { return queue_of(device).allocate(bytes); },
      .release = [](Device& device, void* pointer) { queue_of(device).release(pointer); },
      .upload = [](Device& device, void* to, const void* from,
                   size_t bytes) { queue_of(device).upload(to, from, bytes); },
      .download = [](Device& device, void* to, const void* from,
                     size_t bytes) { queue_of(device).download(to, from, bytes); },
      .zero = [](Device& device, void* pointer, size_t bytes) { queue_of(device).zero(pointer, bytes); },
      .hartley2d = cuda::hartley2d,
      .hartley3d = cuda::hartley3d,
      .window_images = cuda::window_images,
      .gather_pixels = cuda::gather_pixels,
      .shift_images = cuda::shift_images,
      .evaluate_ctf = cuda::evaluate_ctf,
      .phase_flip = cuda::phase_flip,
      .scale_pixels = cuda::scale_pixels,
      .residual_power = cuda::residual_power,
      .decodes_in = cuda::decodes_in,
      .decode_slices = cuda::decode_slices,
      .decode_points = cuda::decode_points,
      .decode_slices_backward = cuda::decode_slices_backward,
      .adam = cuda::adam,
      .adam_product = cuda::adam_product,
      .adam_rows = cuda::adam_rows,
      .average_weights = cuda::average_weights,
      .linear_forward = cuda::linear_forward,
      .linear_backward = cuda::linear_backward,
      .reparameterize = cuda::reparameterize,
      .reparameterize_backward = cuda::reparameterize_backward,
      .gather_latents = cuda::gather_latents,
      .latent_prior = cuda::latent_prior,
      .squared_error = cuda::squared_error,
      .sum_values = cuda::sum_values,
      .sample_slices = cuda::sample_slices,
      .pose_score = cuda::pose_score,
      .pose_best = cuda::pose_best,
      .pose_draw = cuda::pose_draw,
      .pose_bound = cuda::pose_bound,
      .pose_reserve = cuda::pose_reserve,
      .pose_equations = cuda::pose_equations,
      .pose_select = cuda::pose_select,
      .pose_expand = cuda::pose_expand,
      .pose_count = cuda::pose_count,
      .scatter_volume = cuda::scatter_volume,
      .pad_volume = cuda::pad_volume,
      .gather_rows = cuda::gather_rows,
      .scatter_rows = cuda::scatter_rows,
      .take_row = cuda::take_row,
      .narrow = cuda::narrow,
      .widen_rows = cuda::widen_rows,
      .pose_finalists = cuda::pose_finalists,
  };
  return &table;
}

}  // namespace recon
