#include "io/pickle.h"

#include <cstring>
#include <memory>
#include <unordered_map>

#include "io/error.h"
#include "io/npy_header.h"
#include "io/pickle_value.h"

namespace recon::io {
namespace {

constexpr size_t kMostValues = size_t{1} << 21;  // outside of arrays
constexpr int64_t kMostBytes = int64_t{16} << 30;

using pickle::Name;
using pickle::Value;

class Unpickler {
 public:
  Unpickler(std::string_view bytes, size_t begin, const std::string& file) : bytes_(bytes), at_(begin), file_(file) {}
  /// Reads one pickle; at() is then behind it.
  std::vector<NpyArray> read() {
    if (next() != 0x80) refuse("no pickle of protocol 2 or later begins here");
    if (const int protocol = next(); protocol < 2 || protocol > 5)
      refuse("pickle protocol " + std::to_string(protocol) + "; 2 to 5 are read");
    while (true) {
      const int opcode = next();
      if (opcode == '.') return arrays(pop());
      step(opcode);
      if (stack_.size() > kMostValues || values_.size() > kMostValues || items_ > kMostValues)
        refuse("more than 2^21 values outside of arrays");
    }
  }
  size_t at() const { return at_; }

 private:
  [[noreturn]] void refuse(const std::string& problem) const {
    throw InputError({.file = file_,
                      .where = "byte " + std::to_string(at_),
                      .problem = problem,
                      .repair = "save plain NumPy arrays: numpy.save to .npy, or pickle.dump of an array"});
  }
  int next() {
    if (at_ >= bytes_.size()) refuse("the pickle ends too early");
    return static_cast<unsigned char>(bytes_[at_++]);
  }
  uint64_t number(int width) {
    uint64_t value = 0;
    for (int i = 0; i < width; ++i) value |= uint64_t(next()) << (8 * i);
    return value;
  }
  std::string_view taken(uint64_t length) {
    if (length > bytes_.size() - at_) refuse("a length of " + std::to_string(length) + " bytes goes beyond the file");
    const std::string_view piece = bytes_.substr(at_, length);
    at_ += length;
    return piece;
  }
  std::string_view line() {
    const size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos || end - at_ > 200) refuse("a name without an end");
    const std::string_view text = bytes_.substr(at_, end - at_);
    at_ = end + 1;
    return text;
  }

  void push(Value value) {
    items_ += value.items.size() + value.shape.size();
    values_.push_back(std::move(value));
    stack_.push_back(values_.size() - 1);
  }
  size_t pop() {
    if (stack_.empty() || values_[stack_.back()].kind == Value::mark) refuse("a value is missing");
    const size_t top = stack_.back();
    stack_.pop_back();
    return top;
  }
  std::vector<size_t> pop_to_mark() {
    size_t from = stack_.size();
    while (from > 0 && values_[stack_[from - 1]].kind != Value::mark) --from;
    if (from == 0) refuse("a mark is missing");
    std::vector<size_t> items(stack_.begin() + static_cast<int64_t>(from), stack_.end());
    stack_.resize(from - 1);
    return items;
  }
  void push_tuple(int count) {
    Value tuple{.kind = Value::tuple, .items = std::vector<size_t>(static_cast<size_t>(count))};
    for (int i = count; i-- > 0;) tuple.items[static_cast<size_t>(i)] = pop();
    push(std::move(tuple));
  }
  void push_name(std::string_view module, std::string_view name) {
    const auto known = pickle::known_name(module, name);
    if (!known)
      refuse("the pickle asks for '" + printable(module, 60) + "." + printable(name, 60) +
             "', which is no part of a NumPy array of numbers; it is not looked up");
    push({.kind = Value::name, .integer_value = *known});
  }
  const Value& value(size_t index) const { return values_[index]; }
  const Value& item(const Value& tuple, size_t i) const { return values_[tuple.items[i]]; }
  void step(int opcode) {
    switch (opcode) {
      case '(':
        return push({.kind = Value::mark});
      case 'N':
        return push({});
      case 0x88:
      case 0x89:
        return push({.kind = Value::boolean, .integer_value = opcode == 0x88});
      case 'J':
        return push({.kind = Value::integer, .integer_value = static_cast<int32_t>(number(4))});
      case 'K':
        return push({.kind = Value::integer, .integer_value = static_cast<int64_t>(number(1))});
      case 'M':
        return push({.kind = Value::integer, .integer_value = static_cast<int64_t>(number(2))});
      case 0x8a:
        return push_long();
      case 'G':
        (void)number(8);  // no array holds one
        return push({.kind = Value::real});
      case 0x95:  // a frame: where buffers may be split
        (void)number(8);
        return;
      default:
        return step_text(opcode);
    }
  }

