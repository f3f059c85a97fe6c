// The decoder layer by layer, fp32, any shape: the GPU's reference path, and that of widths without a fused kernel.
// Rows go through in chunks, so that the workspace is bounded whatever the call; products are the vendor's library's.
//
// Limit: device memory. A hidden layer of a row moves 5 · 4w bytes forward (product and finish) and about 13 · 4w with
// gradients for 2w² and 6w² flops: at width 128 that is 13 flops a byte and more, below the 20 that fp32 cores ask for;
// from width 256 on the products' own rate decides. Kernels beside the products are single passes over their arrays.
#include <algorithm>
#include <utility>

#include "kernels/decoder/decoder_paths_cuda.h"
#include "kernels/runtime/vector_math.h"

namespace recon::cuda::layered {
namespace {

constexpr int64_t chunk_bytes = int64_t{256} << 20, chunk_rows = 16384;

/// A run of rows, and the arrays of its passes.
struct Chunk {
  int64_t first = 0, count = 0;
  float* encoding = nullptr;     // [rows, inputs], z included
  float* activations = nullptr;  // [layers + 1 or 2][rows, width]
  float* next = nullptr;         // [2][rows, width]: gradients
  float* outputs = nullptr;      // [rows, outputs]; then their gradients
  float* squared = nullptr;      // [rows]: squared errors
  float* latents = nullptr;      // [rows, Z]: gradients
  float* ones = nullptr;         // [rows]
  double* losses = nullptr;      // [slices]
};

// A thread an entry pair, sine and cosine, or an entry of z.
RECON_KERNEL(256)
encode_kernel(DecoderRows rows, View<const float> frequencies, int64_t first, int64_t count, float* out) {
  const int64_t features = frequencies.cols, items = features + rows.latent, inputs = 2 * features + rows.latent;
  for (int64_t i = grid_thread(); i < count * items; i += grid_threads()) {
    const int64_t row = i / items, item = i % items;
    const int64_t slice = (first + row) / rows.in_slice, at = (first + row) % rows.in_slice;
    const bool active = rows.is_active(slice);
    float* to = out + row * inputs;
    if (item >= features) {
      to[features + item] = active ? rows.z(slice)[item - features] : 0.0f;
      continue;
    }
    float sine = 0, cosine = 0;
    if (active) {
      const RowPoint k = rows.point(slice, at);
      sincos_turns(frequencies(0, item) * k.x + frequencies(1, item) * k.y + frequencies(2, item) * k.z, sine, cosine);
    }
    to[item] = sine;
    to[features + item] = cosine;
  }
}

/// h = relu(h + b [+ before]). 8 bytes an entry, 12 with a residual.
RECON_KERNEL(256) finish_layer_kernel(float* h, const float* bias, const float* before, int64_t size, int width) {
  for (int64_t i = grid_thread(); i < size; i += grid_threads()) {
    float value = h[i] + bias[i % width];
    if (before) value += before[i];
    h[i] = value > 0 ? value : 0.0f;
  }
}

/// A warp a row: its outputs, and the values they are. 4w bytes a row.
RECON_KERNEL(256)
outputs_kernel(DecoderRows rows, int64_t first, int64_t count, const float* h, const float* w, int width, float* out,
               View<float> values) {
  const int lane = lane_of(thread());
  for (int64_t row = grid_thread() / 32; row < count; row += grid_threads() / 32) {
    const int64_t slice = (first + row) / rows.in_slice, at = (first + row) % rows.in_slice;
    const bool active = rows.is_active(slice), mirrored = active && rows.point(slice, at).mirrored;
    for (int o = 0; o < rows.outputs; ++o) {
      float sum = 0;
      for (int j = lane; j < width; j += 32) sum += h[row * width + j] * w[o * width + j];
      const float value = warp_sum(sum) + w[rows.outputs * width + o];
      if (lane != 0) continue;
      if (out) out[row * rows.outputs + o] = value;
      if (active && !values.empty()) values[rows.value_index(slice, at, o, mirrored)] = value;
    }
  }
}

/// Outputs become their gradients; rows of slices that are not active get none.
RECON_KERNEL(256)
output_gradients_kernel(DecodeSlicesBackward a, DecoderRows rows, int64_t first, int64_t count, float* out,
                        float* squared) {
  for (int64_t row = grid_thread(); row < count; row += grid_threads()) {
    const int64_t slice = (first + row) / rows.in_slice, at = (first + row) % rows.in_slice;
    const bool active = rows.is_active(slice), mirrored = active && rows.point(slice, at).mirrored;
    float error = 0;
    for (int o = 0; o < rows.outputs; ++o) {
      float& value = out[row * rows.outputs + o];
      ValueGradient g{0, 0};
      if (active) g = value_gradient(a, a.scale.get(), rows.value_index(slice, at, o, mirrored), value);
      value = g.d;
      error += g.squared_error;
    }
    squared[row] = error;
  }
}

/// Adds Σ over the chunk's rows of each slice of column `blockIdx.y` of [count, cols] to to[slice, column]. A block a
/// slice and column.
template <class T>
RECON_KERNEL(256)
slice_sums_kernel(DecoderRows rows, int64_t first, int64_t count, const float* from, int64_t cols, T* to) {
  struct Shared {
    double sums[8];
  };
  auto& shared = shared_memory<Shared>();
  const int64_t slice = first / rows.in_slice + blockIdx.x, column = blockIdx.y;
  const int64_t start = std::max(slice * rows.in_slice, first) - first;
  const int64_t end = std::min((slice + 1) * rows.in_slice, first + count) - first;
  double sum = 0;
  for (int64_t row = start + thread(); row < end; row += 256) sum += double(from[row * cols + column]);
  sum = block_sum<256>(sum, shared.sums);
  if (thread() == 0) to[slice * cols + column] += static_cast<T>(sum);
}

RECON_KERNEL(256) write_losses_kernel(const double* sums, View<float> loss) {
  for (int64_t i = grid_thread(); i < loss.size(); i += grid_threads()) loss[i] = static_cast<float>(sums[i]);
}

/// d = h > 0 ? d [+ after] : 0, where `after` is the gradient of the layer above, which a residual passes on.
RECON_KERNEL(256) relu_backward_kernel(const float* h, const float* after, float* d, int64_t size) {
  for (int64_t i = grid_thread(); i < size; i += grid_threads()) {
    const float sum = after ? d[i] + after[i] : d[i];
    d[i] = h[i] > 0 ? sum : 0.0f;
  }
}

RECON_KERNEL(256) fill_kernel(float* to, int64_t count, float value) {
  for (int64_t i = grid_thread(); i < count; i += grid_threads()) to[i] = value;
}

/// One network on its way through a device, chunk by chunk.
struct Pass {
  Queue& queue;
  const DecoderNet& net;
  const DecoderRows& rows;
  bool training;
  const DecoderShape& shape = net.shape;
  const float* parameters = net.parameters.data;
  Chunk chunk{};
  int64_t step = 0;

