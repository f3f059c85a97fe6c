#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "io/byte_source.h"
#include "io/safetensors.h"

namespace recon::io {

/// A named array in this machine's byte order.
struct Tensor {
  std::string name;
  TensorType dtype = TensorType::F32;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
  bool operator==(const Tensor&) const = default;
};

/// All that a run needs to go on, in one file.
struct Checkpoint {
  std::map<std::string, std::string> metadata;
  std::vector<Tensor> tensors;

  /// nullptr if there is none of that name.
  const Tensor* find(std::string_view name) const;
  bool operator==(const Checkpoint&) const = default;
};

template <class T>
constexpr TensorType tensor_type() {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, int32_t> ||
                std::is_same_v<T, int64_t> || std::is_same_v<T, uint8_t>);
  return std::is_same_v<T, float>     ? TensorType::F32
         : std::is_same_v<T, double>  ? TensorType::F64
         : std::is_same_v<T, int32_t> ? TensorType::I32
         : std::is_same_v<T, int64_t> ? TensorType::I64
                                      : TensorType::U8;
}

template <class T>
TensorView view_tensor(std::string name, std::span<const T> values, std::vector<int64_t> shape) {
  return {std::move(name), tensor_type<T>(), std::move(shape), std::as_bytes(values)};
}

template <class T>
Tensor make_tensor(std::string name, std::span<const T> values, std::vector<int64_t> shape) {
  const auto bytes = std::as_bytes(values);
  return {std::move(name), tensor_type<T>(), std::move(shape), {bytes.begin(), bytes.end()}};
}

/// A tensor's values. Throws std::invalid_argument if its type is another.
template <class T>
std::vector<T> tensor_values(const Tensor& tensor) {
  if (tensor.dtype != tensor_type<T>()) throw std::invalid_argument("tensor '" + tensor.name + "' has another type");
  std::vector<T> values(tensor.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

/// Writes a safetensors file, which Python's safetensors reads too, with a CRC-32C of each tensor and of the header in
/// `__metadata__`. Written beside the final name, synced, read back and compared, then renamed: the old file stays
/// until the new one is known to be good. Wider types come first in the file, so all are aligned. Metadata keys that
/// begin with "recon.crc32c" are the writer's own. Throws IoError (73, 74), std::invalid_argument.
void write_checkpoint(const std::string& path, const std::map<std::string, std::string>& metadata,
                      std::span<const TensorView> tensors);
void write_checkpoint(const std::string& path, const Checkpoint& checkpoint);

/// Reads a checkpoint and compares every checksum. Tensors come in the order of the file. Throws InputError: 66 if it
/// cannot be opened, 65 for any damage: no flipped byte and no cut goes unseen.
Checkpoint read_checkpoint(const std::string& path);
Checkpoint read_checkpoint(const ByteSource& source);

/// Compares every checksum without keeping the tensors. Throws as read_checkpoint.
void verify_checkpoint(const ByteSource& source);

}  // namespace recon::io