  void push_long() {
    const std::string_view digits = taken(number(1));
    if (digits.size() > 8) refuse("a whole number beyond 64 bits");
    int64_t result = !digits.empty() && (digits.back() & 0x80) ? -1 : 0;
    for (size_t i = digits.size(); i-- > 0;)
      result = static_cast<int64_t>(static_cast<uint64_t>(result) << 8 | static_cast<unsigned char>(digits[i]));
    push({.kind = Value::integer, .integer_value = result});
  }

  void step_text(int opcode) {
    const auto text = [&](int width) { push({.kind = Value::text, .data = taken(number(width))}); };
    const auto bytes = [&](int width) { push({.kind = Value::bytes, .data = taken(number(width))}); };
    switch (opcode) {
      case 'X':
        return text(4);
      case 0x8c:
        return text(1);
      case 0x8d:
        return text(8);
      case 'U':
      case 'C':
        return bytes(1);
      case 'T':
      case 'B':
        return bytes(4);
      case 0x8e:
      case 0x96:
        return bytes(8);
      case 'c': {
        const std::string_view module = line();
        return push_name(module, line());
      }
      case 0x93: {
        const Value name = value(pop()), module = value(pop());
        if (name.kind != Value::text || module.kind != Value::text) refuse("a name is no text");
        return push_name(module.data, name.data);
      }
      default:
        return step_group(opcode);
    }
  }

  void step_group(int opcode) {
    switch (opcode) {
      case ')':
        return push_tuple(0);
      case 0x85:
      case 0x86:
      case 0x87:
        return push_tuple(opcode - 0x84);
      case 't': {
        std::vector<size_t> items = pop_to_mark();
        return push({.kind = Value::tuple, .items = std::move(items)});
      }
      case ']':
        return push({.kind = Value::list});
      case 'a':
        return append({pop()});
      case 'e':
        return append(pop_to_mark());
      case 'R':
        return call();
      case 'b':
        return build();
      default:
        return step_memo(opcode);
    }
  }

  void step_memo(int opcode) {
    const auto keep = [&](uint64_t key) {
      if (stack_.empty() || memo_.size() > kMostValues) refuse("nothing to remember");
      memo_[key] = stack_.back();
    };
    const auto recall = [&](uint64_t key) {
      const auto found = memo_.find(key);
      if (found == memo_.end()) refuse("a value that was never stored");
      stack_.push_back(found->second);
    };
    switch (opcode) {
      case 'q':
        return keep(number(1));
      case 'r':
        return keep(number(4));
      case 0x94:
        return keep(memo_.size());
      case 'h':
        return recall(number(1));
      case 'j':
        return recall(number(4));
      default:
        refuse("opcode " + std::to_string(opcode) + ", which is no part of a NumPy array of numbers");
    }
  }

  void append(const std::vector<size_t>& items) {
    if (stack_.empty() || value(stack_.back()).kind != Value::list) refuse("an item for no list");
    std::vector<size_t>& list = values_[stack_.back()].items;
    items_ += items.size();
    list.insert(list.end(), items.begin(), items.end());
  }

