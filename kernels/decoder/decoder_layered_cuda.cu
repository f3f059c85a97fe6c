// The decoder layer by layer, any shape and precision: the GPU's reference path in fp32, and in 16 bits that of widths
// without a fused kernel. Rows go through in chunks, so that the workspace is bounded whatever the call. Products are
// the vendor's library's, which also adds bias and residual, applies relus and keeps their masks for the way back: a
// hidden layer is one product forward and three on the way back (its weights' gradient, its bias's, and through it).
//
// Limit: a hidden layer of a row with b bytes a number moves 2 b w forward (3 with a residual) and about 6 b w back for
// 2 w² and 4 w² flops. In 16 bits at width 512: 3 KB and 0.5 Mflop forward, 0.9 ns of either at the H100's 3.35 TB/s
// and at 600 Tflop/s; a chunk's layer, 16 MB, comes from the second-level cache in part. In fp32 the products decide,
// from width 64 on (2 flops a byte of the cores' 20). Kernels beside the products are single passes over their arrays.
#include <algorithm>
#include <utility>

#include "kernels/decoder/decoder_layered_cuda.h"
#include "kernels/decoder/decoder_paths_cuda.h"
#include "kernels/decoder/decoder_units_cuda.h"
#include "kernels/device/carver.h"
#include "kernels/runtime/vector_math.h"

