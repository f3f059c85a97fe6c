#include "io/safetensors.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "io/error.h"
#include "io/strict_json.h"

namespace recon::io {
namespace {

using nlohmann::json;

constexpr int64_t kLargestHeader = 100'000'000;  // bytes, the format's own limit
constexpr const char* kMetadata = "__metadata__";

struct TensorTypeInfo {
  std::string_view name;
  int64_t bytes;
};
constexpr TensorTypeInfo kTensorTypes[] = {{"F32", 4}, {"F64", 8}, {"I32", 4}, {"I64", 8}, {"U8", 1}};

class EntryReader {
 public:
  EntryReader(const ByteSource& source, int64_t data_begin) : source_(source), data_begin_(data_begin) {}

  [[noreturn]] void refuse(const std::string& field, const std::string& problem) const {
    throw InputError({source_.name(), "", field, "", problem, "the file is damaged or not a checkpoint; use another"});
  }

  std::map<std::string, std::string> metadata(const json& value) const {
    std::map<std::string, std::string> out;
    if (!value.is_object()) refuse(kMetadata, "not an object");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) refuse(kMetadata, printable(key) + " is not a text");
      out.emplace(key, text.get<std::string>());
    }
    return out;
  }

  TensorEntry entry(const std::string& name, const json& value) const {
    if (!value.is_object() || value.size() != 3) refuse(name, "not an object of dtype, shape and data_offsets");
    TensorEntry entry{name, type(name, value), {}, 0, 0};
    int64_t bytes = tensor_type_bytes(entry.dtype);
    for (const json& extent : list(name, value, "shape")) {
      entry.shape.push_back(whole(name, extent));
      if (!checked_multiply(bytes, entry.shape.back(), bytes)) refuse(name, "the shape's product exceeds 2^63");
    }
    const json& offsets = list(name, value, "data_offsets");
    if (offsets.size() != 2) refuse(name, "data_offsets are not two numbers");
    const int64_t room = source_.size() - data_begin_;
    const int64_t begin = whole(name, offsets[0]), end = whole(name, offsets[1]);
    if (begin > end || end > room) refuse(name, "data_offsets do not lie within the file");
    if (end - begin != bytes)
      refuse(name,
             "the shape needs " + std::to_string(bytes) + " bytes, data_offsets give " + std::to_string(end - begin));
    entry.begin = data_begin_ + begin;
    entry.end = data_begin_ + end;
    return entry;
  }

 private:
  TensorType type(const std::string& name, const json& value) const {
    const auto found = value.find("dtype");
    if (found != value.end() && found->is_string())
      for (size_t i = 0; i < std::size(kTensorTypes); ++i)
        if (found->get_ref<const std::string&>() == kTensorTypes[i].name) return static_cast<TensorType>(i);
    refuse(name, "dtype is not one of F32, F64, I32, I64, U8");
  }
  const json& list(const std::string& name, const json& value, const char* key) const {
    const auto found = value.find(key);
    if (found == value.end() || !found->is_array()) refuse(name, std::string(key) + " is not a list");
    return *found;
  }
  int64_t whole(const std::string& name, const json& value) const {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > uint64_t(INT64_MAX))
      refuse(name, "a number in shape or data_offsets is not from 0 to 2^63-1");
    return value.get<int64_t>();
  }

  const ByteSource& source_;
  int64_t data_begin_;
};

}  // namespace

std::string_view tensor_type_name(TensorType type) { return kTensorTypes[static_cast<size_t>(type)].name; }
int64_t tensor_type_bytes(TensorType type) { return kTensorTypes[static_cast<size_t>(type)].bytes; }

SafetensorsHeader parse_safetensors(const ByteSource& source) {
  std::array<unsigned char, 8> raw{};
  const EntryReader none(source, 0);
  if (source.size() < 10) none.refuse("", "too short for a safetensors file");
  source.read_at(0, std::as_writable_bytes(std::span(raw)));
  uint64_t length = 0;
  for (size_t i = 8; i-- > 0;) length = length << 8 | raw[i];
  if (length > uint64_t{kLargestHeader} || static_cast<int64_t>(length) > source.size() - 8)
    none.refuse("header length",
                std::to_string(length) + " bytes do not fit the file of " + std::to_string(source.size()));
  SafetensorsHeader header;
  header.text.resize(static_cast<size_t>(length));
  source.read_at(8, std::as_writable_bytes(std::span(header.text)));
  if (!header.text.starts_with('{')) none.refuse("header", "does not begin with '{'");

  const json root = parse_json(header.text, source.name(), {.bytes = kLargestHeader, .depth = 8});
  const EntryReader reader(source, 8 + static_cast<int64_t>(length));
  for (const auto& [name, value] : root.items()) {
    if (name == kMetadata)
      header.metadata = reader.metadata(value);
    else
      header.tensors.push_back(reader.entry(name, value));
  }
  std::sort(header.tensors.begin(), header.tensors.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  int64_t at = 8 + static_cast<int64_t>(length);
  for (const TensorEntry& entry : header.tensors) {
    if (entry.begin != at) reader.refuse(entry.name, "a hole or an overlap before its bytes");
    at = entry.end;
  }
  if (at != source.size()) reader.refuse("", std::to_string(source.size() - at) + " bytes after the last tensor");
  return header;
}

std::string format_safetensors_header(const std::map<std::string, std::string>& metadata,
                                      std::span<const TensorView> tensors) {
  json root = json::object();
  if (!metadata.empty()) root[kMetadata] = metadata;
  int64_t at = 0;
  for (const TensorView& tensor : tensors) {
    int64_t bytes = tensor_type_bytes(tensor.dtype);
    bool fits = !root.contains(tensor.name) && tensor.name != kMetadata;
    for (const int64_t extent : tensor.shape) fits = fits && checked_multiply(bytes, extent, bytes);
    if (!fits || bytes != static_cast<int64_t>(tensor.bytes.size()))
      throw std::invalid_argument("safetensors: the name or the size of tensor '" + tensor.name + "' is wrong");
    root[tensor.name] = {
        {"dtype", tensor_type_name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {at, at + bytes}}};
    at += bytes;
  }
  std::string text;
  try {
    text = root.dump();
  } catch (const json::exception&) {
    throw std::invalid_argument("safetensors: a name or a metadata text is not UTF-8");
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  if (static_cast<int64_t>(text.size()) > kLargestHeader)
    throw std::invalid_argument("safetensors: header over 100 MB");
  return text;
}

}  // namespace recon::io
