#include "io/npy_header.h"

#include <bit>
#include <charconv>

#include "io/error.h"

namespace recon::io {
namespace {

constexpr size_t kMostDimensions = 32;  // numpy's own limit
constexpr size_t kMostFields = 4096;
constexpr int64_t kMostElements = 1 << 20;  // of a field, and bytes of a text

struct TypeName {
  std::string_view text;
  NpyType type;
  size_t width;
};
constexpr TypeName kTypes[] = {
    {"b1", NpyType::b1, 1}, {"i1", NpyType::i1, 1}, {"i2", NpyType::i2, 2}, {"i4", NpyType::i4, 4},
    {"i8", NpyType::i8, 8}, {"u1", NpyType::u1, 1}, {"u2", NpyType::u2, 2}, {"u4", NpyType::u4, 4},
    {"u8", NpyType::u8, 8}, {"f2", NpyType::f2, 2}, {"f4", NpyType::f4, 4}, {"f8", NpyType::f8, 8},
};

class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& name, bool structured)
      : text_(text), name_(name), structured_(structured) {}

  NpyHeader parse() {
    NpyHeader header;
    bool seen[3] = {false, false, false};
    expect('{');
    while (!take('}')) {
      const std::string_view key = quoted();
      expect(':');
      const int which = key == "descr" ? 0 : key == "fortran_order" ? 1 : key == "shape" ? 2 : -1;
      if (which < 0 || seen[which]) refuse("an unknown or repeated key '" + std::string(key) + "'");
      seen[which] = true;
      if (which == 0) read_type(header);
      if (which == 1) header.fortran_order = boolean();
      if (which == 2) {
        skip_blanks();
        const size_t begin = at_;
        header.shape = shape();
        header.shape_text = std::string(text_.substr(begin, at_ - begin));
      }
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    skip_blanks();
    if (at_ != text_.size()) refuse("text after the dictionary");
    if (!seen[0] || !seen[1] || !seen[2]) refuse("one of 'descr', 'fortran_order', 'shape' is missing");
    return header;
  }

 private:
  [[noreturn]] void refuse(const std::string& problem) const {
    throw InputError({.file = name_,
                      .where = "header character " + std::to_string(at_),
                      .problem = problem,
                      .repair = "write it again with numpy.save"});
  }
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  bool take(char wanted) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (!take(wanted)) refuse(std::string("'") + wanted + "' expected");
  }
  std::string_view quoted() {
    skip_blanks();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    const size_t end = quote == '\'' || quote == '"' ? text_.find(quote, at_ + 1) : std::string_view::npos;
    if (end == std::string_view::npos) refuse("a quoted name expected");
    const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    if (inside.find('\\') != std::string_view::npos) refuse("an escape in a quoted name");
    at_ = end + 1;
    return inside;
  }
  bool boolean() {
    skip_blanks();
    for (const std::string_view word : {"True", "False"})
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return word == "True";
      }
    refuse("True or False expected");
  }
  void read_type(NpyHeader& header) {
    skip_blanks();
    if (at_ < text_.size() && text_[at_] == '[') {
      if (!structured_) refuse("a structured type; a plain array is expected");
      return read_fields(header);
    }
    const std::string_view descr = quoted();
    if (structured_) refuse("a plain array; a table with named fields is expected");
    refuse_objects(descr);
    const char order = descr.empty() ? '\0' : descr[0];
    const bool known_order = order == '<' || order == '>' || order == '|' || order == '=';
    if (!known_order || !npy_type_of(descr.substr(1), header.type) || (npy_width(header.type) > 1 && order == '|'))
      refuse("the type '" + std::string(descr) + "' is not readable");
    header.big_endian = order == '>';
  }
  void refuse_objects(std::string_view descr) const {
    if (descr.find('O') != std::string_view::npos) refuse("an object type (pickled data), which is never read");
  }
  void read_fields(NpyHeader& header) {
    expect('[');
    while (!take(']')) {
      if (header.fields.size() == kMostFields) refuse("more than 4096 fields");
      expect('(');
      NpyField field;
      field.name = quoted();
      expect(',');
      skip_blanks();
      if (at_ < text_.size() && text_[at_] == '[') refuse("a field of fields");
      read_field_type(field);
      bool closed = false;
      if (take(',')) {
        closed = take(')');
        if (!closed) field.shape = shape();
      }
      if (!closed) expect(')');
      for (const int64_t n : field.shape)
        if (!checked_multiply(field.count, n, field.count) || field.count > kMostElements)
          refuse("a field of more than 2^20 elements");
      for (const NpyField& other : header.fields)
        if (!field.name.empty() && other.name == field.name) refuse("the field '" + field.name + "' stands twice");
      header.fields.push_back(std::move(field));
      if (take(',')) continue;
      expect(']');
      break;
    }
    if (header.fields.empty()) refuse("no fields");
  }
  void read_field_type(NpyField& field) {
    const std::string_view descr = quoted();
    refuse_objects(descr);
    const char order = descr.size() < 3 ? '\0' : descr[0];
    field.kind = order ? descr[1] : '\0';
    field.big_endian = order == '>';
    NpyType plain;
    const std::string_view digits = order ? descr.substr(2) : std::string_view();
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), field.width);
    const bool whole = error == std::errc() && end == digits.data() + digits.size() && field.width <= kMostElements;
    const bool text = (field.kind == 'S' || field.kind == 'V') && order == '|' && whole;
    const bool number = (order == '<' || order == '>' || (order == '|' && field.width == 1)) && whole &&
                        npy_type_of(descr.substr(1), plain);
    if (!text && !number) refuse("the type '" + std::string(descr) + "' of a field is not readable");
  }
  std::vector<int64_t> shape() {
    std::vector<int64_t> extents;
    expect('(');
    while (!take(')')) {
      skip_blanks();
      int64_t extent = 0;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), extent);
      if (error != std::errc() || extent < 0) refuse("a size in 'shape' is not a number from 0 to 2^63-1");
      at_ = static_cast<size_t>(end - text_.data());
      if (extents.size() == kMostDimensions) refuse("more than 32 dimensions");
      extents.push_back(extent);
      if (take(',')) continue;
      if (extents.size() == 1) refuse("',' expected");  // "(3)" is a number to Python, not a shape
      expect(')');
      break;
    }
    return extents;
  }

  std::string_view text_;
  const std::string& name_;
  bool structured_;
  size_t at_ = 0;
};

}  // namespace

NpyHeader parse_npy_header(std::string_view text, const std::string& name, bool structured) {
  return HeaderParser(text, name, structured).parse();
}

bool npy_type_of(std::string_view name, NpyType& type) {
  for (const TypeName& known : kTypes)
    if (name == known.text) return type = known.type, true;
  return false;
}

std::string npy_field_type(const NpyField& field) {
  const bool plain = field.width == 1 || field.kind == 'S' || field.kind == 'V';
  return (plain ? '|' : '<') + std::string(1, field.kind) + std::to_string(field.width);
}

std::string format_npy_header(NpyType type, const std::vector<int64_t>& shape) {
  const TypeName& known = kTypes[static_cast<size_t>(type)];
  std::string out = "{'descr': '";
  out += known.width == 1 ? '|' : '<';
  out += std::string(known.text) + "', 'fortran_order': False, 'shape': (";
  for (size_t i = 0; i < shape.size(); ++i)
    out += std::to_string(shape[i]) + (shape.size() == 1 ? "," : i + 1 < shape.size() ? ", " : "");
  return out + "), }";
}

size_t npy_width(NpyType type) { return kTypes[static_cast<size_t>(type)].width; }

}  // namespace recon::io