namespace recon::cuda::layered {
namespace {

constexpr int64_t chunk_bytes = int64_t{256} << 20, chunk_rows = 16384, row_block = 8;

/// A run of rows, and the arrays of its passes, with rows of padded length.
template <class T>
struct Chunk {
  int64_t first = 0, count = 0;
  int64_t padded_count = 0;        ///< rows of products: sums over them have whole 16 bytes, and more rows add nothing
  T* net = nullptr;                ///< PaddedNet
  T* encoding = nullptr;           ///< [rows, inputs]
  T* activations = nullptr;        ///< [layers + 1 or 2][rows, width]
  T* next = nullptr;               ///< [2][rows, width]: gradients of pre-activations
  T* outputs = nullptr;            ///< [rows, outputs]: gradients of the outputs
  T* ones = nullptr;               ///< [rows]
  uint32_t* masks = nullptr;       ///< [layers][rows, mask_words(width)]: where the relus were on
  float* sums = nullptr;           ///< PaddedNet: gradients of the call
  float* squared = nullptr;        ///< [rows]: squared errors
  float* latents = nullptr;        ///< [rows, latent]: gradients
  double* losses = nullptr;        ///< [slices]
  float* maxima = nullptr;         ///< for the units
  GradientUnits* units = nullptr;  ///< of `next` and `outputs` and all that is made of them; none but in fp16
};

/// Parameters in T. 6 bytes a parameter in 16 bits, beside the rows' products nothing.
template <class T>
RECON_KERNEL(256)
pack_kernel(const float* parameters, int64_t count, PaddedNet net, T* to) {
  for (int64_t p = grid_thread(); p < count; p += grid_threads()) store_one(to + net.place(p).at, parameters[p]);
}

/// Sums of all chunks to the gradients. 12 bytes a parameter.
RECON_KERNEL(256)
add_sums_kernel(const float* sums, int64_t count, PaddedNet net, const GradientUnits* units, float* to) {
  for (int64_t p = grid_thread(); p < count; p += grid_threads()) {
    const PaddedNet::Place place = net.place(p);
    const float unit = !units ? 1.0f : place.layer > net.shape.layers ? units->value : units->hidden;
    to[p] += unit * sums[place.at];
  }
}

// A thread two neighbouring columns: sine and cosine of a feature, or two entries of z. Limit: writing the encoding.
template <class T>
RECON_KERNEL(256)
encode_kernel(DecoderRows rows, View<const float> frequencies, int64_t first, int64_t count, int64_t padded_count,
              PaddedNet net, T* out) {
  const int64_t pairs = net.inputs() / 2, features = frequencies.cols;
  for (int64_t i = grid_thread(); i < padded_count * pairs; i += grid_threads()) {
    const int64_t row = i / pairs, pair = i % pairs, entry = 2 * pair - net.encoded;
    const int64_t slice = (first + row) / rows.in_slice, at = (first + row) % rows.in_slice;
    float low = 0, high = 0;
    if (row < count && rows.is_active(slice)) {
      if (pair < features) {
        const RowPoint k = rows.point(slice, at);
        sincos_turns(frequencies(0, pair) * k.x + frequencies(1, pair) * k.y + frequencies(2, pair) * k.z, low, high);
      } else if (entry >= 0) {
        if (entry < rows.latent) low = rows.z(slice)[entry];
        if (entry + 1 < rows.latent) high = rows.z(slice)[entry + 1];
      }
    }
    store_two(out + 2 * i, low, high);
  }
}

/// A warp a row: its outputs and the values they are; in training also their gradients, and with these the last
/// layer's. The weights are those in fp32. Limit: reading the activations and writing their gradients, once each.
template <class T>
RECON_KERNEL(256)
outputs_kernel(DecodeSlicesBackward a, DecoderRows rows, View<float> values, PaddedNet net, const float* w,
               const T* activations, Chunk<T> chunk, bool training) {
  const int lane = lane_of(thread()), width = net.shape.width;
  for (int64_t row = grid_thread() / 32; row < chunk.padded_count; row += grid_threads() / 32) {
    const int64_t slice = (chunk.first + row) / rows.in_slice, at = (chunk.first + row) % rows.in_slice;
    const bool active = row < chunk.count && rows.is_active(slice);
    const bool mirrored = active && rows.point(slice, at).mirrored;
    const T* h = activations + row * net.width;
    const auto weight = [&](int o, int j) { return o < rows.outputs && j < width ? w[o * width + j] : 0.0f; };
    float sums[2] = {0, 0}, gradients[2] = {0, 0}, error = 0;
    for (int j = 2 * lane; j < width; j += 64) {
      const Lanes<2> x = load_two(h + j);
      RECON_UNROLL
      for (int o = 0; o < 2; ++o) sums[o] += x.v[0] * weight(o, j) + x.v[1] * weight(o, j + 1);
    }
    RECON_UNROLL
    for (int o = 0; o < 2; ++o) {
      const float value = warp_sum(sums[o]) + (o < rows.outputs ? w[rows.outputs * width + o] : 0.0f);
      if (!active || o >= rows.outputs) continue;
      const int64_t index = rows.value_index(slice, at, o, mirrored);
      if (lane == 0 && !values.empty()) values[index] = value;
      if (!training) continue;
      const ValueGradient g = value_gradient(a, a.scale.get(), index, value);
      gradients[o] = g.d * (1.0f / (chunk.units ? chunk.units->value : 1.0f));
      error += g.squared_error;
    }
    if (!training) continue;
    const float to_hidden = chunk.units ? chunk.units->value / chunk.units->hidden : 1.0f;
    if (lane == 0) chunk.squared[row] = error;
    for (int j = 2 * lane; j < net.outputs; j += 64)
      store_two(chunk.outputs + row * net.outputs + j, j == 0 ? gradients[0] : 0.0f, j == 0 ? gradients[1] : 0.0f);
    for (int j = 2 * lane; j < net.width; j += 64) {
      const Lanes<2> x = load_two(h + j);
      float d[2];
      RECON_UNROLL
      for (int c = 0; c < 2; ++c)
        d[c] = x.v[c] > 0 ? (gradients[0] * weight(0, j + c) + gradients[1] * weight(1, j + c)) * to_hidden : 0.0f;
      store_two(chunk.next + row * net.width + j, d[0], d[1]);
    }
  }
}

/// Adds Σ over the chunk's rows of each slice of column `blockIdx.y` of [count, pitch] to to[slice, column], a matrix
/// of gridDim.y columns. A block a slice and column.
template <class T>
RECON_KERNEL(256)
slice_sums_kernel(DecoderRows rows, int64_t first, int64_t count, const float* from, int64_t pitch,
                  const GradientUnits* units, T* to) {
  struct Shared {
    double sums[8];
  };
  auto& shared = shared_memory<Shared>();
  const int64_t slice = first / rows.in_slice + blockIdx.x, column = blockIdx.y;
  const int64_t start = std::max(slice * rows.in_slice, first) - first;
  const int64_t end = std::min((slice + 1) * rows.in_slice, first + count) - first;
  double sum = 0;
  for (int64_t row = start + thread(); row < end; row += 256) sum += double(from[row * pitch + column]);
  sum = block_sum<256>(sum, shared.sums);
  if (thread() == 0) to[slice * gridDim.y + column] += static_cast<T>(units ? sum * double(units->hidden) : sum);
}

RECON_KERNEL(256) write_losses_kernel(const double* sums, View<float> loss) {
  for (int64_t i = grid_thread(); i < loss.size(); i += grid_threads()) loss[i] = static_cast<float>(sums[i]);
}

template <class T>
RECON_KERNEL(256)
fill_kernel(T* to, int64_t count, float value) {
  for (int64_t i = grid_thread(); i < count; i += grid_threads()) store_one(to + i, value);
}

/// One network on its way through a device, chunk by chunk. (Gemm is named below because nvcc drops the type of a
/// braced argument from the host code of a template.)
template <class T>
struct Pass {
  Queue& queue;
  const DecoderNet& net;
  const DecoderRows& rows;
  bool training;
  const DecoderShape& shape = net.shape;
  const PaddedNet layout = PaddedNet::of<T>(shape);
  Chunk<T> chunk{};
  int64_t step = 0;

