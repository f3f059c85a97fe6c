#include "io/checkpoint.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "io/atomic_file.h"
#include "io/crc32c.h"
#include "io/error.h"

namespace recon::io {
namespace {

constexpr std::string_view kHeaderKey = "recon.crc32c";  // of the header, this value read as zeros
constexpr std::string_view kTensorPrefix = "recon.crc32c:";
constexpr std::string_view kZeros = "00000000";
constexpr int64_t kChunk = int64_t{1} << 20;

std::string hex(uint32_t value) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", value);
  return text;
}

/// Where the header's own checksum stands in its text; npos if not exactly once.
size_t find_header_sum(const std::string& text) {
  const std::string key = std::string(1, '"').append(kHeaderKey).append("\":\"");
  const size_t at = text.find(key);
  if (at == std::string::npos || text.find(key, at + 1) != std::string::npos) return std::string::npos;
  return at + key.size() + kZeros.size() <= text.size() ? at + key.size() : std::string::npos;
}

std::array<std::byte, 8> length_bytes(const std::string& text) {
  std::array<std::byte, 8> bytes{};
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::byte>(uint64_t{text.size()} >> (8 * i) & 255);
  return bytes;
}

/// Checksum of the length and the text, with zeros in the place of the checksum itself.
std::string header_sum(std::string text, size_t at) {
  text.replace(at, kZeros.size(), kZeros);
  return hex(crc32c(std::as_bytes(std::span(text)), crc32c(length_bytes(text))));
}

[[noreturn]] void refuse(const std::string& file, const std::string& field, const std::string& problem) {
  throw InputError({file, "", field, "", problem, "use an earlier checkpoint; this one is damaged"});
}

/// Head with the header's checksum compared.
SafetensorsHeader checked_header(const ByteSource& source) {
  SafetensorsHeader header = parse_safetensors(source);
  const auto stored = header.metadata.find(std::string(kHeaderKey));
  const size_t at = find_header_sum(header.text);
  if (stored == header.metadata.end() || at == std::string::npos)
    refuse(source.name(), "header", "no checksum: not a checkpoint of this program");
  if (header_sum(header.text, at) != stored->second) refuse(source.name(), "header", "the checksum does not agree");
  for (const TensorEntry& tensor : header.tensors)
    if (!header.metadata.contains(std::string(kTensorPrefix) + tensor.name))
      refuse(source.name(), tensor.name, "no checksum: not a checkpoint of this program");
  return header;
}

void check_tensor(const ByteSource& source, const SafetensorsHeader& header, const TensorEntry& tensor, uint32_t sum) {
  if (header.metadata.at(std::string(kTensorPrefix) + tensor.name) != hex(sum))
    refuse(source.name(), tensor.name, "the checksum does not agree");
}

}  // namespace

const Tensor* Checkpoint::find(std::string_view name) const {
  for (const Tensor& tensor : tensors)
    if (tensor.name == name) return &tensor;
  return nullptr;
}

void verify_checkpoint(const ByteSource& source) {
  const SafetensorsHeader header = checked_header(source);
  std::vector<std::byte> chunk(static_cast<size_t>(std::min(kChunk, source.size())));
  for (const TensorEntry& tensor : header.tensors) {
    uint32_t sum = 0;
    for (int64_t at = tensor.begin; at < tensor.end; at += kChunk) {
      const auto part = std::span(chunk).first(static_cast<size_t>(std::min(kChunk, tensor.end - at)));
      source.read_at(at, part);
      sum = crc32c(part, sum);
    }
    check_tensor(source, header, tensor, sum);
  }
}

Checkpoint read_checkpoint(const ByteSource& source) {
  SafetensorsHeader header = checked_header(source);
  Checkpoint checkpoint;
  for (TensorEntry& entry : header.tensors) {
    Tensor tensor{entry.name, entry.dtype, entry.shape,
                  std::vector<std::byte>(static_cast<size_t>(entry.end - entry.begin))};
    source.read_at(entry.begin, tensor.bytes);
    check_tensor(source, header, entry, crc32c(tensor.bytes));
    checkpoint.tensors.push_back(std::move(tensor));
  }
  std::erase_if(header.metadata, [](const auto& item) { return item.first.starts_with(kHeaderKey); });
  checkpoint.metadata = std::move(header.metadata);
  return checkpoint;
}

Checkpoint read_checkpoint(const std::string& path) { return read_checkpoint(FileSource(path)); }

void write_checkpoint(const std::string& path, const std::map<std::string, std::string>& metadata,
                      std::span<const TensorView> tensors) {
  std::vector<TensorView> ordered(tensors.begin(), tensors.end());
  std::stable_sort(ordered.begin(), ordered.end(), [](const TensorView& a, const TensorView& b) {
    return tensor_type_bytes(a.dtype) > tensor_type_bytes(b.dtype);
  });
  std::map<std::string, std::string> all = metadata;
  for (const auto& [key, text] : metadata)
    if (key.starts_with(kHeaderKey)) throw std::invalid_argument("write_checkpoint: the key '" + key + "' is reserved");
  for (const TensorView& tensor : ordered) all[std::string(kTensorPrefix) + tensor.name] = hex(crc32c(tensor.bytes));
  all[std::string(kHeaderKey)] = kZeros;
  std::string text = format_safetensors_header(all, ordered);
  const size_t at = find_header_sum(text);
  if (at == std::string::npos) throw std::invalid_argument("write_checkpoint: a text imitates the checksum");
  text.replace(at, kZeros.size(), header_sum(text, at));

  AtomicFile file(path, "checkpoint");
  file.write(length_bytes(text));
  file.write(text);
  for (const TensorView& tensor : ordered) file.write(tensor.bytes);
  file.commit([&](const std::string& temporary) {
    const FileSource written(temporary);
    written.drop_cache();
    try {
      verify_checkpoint(written);
    } catch (const InputError& error) {
      throw IoError({.file = path,
                     .problem = "the disk did not keep what was written: " + error.fault().problem,
                     .repair = "check the disk; the previous file is unchanged"});
    }
  });
}

void write_checkpoint(const std::string& path, const Checkpoint& checkpoint) {
  std::vector<TensorView> views;
  for (const Tensor& tensor : checkpoint.tensors)
    views.push_back({tensor.name, tensor.dtype, tensor.shape, tensor.bytes});
  write_checkpoint(path, checkpoint.metadata, views);
}

}  // namespace recon::io
