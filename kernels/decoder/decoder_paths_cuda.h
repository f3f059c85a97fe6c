#pragma once
// The two ways through the decoder behind its three operations; decoder_cuda.cu chooses.
#include "kernels/decoder/decoder_rows_cuda.h"

namespace recon::cuda {

/// Layer by layer through device memory, any shape and precision.
namespace layered {
void decode(Device& device, const DecoderNet& net, const DecoderRows& rows, View<float> values);
void decode_backward(Device& device, const DecodeSlicesBackward& args);
}  // namespace layered

/// All layers of a row tile in one kernel, 16-bit operands on the tensor cores.
namespace fused {
/// Whether the kernels were made for this network and precision.
bool supports(const DecoderNet& net);
void decode(Device& device, const DecoderNet& net, const DecoderRows& rows, View<float> values);
void decode_backward(Device& device, const DecodeSlicesBackward& args);
}  // namespace fused

}  // namespace recon::cuda