  T* activation(int layer) const {
    return chunk.activations + int64_t{training ? layer : layer % 2} * step * layout.width;
  }
  uint32_t* mask(int layer) const { return chunk.masks + layer * step * mask_words(layout.width); }
  const float* output_weights() const { return net.parameters.data + shape.weight_offset(shape.layers + 1); }

  int64_t row_bytes() const {
    const int64_t kept = training ? shape.layers + 1 + 2 : 2;
    const int64_t numbers = layout.inputs() + kept * layout.width + layout.outputs + 1;
    return numbers * int64_t{sizeof(T)} + 4 * (shape.layers * mask_words(layout.width) + layout.latent + 1);
  }
  void plan(Carver carver) {
    chunk.net = carver.take<T>(layout.size());
    chunk.encoding = carver.take<T>(step * layout.inputs());
    chunk.activations = carver.take<T>(step * layout.width * (training ? shape.layers + 1 : 2));
    needed = carver.floats();
    if (!training) return;
    chunk.next = carver.take<T>(2 * step * layout.width);
    chunk.outputs = carver.take<T>(step * layout.outputs);
    chunk.ones = carver.take<T>(step);
    chunk.masks = carver.take<uint32_t>(shape.layers * step * mask_words(layout.width));
    chunk.sums = carver.take<float>(layout.size());
    chunk.squared = carver.take<float>(step);
    chunk.latents = carver.take<float>(step * layout.latent);
    chunk.losses = carver.take<double>(rows.slices);
    chunk.maxima = carver.take<float>(maxima_blocks);
    if (net.precision == Precision::fp16) chunk.units = carver.take<GradientUnits>(1);
    needed = carver.floats();
  }
  size_t needed = 0;