  /// What NumPy's constructors stand for.
  void call() {
    const size_t arguments = pop(), function = pop();
    if (value(function).kind != Value::name || value(arguments).kind != Value::tuple) refuse("a call of no known name");
    const Value& given = value(arguments);
    switch (value(function).integer_value) {
      case pickle::reconstruct:
        return push({.kind = Value::array});
      case pickle::dtype_name:
        return push_dtype(given);
      case pickle::codec:
        return push_latin(given);
      case pickle::scalar:
      case pickle::frombuffer:
        return push_array(given, value(function).integer_value == pickle::scalar);
      default:
        refuse("a call that makes no array");
    }
  }

  void push_dtype(const Value& given) {
    Value made{.kind = Value::dtype};
    const bool named =
        !given.items.empty() && (item(given, 0).kind == Value::text || item(given, 0).kind == Value::bytes);
    if (!named || !npy_type_of(item(given, 0).data, made.type))
      refuse("an array of " + (named ? "'" + printable(item(given, 0).data, 40) + "'" : std::string("no known type")) +
             "; numbers are wanted");
    push(std::move(made));
  }

  /// Protocol 2 has no bytes: they are written as text of code points below 256.
  void push_latin(const Value& given) {
    if (given.items.size() != 2 || item(given, 0).kind != Value::text || item(given, 1).data != "latin1")
      refuse("a text in another encoding than latin1");
    auto latin = pickle::latin1(item(given, 0).data);
    if (!latin) refuse("a text that is not latin1");
    made_bytes_ += latin->size();
    if (made_bytes_ > bytes_.size()) refuse("the same text is decoded again and again");
    decoded_.push_back(std::make_unique<std::string>(std::move(*latin)));
    push({.kind = Value::bytes, .data = *decoded_.back()});
  }

  void set_type(Value& array, const Value& type) const {
    if (type.kind != Value::dtype) refuse("an array without a type");
    array.type = type.type;
    array.big_endian = type.big_endian;
  }
  void set_shape(Value& array, const Value& shape) const {
    if (shape.kind != Value::tuple || shape.items.size() > 32) refuse("an array without a shape");
    for (size_t i = 0; i < shape.items.size(); ++i) {
      if (item(shape, i).kind != Value::integer || item(shape, i).integer_value < 0) refuse("a size is no number");
      array.shape.push_back(item(shape, i).integer_value);
    }
  }
  void set_data(Value& array, const Value& data) const {
    int64_t needed = static_cast<int64_t>(npy_width(array.type));
    bool fits = data.kind == Value::bytes;
    for (const int64_t n : array.shape) fits = fits && checked_multiply(needed, n, needed);
    if (!fits || needed != static_cast<int64_t>(data.data.size())) refuse("the shape does not hold the array's bytes");
    array.data = data.data;
    array.complete = true;
  }

  /// scalar(dtype, bytes); _frombuffer(bytes, dtype, shape, order).
  void push_array(const Value& given, bool is_scalar) {
    Value array{.kind = Value::array};
    if (given.items.size() != (is_scalar ? 2u : 4u)) refuse("another number of arguments than NumPy's");
    set_type(array, item(given, is_scalar ? 0 : 1));
    if (!is_scalar) set_shape(array, item(given, 2));
    array.fortran_order = !is_scalar && item(given, 3).data == "F";
    set_data(array, item(given, is_scalar ? 1 : 0));
    push(std::move(array));
  }