  const float* weight(int layer) const { return parameters + shape.weight_offset(layer); }
  const float* bias(int layer) const { return parameters + shape.bias_offset(layer); }
  int64_t size() const { return chunk.count * shape.width; }
  float* activation(int layer) const {
    return chunk.activations + int64_t{training ? layer : layer % 2} * step * shape.width;
  }

  void reserve(Device& device) {
    const int64_t width = shape.width, kept = (training ? shape.layers + 1 + 2 : 2) * width;
    const int64_t floats = shape.inputs() + kept + shape.outputs + shape.latent + 2;
    const int64_t losses = training ? 2 * rows.slices : 0;
    step = std::min(rows.count(), std::clamp<int64_t>(chunk_bytes / 4 / floats, 128, chunk_rows));
    float* at = device.workspace(static_cast<size_t>(step * floats + losses));
    const auto take = [&](int64_t count) { return std::exchange(at, at + count); };
    chunk.losses = reinterpret_cast<double*>(take(losses));
    chunk.encoding = take(step * shape.inputs());
    chunk.activations = take(step * kept);
    chunk.next = chunk.activations + step * width * (shape.layers + 1);
    chunk.outputs = take(step * shape.outputs);
    chunk.latents = take(step * shape.latent);
    chunk.squared = take(step);
    chunk.ones = take(step);
  }

  void forward(View<float> values) {
    const int64_t width = shape.width;
    launch(queue, "decoder_encode", covering(chunk.count * (shape.features + shape.latent)), encode_kernel, rows,
           net.frequencies, chunk.first, chunk.count, chunk.encoding);
    for (int layer = 0; layer <= shape.layers; ++layer) {
      const int64_t inputs = layer == 0 ? shape.inputs() : width;
      const float* from = layer == 0 ? chunk.encoding : activation(layer - 1);
      queue.gemm({.transpose_b = true,
                  .m = chunk.count,
                  .n = width,
                  .k = inputs,
                  .a = from,
                  .lda = inputs,
                  .b = weight(layer),
                  .ldb = inputs,
                  .c = activation(layer),
                  .ldc = width});
      launch(queue, "decoder_finish_layer", covering(size()), finish_layer_kernel, activation(layer), bias(layer),
             layer > 0 && shape.residual ? from : nullptr, size(), shape.width);
    }
    launch(queue, "decoder_outputs", covering(32 * chunk.count), outputs_kernel, rows, chunk.first, chunk.count,
           activation(shape.layers), weight(shape.layers + 1), shape.width, training ? chunk.outputs : nullptr, values);
  }