  void reserve(Device& device) {
    const auto whole = [](int64_t count) { return (count + row_block - 1) / row_block * row_block; };
    step = whole(std::min(rows.count(), std::clamp<int64_t>(chunk_bytes / row_bytes(), 128, chunk_rows)));
    plan(Carver(nullptr));
    plan(Carver(device.workspace(needed)));
    queue.zero(chunk.net, static_cast<size_t>(layout.size()) * sizeof(T));
    launch(queue, "decoder_pack", covering(net.parameters.size()), pack_kernel<T>, net.parameters.data,
           net.parameters.size(), layout, chunk.net);
  }
  void start(int64_t first) {
    chunk.first = first;
    chunk.count = std::min(step, rows.count() - first);
    chunk.padded_count = (chunk.count + row_block - 1) / row_block * row_block;
  }

  void forward(const DecodeSlicesBackward& a, View<float> values) {
    launch(queue, "decoder_encode", covering(chunk.padded_count * layout.inputs() / 2), encode_kernel<T>, rows,
           net.frequencies, chunk.first, chunk.count, chunk.padded_count, layout, chunk.encoding);
    for (int layer = 0; layer <= shape.layers; ++layer) {
      const int64_t inputs = layer == 0 ? layout.inputs() : layout.width;
      const T* from = layer == 0 ? chunk.encoding : activation(layer - 1);
      const bool residual = layer > 0 && shape.residual;
      queue.gemm(Gemm{.transpose_b = true,
                      .m = chunk.padded_count,
                      .n = layout.width,
                      .k = inputs,
                      .beta = residual ? 1.0f : 0.0f,
                      .operands = net.precision,
                      .results = precision_of<T>,
                      .a = from,
                      .lda = inputs,
                      .b = chunk.net + layout.weight_offset(layer),
                      .ldb = inputs,
                      .c = activation(layer),
                      .ldc = layout.width,
                      .addend = residual ? from : nullptr,
                      .bias = chunk.net + layout.bias_offset(layer),
                      .finish = Finish::relu,
                      .mask = training && layer < shape.layers ? mask(layer) : nullptr});
    }
    launch(queue, "decoder_outputs", covering(32 * chunk.padded_count), outputs_kernel<T>, a, rows, values, layout,
           output_weights(), activation(shape.layers), chunk, training);
  }

  /// Adds dᵀ x [outputs, inputs], and its column of sums, to the call's sums; the first chunk starts them.
  void add_gradients(int layer, const T* d, int64_t outputs, const T* x, int64_t inputs) {
    const float beta = chunk.first == 0 ? 0.0f : 1.0f;
    queue.gemm(Gemm{.transpose_a = true,
                    .m = outputs,
                    .n = inputs,
                    .k = chunk.padded_count,
                    .beta = beta,
                    .operands = net.precision,
                    .a = d,
                    .lda = outputs,
                    .b = x,
                    .ldb = inputs,
                    .c = chunk.sums + layout.weight_offset(layer),
                    .ldc = inputs});
    queue.gemm(Gemm{.m = 1,
                    .n = outputs,
                    .k = chunk.padded_count,
                    .beta = beta,
                    .operands = net.precision,
                    .a = chunk.ones,
                    .lda = step,
                    .b = d,
                    .ldb = outputs,
                    .c = chunk.sums + layout.bias_offset(layer),
                    .ldc = outputs});
  }

  /// The gradient before layer `layer`, from that of its pre-activation: through its weights and past them, where the
  /// relu below let it pass.
  void through(int layer, const T* d, T* to) {
    queue.gemm(Gemm{.m = chunk.padded_count,
                    .n = layout.width,
                    .k = layout.width,
                    .beta = shape.residual ? 1.0f : 0.0f,
                    .operands = net.precision,
                    .results = precision_of<T>,
                    .a = d,
                    .lda = layout.width,
                    .b = chunk.net + layout.weight_offset(layer),
                    .ldb = layout.width,
                    .c = to,
                    .ldc = layout.width,
                    .addend = shape.residual ? d : nullptr,
                    .finish = Finish::relu_gradient,
                    .mask = mask(layer - 1)});
  }