  /// The state of an array, (1, shape, dtype, is_fortran, bytes), or of a dtype, (3, byte order, ...).
  void build() {
    const size_t state = pop();
    if (stack_.empty() || value(state).kind != Value::tuple) refuse("a state for nothing");
    const Value& given = value(state);
    Value made = value(stack_.back());
    if (made.kind == Value::dtype && given.items.size() >= 2) {
      const std::string_view order = item(given, 1).data;
      if (order != "<" && order != ">" && order != "|" && order != "=") refuse("an unknown byte order");
      made.big_endian = order == ">";
    } else if (made.kind == Value::array && !made.complete && given.items.size() == 5) {
      set_shape(made, item(given, 1));
      set_type(made, item(given, 2));
      made.fortran_order = item(given, 3).integer_value != 0;
      set_data(made, item(given, 4));
    } else {
      refuse("a state that is no NumPy array's");
    }
    items_ += made.shape.size();
    values_[stack_.back()] = std::move(made);
  }

  NpyArray array_of(const Value& v) {
    if (v.kind != Value::array || !v.complete) refuse("something else than a NumPy array");
    if ((given_bytes_ += static_cast<int64_t>(v.data.size())) > static_cast<int64_t>(bytes_.size()))
      refuse("the same array stands here again and again");
    const auto bytes = std::as_bytes(std::span(v.data));
    return npy_array_of(v.type, v.shape, v.big_endian, v.fortran_order, {bytes.begin(), bytes.end()});
  }

  std::vector<NpyArray> arrays(size_t top) {
    const Value& result = value(top);
    if (result.kind == Value::array) return {array_of(result)};
    if (result.kind != Value::tuple && result.kind != Value::list) refuse("the pickle holds no array");
    std::vector<NpyArray> out;
    std::vector<int64_t> numbers;
    for (const size_t index : result.items) {
      const Value& one = value(index);
      if (one.kind == Value::integer)
        numbers.push_back(one.integer_value);
      else if (one.kind == Value::array && one.shape.empty() && one.complete)
        numbers.push_back(whole(one));
      else if (one.kind != Value::none)
        out.push_back(array_of(one));
      if (out.size() > 16 || (!out.empty() && !numbers.empty())) refuse("neither a few arrays nor a list of numbers");
    }
    if (!out.empty()) return out;
    NpyArray list{NpyType::i8, {static_cast<int64_t>(numbers.size())}, {}};
    const auto bytes = std::as_bytes(std::span(numbers));
    list.bytes.assign(bytes.begin(), bytes.end());
    return {list};
  }
  int64_t whole(const Value& v) {
    if (v.type != NpyType::i8 && v.type != NpyType::i4) refuse("a list of other numbers than whole ones");
    const NpyArray one = array_of(v);
    int64_t wide = 0;
    int32_t narrow = 0;
    if (v.type == NpyType::i8) std::memcpy(&wide, one.bytes.data(), 8);
    if (v.type == NpyType::i4) std::memcpy(&narrow, one.bytes.data(), 4), wide = narrow;
    return wide;
  }

  std::string_view bytes_;
  size_t at_;
  const std::string& file_;
  std::vector<Value> values_;
  std::vector<size_t> stack_;
  std::unordered_map<uint64_t, size_t> memo_;
  std::vector<std::unique_ptr<std::string>> decoded_;
  size_t items_ = 0, made_bytes_ = 0;
  int64_t given_bytes_ = 0;
};

}  // namespace

std::vector<std::vector<NpyArray>> read_pickles(const ByteSource& source) {
  if (source.size() == 0 || source.size() > kMostBytes)
    throw InputError({.file = source.name(),
                      .problem = source.size() == 0 ? "the file is empty" : "a pickle of more than 16 GiB",
                      .repair = "save plain NumPy arrays: numpy.save to .npy"});
  const std::string bytes = read_all(source);
  std::vector<std::vector<NpyArray>> pickles;
  for (size_t at = 0; at < bytes.size();) {
    Unpickler one(bytes, at, source.name());
    if (pickles.size() == 16)
      throw InputError({.file = source.name(), .problem = "more than 16 pickles", .repair = "give a file of arrays"});
    pickles.push_back(one.read());
    at = one.at();
  }
  return pickles;
}

std::vector<std::vector<NpyArray>> read_pickles(const std::string& path) { return read_pickles(FileSource(path)); }

}  // namespace recon::io
