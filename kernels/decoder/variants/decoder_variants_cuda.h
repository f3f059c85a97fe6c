#pragma once
#include "kernels/decoder/decoder_rows_cuda.h"

namespace recon::cuda::fused {

/// decode() of the fused path with the asynchronous products of sm_90a: width 128, operands of 16 bits.
bool supports_warpgroups(Device& device, const DecoderNet& net);
void decode_warpgroups(Device& device, const DecoderNet& net, const DecoderRows& rows, View<float> values);

}  // namespace recon::cuda::fused
