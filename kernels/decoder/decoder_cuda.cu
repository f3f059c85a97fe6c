// The decoder's operations on the GPU: which of the two paths takes a call.
#include "kernels/cuda.h"
#include "kernels/decoder/decoder_paths_cuda.h"

namespace recon::cuda {

bool decodes_in(Precision) { return true; }

void decode_slices(Device& device, const DecodeSlices& a) {
  const DecoderRows rows(a);
  if (rows.count() == 0) return;
  fused::supports(a.net) ? fused::decode(device, a.net, rows, a.values)
                         : layered::decode(device, a.net, rows, a.values);
}

void decode_points(Device& device, const DecodePoints& a) {
  const DecoderRows rows(a);
  if (rows.count() == 0) return;
  fused::supports(a.net) ? fused::decode(device, a.net, rows, a.values)
                         : layered::decode(device, a.net, rows, a.values);
}

void decode_slices_backward(Device& device, const DecodeSlicesBackward& a) {
  // Without rows there is nothing to fuse, but the losses are still to be written.
  const bool rows = DecoderRows(a.forward).count() > 0;
  rows&& fused::supports(a.forward.net) ? fused::decode_backward(device, a) : layered::decode_backward(device, a);
}

}  // namespace recon::cuda
