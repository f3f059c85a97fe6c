#include "io/deflate.h"

#include <algorithm>
#include <array>
#include <queue>

namespace recon::io {
namespace {

constexpr size_t shortest_run = 4, longest_run = 258, most_bits = 15, end_of_block = 256;

/// Bits in the order of the format: from the lowest of a byte, numbers from their lowest, codes from their highest.
class Bits {
 public:
  void number(uint32_t value, int count) {
    for (int i = 0; i < count; ++i) bit(value >> i & 1);
  }
  void code(uint32_t value, int count) {
    for (int i = count - 1; i >= 0; --i) bit(value >> i & 1);
  }
  std::vector<uint8_t> take() { return std::move(bytes_); }
  explicit Bits(std::vector<uint8_t> begin) : bytes_(std::move(begin)) {}

 private:
  void bit(uint32_t value) {
    if (used_ == 0) bytes_.push_back(0);
    bytes_.back() = static_cast<uint8_t>(bytes_.back() | value << used_);
    used_ = (used_ + 1) % 8;
  }
  std::vector<uint8_t> bytes_;
  int used_ = 0;
};

/// Lengths of a Huffman code; frequencies are flattened until none is longer than `most`.
std::vector<int> code_lengths(std::vector<uint64_t> frequencies, size_t most) {
  std::vector<int> lengths(frequencies.size(), 0);
  for (;;) {
    struct Tree {
      uint64_t weight;
      int node;
      bool operator>(const Tree& other) const { return std::pair(weight, node) > std::pair(other.weight, other.node); }
    };
    std::priority_queue<Tree, std::vector<Tree>, std::greater<>> open;
    std::vector<int> parent(2 * frequencies.size(), -1);
    for (size_t i = 0; i < frequencies.size(); ++i)
      if (frequencies[i] > 0) open.push({frequencies[i], static_cast<int>(i)});
    auto next = static_cast<int>(frequencies.size());
    while (open.size() > 1) {
      const Tree a = open.top();
      open.pop();
      const Tree b = open.top();
      open.pop();
      parent[static_cast<size_t>(a.node)] = parent[static_cast<size_t>(b.node)] = next;
      open.push({a.weight + b.weight, next++});
    }
    int longest = 0;
    for (size_t i = 0; i < frequencies.size(); ++i) {
      lengths[i] = 0;
      for (int node = static_cast<int>(i); parent[static_cast<size_t>(node)] >= 0; ++lengths[i])
        node = parent[static_cast<size_t>(node)];
      longest = std::max(longest, lengths[i]);
    }
    if (longest <= static_cast<int>(most)) return lengths;
    for (uint64_t& f : frequencies) f = f > 0 ? f / 2 + 1 : 0;
  }
}

/// The codes that RFC 1951 §3.2.2 makes of lengths.
std::vector<uint32_t> codes_of(const std::vector<int>& lengths) {
  std::array<uint32_t, most_bits + 2> count{}, next{};
  for (const int length : lengths) ++count[static_cast<size_t>(length)];
  count[0] = 0;
  for (size_t bits = 1; bits <= most_bits; ++bits) next[bits] = (next[bits - 1] + count[bits - 1]) << 1;
  std::vector<uint32_t> codes;
  for (const int length : lengths) codes.push_back(length > 0 ? next[static_cast<size_t>(length)]++ : 0);
  return codes;
}

/// A literal (count 0) or a match of `count` bytes.
struct Symbol {
  uint8_t literal;
  uint16_t count;
};

std::vector<Symbol> symbols_of(std::span<const uint8_t> bytes) {
  std::vector<Symbol> symbols;
  for (size_t at = 0; at < bytes.size();) {
    size_t run = 0;
    while (at > 0 && run < longest_run && at + run < bytes.size() && bytes[at + run] == bytes[at - 1]) ++run;
    if (run >= shortest_run) {
      symbols.push_back({0, static_cast<uint16_t>(run)});
      at += run;
    } else {
      symbols.push_back({bytes[at++], 0});
    }
  }
  return symbols;
}

/// Code of a match's length, its extra bits and their value (RFC 1951 §3.2.5).
struct LengthCode {
  size_t symbol;
  int bits;
  uint32_t extra;
};

LengthCode length_code(size_t length) {
  if (length == longest_run) return {285, 0, 0};
  size_t symbol = 257, base = 3;
  for (int step = 0;; ++step) {
    const int bits = step < 8 ? 0 : step / 4 - 1;
    if (length < base + (size_t{1} << bits)) return {symbol, bits, static_cast<uint32_t>(length - base)};
    base += size_t{1} << bits;
    ++symbol;
  }
}

/// The two code tables, with a code for their lengths (RFC 1951 §3.2.7), without its repetitions.
void put_tables(Bits& out, const std::vector<int>& literals) {
  constexpr std::array<size_t, 19> order = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  std::vector<int> all = literals;
  all.push_back(1);  // the one distance code
  std::vector<uint64_t> frequencies(19, 0);
  for (const int length : all) ++frequencies[static_cast<size_t>(length)];
  const auto lengths = code_lengths(frequencies, 7);
  const auto codes = codes_of(lengths);
  out.number(static_cast<uint32_t>(literals.size() - 257), 5);
  out.number(0, 5);
  out.number(19 - 4, 4);
  for (const size_t symbol : order) out.number(static_cast<uint32_t>(lengths[symbol]), 3);
  for (const int length : all) out.code(codes[static_cast<size_t>(length)], lengths[static_cast<size_t>(length)]);
}

}  // namespace

std::vector<uint8_t> deflate(std::span<const uint8_t> bytes) {
  const auto symbols = symbols_of(bytes);
  std::vector<uint64_t> frequencies(286, 0);
  for (const Symbol& s : symbols) ++frequencies[s.count > 0 ? length_code(s.count).symbol : s.literal];
  frequencies[end_of_block] = 1;
  if (symbols.empty()) frequencies[0] = 1;  // a code of one symbol would have no length
  const auto lengths = code_lengths(frequencies, most_bits);
  const auto codes = codes_of(lengths);
  Bits out({0x78, 0x9C});
  out.number(1, 1);  // the last block
  out.number(2, 2);  // with codes of its own
  put_tables(out, lengths);
  const auto put = [&](size_t symbol) { out.code(codes[symbol], lengths[symbol]); };
  for (const Symbol& s : symbols) {
    if (s.count == 0) {
      put(s.literal);
      continue;
    }
    const LengthCode length = length_code(s.count);
    put(length.symbol);
    out.number(length.extra, length.bits);
    out.code(0, 1);  // distance 1
  }
  put(end_of_block);
  auto stream = out.take();
  uint32_t a = 1, b = 0;
  for (const uint8_t v : bytes) {
    a = (a + v) % 65521;
    b = (b + a) % 65521;
  }
  for (const int shift : {24, 16, 8, 0}) stream.push_back(static_cast<uint8_t>((b << 16 | a) >> shift));
  return stream;
}

}  // namespace recon::io
