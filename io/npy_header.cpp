#include "io/npy_header.h"

#include <bit>
#include <charconv>

#include "io/error.h"

namespace recon::io {
namespace {

constexpr size_t kMostDimensions = 32;  // numpy's own limit

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
  HeaderParser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

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
      if (which == 2) read_shape(header);
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
    if (at_ < text_.size() && text_[at_] == '[') refuse("a structured type; a plain array is expected");
    const std::string_view descr = quoted();
    if (descr.find('O') != std::string_view::npos) refuse("an object type (pickled data), which is never read");
    const char order = descr.empty() ? '\0' : descr[0];
    for (const TypeName& known : kTypes)
      if (descr.substr(descr.empty() ? 0 : 1) == known.text &&
          (order == '<' || order == '>' || order == '|' || order == '=')) {
        if (known.width > 1 && order == '|') break;
        header.type = known.type;
        header.big_endian = order == '>';
        return;
      }
    refuse("the type '" + std::string(descr) + "' is not readable");
  }
  void read_shape(NpyHeader& header) {
    expect('(');
    const size_t begin = at_ - 1;
    while (!take(')')) {
      skip_blanks();
      int64_t extent = 0;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), extent);
      if (error != std::errc() || extent < 0) refuse("a size in 'shape' is not a number from 0 to 2^63-1");
      at_ = static_cast<size_t>(end - text_.data());
      if (header.shape.size() == kMostDimensions) refuse("more than 32 dimensions");
      header.shape.push_back(extent);
      if (take(',')) continue;
      if (header.shape.size() == 1) refuse("',' expected");  // "(3)" is a number to Python, not a shape
      expect(')');
      break;
    }
    header.shape_text = std::string(text_.substr(begin, at_ - begin));
  }

  std::string_view text_;
  const std::string& name_;
  size_t at_ = 0;
};

}  // namespace

NpyHeader parse_npy_header(std::string_view text, const std::string& name) { return HeaderParser(text, name).parse(); }

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
