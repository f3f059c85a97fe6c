#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/byte_source.h"

namespace recon::io {

/// Element types of a tensor, named as safetensors names them.
enum class TensorType { F32, F64, I32, I64, U8 };
std::string_view tensor_type_name(TensorType type);
int64_t tensor_type_bytes(TensorType type);

/// Where a tensor lies in a safetensors file.
struct TensorEntry {
  std::string name;
  TensorType dtype = TensorType::F32;
  std::vector<int64_t> shape;
  int64_t begin = 0, end = 0;  ///< bytes from the start of the file
};

/// The head of a safetensors file: 8 bytes of length (little-endian), JSON, then the tensors' bytes without a gap.
struct SafetensorsHeader {
  std::map<std::string, std::string> metadata;
  std::vector<TensorEntry> tensors;  ///< by place in the file
  std::string text;                  ///< the JSON as stored, for its checksum
};

/// Reads and checks a head: at most 100 MB of JSON, no repeated key, known types, shapes whose checked product is the
/// tensor's size, no hole, no overlap, and an end that is the file's. Throws InputError (65).
SafetensorsHeader parse_safetensors(const ByteSource& source);

/// A tensor to write; the bytes are the caller's.
struct TensorView {
  std::string name;
  TensorType dtype = TensorType::F32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

/// The JSON of a head for tensors that follow one another in the order given, padded so that they begin at a multiple
/// of 8 bytes. Throws std::invalid_argument for repeated or reserved names, sizes that disagree, or text that is not
/// UTF-8.
std::string format_safetensors_header(const std::map<std::string, std::string>& metadata,
                                      std::span<const TensorView> tensors);

}  // namespace recon::io