  /// to [outputs, inputs] += dᵀ x, and its column of sums.
  void add_gradients(int layer, const float* d, int64_t outputs, const float* x, int64_t inputs, View<float> to) {
    queue.gemm({.transpose_a = true,
                .m = outputs,
                .n = inputs,
                .k = chunk.count,
                .beta = 1,
                .a = d,
                .lda = outputs,
                .b = x,
                .ldb = inputs,
                .c = to.data + shape.weight_offset(layer),
                .ldc = inputs});
    queue.gemm({.m = 1,
                .n = outputs,
                .k = chunk.count,
                .beta = 1,
                .a = chunk.ones,
                .lda = chunk.count,
                .b = d,
                .ldb = outputs,
                .c = to.data + shape.bias_offset(layer),
                .ldc = outputs});
  }

  /// to [rows, columns] = d [rows, inner] · W, for `columns` columns of W from `w` on.
  void through(const float* d, int64_t inner, const float* w, int64_t pitch, int64_t columns, float* to) {
    queue.gemm({.m = chunk.count,
                .n = columns,
                .k = inner,
                .a = d,
                .lda = inner,
                .b = w,
                .ldb = pitch,
                .c = to,
                .ldc = columns});
  }

  void backward(const DecodeSlicesBackward& a) {
    const int64_t width = shape.width, inputs = shape.inputs();
    const int64_t slices = (chunk.first + chunk.count - 1) / rows.in_slice - chunk.first / rows.in_slice + 1;
    launch(queue, "decoder_output_gradients", covering(chunk.count), output_gradients_kernel, a, rows, chunk.first,
           chunk.count, chunk.outputs, chunk.squared);
    launch(queue, "decoder_loss", {.blocks = slices, .shared_bytes = 64}, slice_sums_kernel<double>, rows, chunk.first,
           chunk.count, chunk.squared, 1, chunk.losses);
    float *d = chunk.next, *after = chunk.next + step * width;
    add_gradients(shape.layers + 1, chunk.outputs, shape.outputs, activation(shape.layers), width, a.dparameters);
    through(chunk.outputs, shape.outputs, weight(shape.layers + 1), width, width, d);
    for (int layer = shape.layers; layer >= 0; --layer) {
      launch(queue, "decoder_relu_backward", covering(size()), relu_backward_kernel, activation(layer),
             layer < shape.layers && shape.residual ? after : nullptr, d, size());
      const bool first = layer == 0;
      add_gradients(layer, d, width, first ? chunk.encoding : activation(layer - 1), first ? inputs : width,
                    a.dparameters);
      if (first) break;
      through(d, width, weight(layer), width, width, after);
      std::swap(d, after);
    }
    if (a.dlatents.empty()) return;
    through(d, width, weight(0) + 2 * shape.features, inputs, shape.latent, chunk.latents);
    launch(queue, "decoder_latent_gradients", {.blocks = slices, .shared_bytes = 64, .blocks_y = shape.latent},
           slice_sums_kernel<float>, rows, chunk.first, chunk.count, chunk.latents, shape.latent, a.dlatents.data);
  }
};

}  // namespace

void decode(Device& device, const DecoderNet& net, const DecoderRows& rows, View<float> values) {
  Pass pass{queue_of(device), net, rows, false};
  pass.reserve(device);
  for (int64_t first = 0; first < rows.count(); first += pass.step) {
    pass.chunk.first = first;
    pass.chunk.count = std::min(pass.step, rows.count() - first);
    pass.forward(values);
  }
}

void decode_backward(Device& device, const DecodeSlicesBackward& a) {
  const DecoderRows rows(a.forward);
  Queue& queue = queue_of(device);
  Pass pass{queue, a.forward.net, rows, true};
  pass.reserve(device);
  if (rows.slices > 0) queue.zero(pass.chunk.losses, static_cast<size_t>(rows.slices) * sizeof(double));
  launch(queue, "decoder_ones", covering(pass.step), fill_kernel, pass.chunk.ones, pass.step, 1.0f);
  for (int64_t first = 0; first < rows.count(); first += pass.step) {
    pass.chunk.first = first;
    pass.chunk.count = std::min(pass.step, rows.count() - first);
    pass.forward(a.forward.values);
    pass.backward(a);
  }
  if (!a.loss.empty())
    launch(queue, "decoder_losses", covering(a.loss.size()), write_losses_kernel, pass.chunk.losses, a.loss);
}

}  // namespace recon::cuda::layered
