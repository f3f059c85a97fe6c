// What the CUDA backend can be asked for, on the hardware and in the emulator.
#include "bench/variants.h"
#include "kernels/slice/variants/slice_variants_cuda.h"

namespace recon::bench {

Variants cuda_variants() {
  Variants v;
  v.slices = {
      {"trilinear", 1e-5,
       [](Device& device, const SampleSlices& a) -> std::function<void()> {
         return [&device, a] { sample_slices(device, a); };
       }},
      // Weights to the nearest of 256ths are wrong by 2⁻⁹/√3 on each of three axes. Of values without any order an
      // interpolation leaves (2/3)^(3/2), and of the differences that the weights multiply √2 · 2/3: a relative error
      // of √3 · 2⁻⁹ = 3.4e-3. The lattices of a search are smoother.
      {"texture", 4e-3,
       [](Device& device, const SampleSlices& a) -> std::function<void()> {
         const auto texture = std::make_shared<cuda::CubeTexture>(cuda::queue_of(device), a.volume.side);
         texture->copy_from(a.volume.values.data);
         return [&device, a, texture] { cuda::sample_slices_texture(device, a, *texture); };
       }},
  };
  return v;
}

}  // namespace recon::bench