  void backward(const DecodeSlicesBackward& a) {
    const int64_t width = layout.width;
    const int64_t slices = (chunk.first + chunk.count - 1) / rows.in_slice - chunk.first / rows.in_slice + 1;
    launch(queue, "decoder_loss", {.blocks = slices, .shared_bytes = 64}, slice_sums_kernel<double>, rows, chunk.first,
           chunk.count, chunk.squared, 1, nullptr, chunk.losses);
    T *d = chunk.next, *before = chunk.next + step * width;
    add_gradients(shape.layers + 1, chunk.outputs, layout.outputs, activation(shape.layers), width);
    for (int layer = shape.layers; layer > 0; --layer) {
      add_gradients(layer, d, width, activation(layer - 1), width);
      through(layer, d, before);
      std::swap(d, before);
    }
    add_gradients(0, d, width, chunk.encoding, layout.inputs());
    if (a.dlatents.empty()) return;
    queue.gemm(Gemm{.m = chunk.padded_count,
                    .n = layout.latent,
                    .k = width,
                    .operands = net.precision,
                    .a = d,
                    .lda = width,
                    .b = chunk.net + layout.encoded,
                    .ldb = layout.inputs(),
                    .c = chunk.latents,
                    .ldc = layout.latent});
    launch(queue, "decoder_latent_gradients", {.blocks = slices, .shared_bytes = 64, .blocks_y = shape.latent},
           slice_sums_kernel<float>, rows, chunk.first, chunk.count, chunk.latents, layout.latent, chunk.units,
           a.dlatents.data);
  }
};

template <class T>
void decode_rows(Device& device, const DecoderNet& net, const DecoderRows& rows, View<float> values) {
  Pass<T> pass{queue_of(device), net, rows, false};
  pass.reserve(device);
  for (int64_t first = 0; first < rows.count(); first += pass.step) {
    pass.start(first);
    pass.forward({}, values);
  }
}

template <class T>
void train_rows(Device& device, const DecodeSlicesBackward& a) {
  const DecoderRows rows(a.forward);
  const DecoderNet& net = a.forward.net;
  Queue& queue = queue_of(device);
  Pass<T> pass{queue, net, rows, true};
  pass.reserve(device);
  const Chunk<T>& chunk = pass.chunk;
  if (rows.slices > 0) queue.zero(chunk.losses, static_cast<size_t>(rows.slices) * sizeof(double));
  launch(queue, "decoder_ones", covering(pass.step), fill_kernel<T>, chunk.ones, pass.step, 1.0f);
  if (chunk.units) make_units(queue, a, chunk.maxima, chunk.units);
  for (int64_t first = 0; first < rows.count(); first += pass.step) {
    pass.start(first);
    pass.forward(a, a.forward.values);
    pass.backward(a);
  }
  if (rows.count() > 0)
    launch(queue, "decoder_add_sums", covering(net.parameters.size()), add_sums_kernel, chunk.sums,
           net.parameters.size(), pass.layout, chunk.units, a.dparameters.data);
  if (!a.loss.empty())
    launch(queue, "decoder_losses", covering(a.loss.size()), write_losses_kernel, chunk.losses, a.loss);
}

}  // namespace

void decode(Device& device, const DecoderNet& net, const DecoderRows& rows, View<float> values) {
  !sixteen_bits(net.precision)       ? decode_rows<float>(device, net, rows, values)
  : net.precision == Precision::bf16 ? decode_rows<bf16>(device, net, rows, values)
                                     : decode_rows<fp16>(device, net, rows, values);
}

void decode_backward(Device& device, const DecodeSlicesBackward& a) {
  const Precision precision = a.forward.net.precision;
  !sixteen_bits(precision)       ? train_rows<float>(device, a)
  : precision == Precision::bf16 ? train_rows<bf16>(device, a)
                                 : train_rows<fp16>(device, a);
}

}  // namespace recon::cuda::layered
