#pragma once
#include "kernels/decoder/decoder_rows_cuda.h"
#include "kernels/decoder/variants/decoder_steps.h"

namespace recon::cuda::fused {

/// decode() of the fused path with the asynchronous products of sm_90a: width 128, operands of 16 bits.
bool supports_warpgroups(Device& device, const DecoderNet& net);
void decode_warpgroups(Device& device, const DecoderNet& net, const DecoderRows& rows, View<float> values);

/// decoder_steps() in one kernel, the same bits: width 128, bf16.
bool supports_steps(const DecoderSteps& args);
void decoder_steps_one_kernel(Device& device, const DecoderSteps& args);

}  // namespace recon::cuda::fused
